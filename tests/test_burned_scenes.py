"""Where a sequence of frames is cut."""

import numpy as np
from numpy.typing import NDArray

from lethe.node.burned.scenes import IN_TIME, OF_PAGES, scenes_of


class Sequence:
    """Frames as they are shown."""

    inverted = False

    def __init__(self, *frames: NDArray[np.uint8]) -> None:
        self._frames = frames

    def __len__(self) -> int:
        return len(self._frames)

    def frame(self, number: int) -> NDArray[np.uint8]:
        return self._frames[number]

    grey = frame


def noise(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 200, (64, 64)).astype(np.uint8)


def test_what_is_alike_stays_together_and_a_cut_is_where_it_is_not() -> None:
    one, other = noise(1), noise(2)
    frames = Sequence(one, one + 20, one // 2, other, other + 5, noise(3))
    assert list(scenes_of(frames, range(len(frames)), IN_TIME)) == [(0, 1, 2), (3, 4), (5,)]


def test_noise_that_is_new_in_every_frame_has_none_together() -> None:
    assert list(scenes_of(Sequence(*map(noise, range(4))), range(4), IN_TIME)) == [(0,), (1,), (2,), (3,)]


def test_flat_frames_are_alike_and_unlike_all_others() -> None:
    flat = np.zeros((64, 64), np.uint8)
    assert list(scenes_of(Sequence(flat, flat + 9, noise(1)), range(3), IN_TIME)) == [(0, 1), (2,)]
    assert list(scenes_of(Sequence(flat), range(1), IN_TIME)) == [(0,)]


def test_pages_have_to_be_more_alike() -> None:
    one = noise(1)
    other = np.where(np.arange(64)[:, None] < 8, noise(2), one).astype(np.uint8)
    frames = Sequence(one, other, other)
    assert list(scenes_of(frames, range(len(frames)), IN_TIME)) == [(0, 1, 2)]
    assert list(scenes_of(frames, range(len(frames)), OF_PAGES)) == [(0,), (1, 2)]
