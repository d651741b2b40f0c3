"""Places on a sphere, and circles around them: held against the haversine formula, poles and antimeridian too."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.domain.location import EARTH_RADIUS, LARGEST_RADIUS, Circle, place

latitudes = st.floats(-90, 90)
longitudes = st.floats(-180, 180)
radii = st.floats(0.001, LARGEST_RADIUS)
ROUNDING = 2e-5
"""Kilometres: both ends of a line are rounded to whole centimetres."""


def haversine(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    """Kilometres along the surface, as every textbook has it."""
    phi, other_phi = math.radians(latitude), math.radians(other_latitude)
    half = math.sin((other_phi - phi) / 2) ** 2
    half += math.cos(phi) * math.cos(other_phi) * math.sin(math.radians(other_longitude - longitude) / 2) ** 2
    return 2 * EARTH_RADIUS / 100_000 * math.asin(math.sqrt(min(half, 1)))


@given(latitudes, longitudes, latitudes, longitudes, radii)
def test_a_circle_holds_what_is_no_farther_than_its_radius(
    latitude, longitude, other_latitude, other_longitude, radius
):
    distance = haversine(latitude, longitude, other_latitude, other_longitude)
    holds = Circle(latitude, longitude, radius).holds(place(other_latitude, other_longitude))
    # Near the other side of the Earth a centimetre of chord is many of arc.
    slack = ROUNDING + 0.1 * (distance > 19_900)
    if abs(distance - radius) > slack:
        assert holds == (distance < radius)


@pytest.mark.parametrize(
    ("latitude", "longitude", "other_latitude", "other_longitude", "kilometres"),
    [
        (0, 179.95, 0, -179.95, 11.12),  # across the antimeridian
        (65, 180, 65, -180, 0.001),  # which has two names
        (89.95, 0, 89.95, 180, 11.12),  # across the pole
        (90, 0, 90, 137, 0.001),  # which has every longitude
        (-90, 12, -89.9, -80, 11.12),
        (41.0082, 28.9784, 39.9334, 32.8597, 349.4),  # Istanbul to Ankara
    ],
)
def test_distances_that_formulas_get_wrong(latitude, longitude, other_latitude, other_longitude, kilometres):
    other = place(other_latitude, other_longitude)
    assert Circle(latitude, longitude, kilometres * 1.01).holds(other)
    if kilometres > 1:
        assert not Circle(latitude, longitude, kilometres * 0.99).holds(other)


@given(latitudes, longitudes, latitudes, longitudes)
def test_the_largest_circle_is_the_whole_earth(latitude, longitude, other_latitude, other_longitude):
    assert Circle(latitude, longitude, LARGEST_RADIUS).holds(place(other_latitude, other_longitude))


@given(latitudes, longitudes, latitudes, longitudes)
def test_no_square_of_a_distance_exceeds_what_a_database_holds(latitude, longitude, other_latitude, other_longitude):
    one, other = place(latitude, longitude), place(other_latitude, other_longitude)
    assert (one.x - other.x) ** 2 + (one.y - other.y) ** 2 + (one.z - other.z) ** 2 < 2**63
    assert Circle(latitude, longitude, LARGEST_RADIUS).chord ** 2 < 2**63
