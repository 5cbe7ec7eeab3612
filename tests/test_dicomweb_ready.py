"""What is kept ready: given again only while it holds, and never more than fits."""

from __future__ import annotations

from lethe.dicomweb.ready import Ready


def kept(ready: Ready, asked: str, version: int, *pieces: bytes) -> bytes:
    return b"".join(ready.keeping(asked, version, pieces))


def test_what_was_sent_whole_is_given_again_while_its_version_holds() -> None:
    ready = Ready()
    assert kept(ready, "studies", 1, b"ab", b"c") == b"abc"
    assert ready.get("studies", 1) == b"abc"
    assert ready.get("studies", 2) is None
    assert ready.get("series", 1) is None


def test_what_was_broken_off_is_not_kept() -> None:
    ready = Ready()
    pieces = ready.keeping("studies", 1, [b"ab", b"c"])
    assert next(pieces) == b"ab"
    pieces.close()
    assert ready.get("studies", 1) is None


def test_what_is_large_is_not_kept_and_passes_whole() -> None:
    ready = Ready(largest=3)
    assert kept(ready, "large", 1, b"ab", b"cd") == b"abcd"
    assert ready.get("large", 1) is None


def test_the_least_recently_asked_goes_first() -> None:
    ready = Ready(most=4)
    kept(ready, "one", 1, b"ab")
    kept(ready, "two", 1, b"cd")
    assert ready.get("one", 1) == b"ab"
    kept(ready, "three", 1, b"ef")
    assert [ready.get(asked, 1) for asked in ("one", "two", "three")] == [b"ab", None, b"ef"]


def test_an_answer_that_was_made_anew_takes_the_old_ones_place() -> None:
    ready = Ready(most=4)
    kept(ready, "one", 1, b"abc")
    kept(ready, "one", 2, b"abcd")
    assert ready.get("one", 2) == b"abcd"
