"""Windows of time, by the clock on the wall, and the pace within them."""

from __future__ import annotations

from datetime import datetime

import pytest

from lethe.node.pace import Pace
from lethe.node.windows import Window, days_from, span_from, window_of

FRIDAY = "2026-11-27"


def window(hours: list[str], days: list[str] | None = None) -> Window:
    return window_of([span_from(one) for one in hours], [days_from(one) for one in days or []])


def at(day: int, time: str) -> datetime:
    """Friday the 27th of November 2026 and the days after it."""
    return datetime.fromisoformat(f"2026-11-{day:02d}T{time}")


@pytest.mark.parametrize(
    ("hours", "days", "open_at", "closed_at"),
    [
        (["09:00-17:00"], [], [(27, "09:00"), (27, "16:59")], [(27, "08:59"), (27, "17:00")]),
        (["19:00-06:00"], [], [(27, "19:00"), (28, "05:59")], [(27, "18:59"), (28, "06:00")]),
        (["00:00-24:00"], ["sat"], [(28, "00:00"), (28, "23:59")], [(27, "23:59"), (29, "00:00")]),
        (["22:00-24:00"], [], [(27, "23:59")], [(28, "00:00")]),
        ([], ["sat", "sun"], [(28, "00:00"), (29, "23:59")], [(27, "23:59"), (30, "00:00")]),
        (["20:00-06:00"], ["fri"], [(27, "20:00"), (28, "05:59")], [(27, "05:59"), (28, "20:00"), (28, "06:00")]),
        (["20:00-06:00"], ["mon-fri"], [(28, "03:00")], [(29, "03:00"), (30, "03:00")]),
        (["12:00-13:00", "19:00-20:00"], ["fri-mon"], [(27, "12:30"), (30, "19:30")], [(27, "15:00"), (26, "12:30")]),
        ([], [], [(27, "00:00"), (29, "12:00")], []),
    ],
)
def test_a_window_is_open_when_it_says(hours, days, open_at, closed_at):  # type: ignore[no-untyped-def]
    one = window(hours, days)
    assert [moment for moment in open_at if not one.is_open(at(*moment))] == []
    assert [moment for moment in closed_at if one.is_open(at(*moment))] == []


@pytest.mark.parametrize(
    ("hours", "days", "now", "opens"),
    [
        (["19:00-06:00"], [], (27, "12:00"), (27, "19:00")),
        (["19:00-06:00"], [], (27, "20:00"), (27, "20:00")),
        (["09:00-10:00"], ["fri"], (27, "10:00"), None),  # the Friday after
        (["09:00-10:00"], ["sun"], (27, "10:00"), (29, "09:00")),
        (["12:00-13:00", "07:00-08:00"], [], (27, "09:00"), (27, "12:00")),
        ([], ["sun"], (27, "10:00"), (29, "00:00")),
    ],
)
def test_it_is_known_when_a_window_opens(hours, days, now, opens):  # type: ignore[no-untyped-def]
    expected = at(*opens) if opens else datetime.fromisoformat("2026-12-04T09:00")
    assert window(hours, days).opens(at(*now)) == expected


def test_a_window_says_what_it_is() -> None:
    assert str(window(["19:00-06:00", "12:00-24:00"], ["sat", "mon"])) == "19:00-06:00, 12:00-24:00 mon, sat"
    assert str(window([])) == "" and not window([]) and window([], ["sat"])


@pytest.mark.parametrize("text", ["7-9", "25:00-01:00", "09:00", "09:60-10:00", "24:00-01:00", "09:00-10:00 "])
def test_what_is_no_hours_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="span of hours"):
        span_from(text)


@pytest.mark.parametrize(("instances", "megabytes", "least"), [(10, 0, 9.8), (0, 5, 9.8), (10, 1, 49.0), (0, 0, 0.0)])
def test_a_pace_is_kept(instances: float, megabytes: float, least: float) -> None:
    """100 instances of half a megabyte: the slower of the two decides, and a rest is caught up with for a second."""
    pace, now = Pace(instances, megabytes), 1000.0
    now += 50.0  # a long rest
    begun = now
    for _ in range(100):
        now += pace.wait(now)
        pace.sent(500_000, now)
    assert least - 1 <= now - begun <= least + 1


def test_a_pace_says_how_many_to_take_at_once() -> None:
    assert [Pace(rate, 0).most(50) for rate in (0, 0.1, 3, 1000)] == [50, 1, 3, 50]
    assert Pace(0, 1).most(50) == 10
