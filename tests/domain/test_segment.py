"""What segments stand for: nested, circular, unknown, and too many."""

from collections.abc import Mapping

import pytest

from skerry.domain.audience import Audience, Candidate, Quantifier, Segment, SegmentCondition, TagCondition, matches
from skerry.domain.rollout import Rollout
from skerry.domain.segment import (
    MOST_LEVELS,
    AudienceTooComplexError,
    SegmentCycleError,
    UnknownSegmentError,
    names,
    resolved,
    using,
)

ANY = Quantifier.ANY


def tagged(*tags: str) -> Audience:
    return Audience(tags=TagCondition(ANY, tags))


def of(*segments: str, quantifier: Quantifier = ANY, **members: object) -> Audience:
    return Audience(segments=SegmentCondition(quantifier, tuple(map(Segment, segments))), **members)  # type: ignore[arg-type]


def has(audience: Audience, stored: Mapping[str, Audience], *tags: str) -> bool:
    return matches(resolved(audience, stored.get), Candidate("u", frozenset(), frozenset(tags), {}))


def test_an_audience_without_segments_stays_as_it_is():
    assert resolved(tagged("a"), {}.get) == tagged("a")


@pytest.mark.parametrize(
    ("quantifier", "tags", "belongs"),
    [
        (Quantifier.ANY, ("a",), True),
        (Quantifier.ANY, (), False),
        (Quantifier.ALL, ("a",), False),
        (Quantifier.ALL, ("a", "b"), True),
        (Quantifier.NONE, ("a",), False),
        (Quantifier.NONE, (), True),
    ],
)
def test_segments_combine_as_tags_do(quantifier, tags, belongs):
    assert has(of("A", "B", quantifier=quantifier), {"A": tagged("a"), "B": tagged("b")}, *tags) is belongs


def test_segments_are_made_of_segments_and_leave_some_out():
    stored = {"vip": tagged("gold"), "staff": tagged("staff"), "guests": of("vip", exclude=of("staff"))}
    assert has(of("guests"), stored, "gold")
    assert not has(of("guests"), stored, "gold", "staff")
    assert names(stored["guests"]) == {"vip", "staff"}


def test_an_unknown_segment_is_named_wherever_it_stands():
    for audience in (of("x"), Audience(everyone=True, exclude=of("x")), of("y")):
        with pytest.raises(UnknownSegmentError, match="'x'"):
            resolved(audience, {"y": of("x")}.get)


def test_a_segment_that_has_not_been_looked_up_matches_nobody():
    assert not matches(of("x"), Candidate("u", frozenset(), frozenset(), {}))


@pytest.mark.parametrize(
    ("stored", "path"),
    [
        ({"a": of("a")}, "a → a"),
        ({"a": of("b"), "b": of("a")}, "a → b → a"),
        ({"a": of("b"), "b": Audience(everyone=True, exclude=of("c")), "c": of("b")}, "b → c → b"),
    ],
)
def test_a_circle_is_refused_and_shown(stored, path):
    with pytest.raises(SegmentCycleError, match=path):
        resolved(of("a"), stored.get)


def test_a_segment_may_be_used_twice_without_being_a_circle():
    stored = {"a": tagged("a"), "b": of("a"), "c": of("a", "b")}
    assert has(of("c"), stored, "a")


def test_levels_are_bounded():
    chain = {f"s{number}": of(f"s{number + 1}") for number in range(MOST_LEVELS)}
    chain[f"s{MOST_LEVELS}"] = tagged("a")
    assert has(of("s1"), chain, "a")
    with pytest.raises(AudienceTooComplexError, match="deep"):
        resolved(of("s0"), chain.get)


def test_what_grows_with_each_level_is_refused_before_it_is_built():
    """Eight levels of a hundred would be 100⁸ conditions."""
    stored = {f"s{level}": of(*[f"s{level + 1}"] * 100) for level in range(7)}
    stored["s7"] = tagged("a")
    with pytest.raises(AudienceTooComplexError, match="200"):
        resolved(of("s0"), stored.get)


def test_conditions_are_counted_with_those_of_segments():
    many = Audience(tags=TagCondition(Quantifier.ALL, tuple(f"t{number}" for number in range(150))))
    assert resolved(of("a"), {"a": many}.get)
    with pytest.raises(AudienceTooComplexError):
        resolved(of("a", "b"), {"a": many, "b": many}.get)


def test_a_rollout_is_drawn_by_its_salt_or_its_segment_or_its_activity():
    stored = {"half": Audience(everyone=True, rollout=Rollout(5000))}
    found = resolved(of("half", rollout=Rollout(1000)), stored.get, "ars-liv-2025")
    assert found.rollout == Rollout(1000, "ars-liv-2025")
    assert found.segments is not None
    (half,) = found.segments.segments
    assert half.audience is not None
    assert half.audience.rollout == Rollout(5000, "half")
    salted = Audience(everyone=True, rollout=Rollout(1000, "spring"))
    assert resolved(salted, {}.get, "ars-liv-2025") == salted


def test_who_uses_a_segment_directly_or_through_others():
    stored = {"a": tagged("a"), "b": of("a"), "c": Audience(everyone=True, exclude=of("b")), "d": tagged("d")}
    assert using("a", stored) == ["b", "c"]
    assert using("d", stored) == []
