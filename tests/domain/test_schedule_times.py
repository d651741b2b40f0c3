"""Local times as RFC 5545 reads them, and the words under which refusals are kept."""

from datetime import UTC, datetime

import pytest

from skerry.domain.errors import FieldRefusedError, OutdatedError, RefusedError
from skerry.domain.ids import Millis
from skerry.domain.schedule import LocalTime, instant, problem_of
from skerry.domain.segment import UnknownSegmentError


def local(text: str, zone: str) -> str:
    found = instant(LocalTime(datetime.fromisoformat(text), zone))
    return datetime.fromtimestamp(found / 1000, UTC).strftime("%Y-%m-%d %H:%M")


@pytest.mark.parametrize(
    ("text", "zone", "utc"),
    [
        ("2026-07-01T12:00", "Europe/Istanbul", "2026-07-01 09:00"),
        ("2026-07-01T12:00", "UTC", "2026-07-01 12:00"),
        # Clocks go from 02:00 to 03:00: what they skip is moved on by an hour.
        ("2026-03-29T02:30", "Europe/Berlin", "2026-03-29 01:30"),
        ("2026-03-29T03:30", "Europe/Berlin", "2026-03-29 01:30"),
        # From 03:00 back to 02:00: the first of two is meant.
        ("2026-10-25T02:30", "Europe/Berlin", "2026-10-25 00:30"),
        ("2026-10-25T03:00", "Europe/Berlin", "2026-10-25 02:00"),
        # A gap of half an hour.
        ("2026-10-04T02:15", "Australia/Lord_Howe", "2026-10-03 15:45"),
    ],
)
def test_a_local_time_is_one_moment(text: str, zone: str, utc: str) -> None:
    assert local(text, zone) == utc


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "/etc/localtime", "Europe", "a\0b", "x" * 5_000])
def test_a_zone_that_there_is_not_is_refused(zone: str) -> None:
    with pytest.raises(FieldRefusedError) as refused:
        local("2026-07-01T12:00", zone)
    assert refused.value.field == "time_zone"


def test_a_time_beyond_the_calendar_is_refused() -> None:
    with pytest.raises(FieldRefusedError) as refused:
        local("9999-12-31T23:59", "America/Los_Angeles")
    assert refused.value.field == "at"


def test_a_moment_is_itself() -> None:
    assert instant(Millis(5)) == 5


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OutdatedError(1, 2), "outdated"),
        (UnknownSegmentError("vip"), "segment_not_found"),
        (RefusedError("x"), "refused"),
    ],
)
def test_a_refusal_is_kept_with_a_word_and_a_sentence(error: RefusedError, code: str) -> None:
    assert problem_of(error).code == code
    assert problem_of(error).detail == str(error)
