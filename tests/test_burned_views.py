"""What a detector is given to look at."""

import numpy as np
import pytest
from burned_pictures import drawn
from numpy.typing import NDArray

from lethe.node.burned.views import in_one, picture_of, plain_picture, standing_out


def test_nothing_stands_out_where_all_is_alike() -> None:
    """Also behind a noise of high values, from which sums that slide keep something."""
    frame = np.zeros((256, 256), np.uint16)
    frame[100:] = 4095
    frame[30:60, 30:200] = np.random.default_rng(0).integers(0, 4095, (30, 170))
    seen = standing_out(frame)
    assert (seen[180:] == 128).all()
    assert (seen[:60, 250:] == 128).all()


def written(dtype: type, outlier: float) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    """A frame with values around 1000 and brighter text, a tenth of it far outside, and where the ink is."""
    ink = drawn([("FEATHERSTONE ANTONIA", 30, 60)], size=20, ink=255, ground=0)[0] > 200
    frame = np.random.default_rng(2).normal(1000, 20, ink.shape) + 400 * ink
    frame[370:] = outlier
    return frame.astype(dtype), ink


@pytest.mark.parametrize(
    ("dtype", "outlier"),
    [
        (np.int16, -(2**15)),
        (np.int32, -(2**31)),
        (np.uint32, 2**32 - 1),
        (np.float32, -3.4e38),
        (np.float64, 1e300),
        (np.float32, np.nan),
        (np.float32, np.inf),
    ],
)
def test_what_is_padded_far_outside_keeps_its_contrast(dtype: type, outlier: float) -> None:
    frame, ink = written(dtype, outlier)
    for picture in (picture_of(frame), plain_picture(frame)):
        channel = picture[..., 1].astype(int)
        assert np.median(channel[ink]) - np.median(channel[:300][~ink[:300]]) > 30


def test_a_few_bright_pixels_are_brighter_than_the_noise_around_them() -> None:
    """Less than half a per cent of the pixels: one small line on a dark frame."""
    ink = drawn([("MILLER PETER", 30, 60)], size=9, ink=255, ground=0)[0] > 128
    frame = np.where(ink, 230, np.random.default_rng(3).normal(5, 1.5, ink.shape).clip(0, 12)).astype(np.uint8)
    for picture in (picture_of(frame), plain_picture(frame)):
        assert int(picture[..., 1][ink].min()) > 2 * int(picture[..., 1][~ink].max())


@pytest.mark.parametrize(("dtype", "outlier"), [(np.uint16, 2**16 - 1), (np.uint32, 2**32 - 1)])
def test_colours_of_many_bits_keep_their_contrast_beside_outliers(dtype: type, outlier: float) -> None:
    frame, ink = written(dtype, outlier)
    shown = plain_picture(frame[..., None].repeat(3, axis=2))[..., 1].astype(int)
    assert np.median(shown[ink]) - np.median(shown[:300][~ink[:300]]) > 30


def test_three_looks_become_one_grey_in_their_place() -> None:
    looks = np.random.default_rng(6).integers(0, 256, (301, 517, 3), np.uint8)
    expected = np.rint(looks @ np.array([0.75, 0.25, 0])).astype(np.uint8)
    grey = in_one(looks)
    assert np.shares_memory(grey, looks)
    assert (np.abs(grey.astype(int) - expected[..., None]) <= 1).all() and (np.ptp(grey, axis=2) == 0).all()
