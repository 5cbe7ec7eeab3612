"""What a detector is given to look at."""

import numpy as np

from lethe.node.burned.views import standing_out


def test_nothing_stands_out_where_all_is_alike() -> None:
    """Also behind a noise of high values, from which sums that slide keep something."""
    frame = np.zeros((256, 256), np.uint16)
    frame[100:] = 4095
    frame[30:60, 30:200] = np.random.default_rng(0).integers(0, 4095, (30, 170))
    seen = standing_out(frame)
    assert (seen[180:] == 128).all()
    assert (seen[:60, 250:] == 128).all()
