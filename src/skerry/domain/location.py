"""Where a device is, and whether that lies within a circle on the Earth.

A place is kept as its point on a sphere, in whole centimetres from the centre of the Earth. Then "within a radius" is
"within a chord", a comparison of whole numbers that Python, SQLite and PostgreSQL carry out alike, without
trigonometry and without a special case at the poles or at the antimeridian; and a circle lies within a cube, so that
an index on one coordinate finds the few places worth comparing. It is the haversine formula, read as a chord:
the haversine of an angle is the square of half its chord.
"""

import math
from dataclasses import dataclass

from skerry.domain.ids import Millis

EARTH_RADIUS = 637_100_880
"""Centimetres: the mean radius that the International Union of Geodesy and Geophysics gives, 6,371,008.8 m."""

LARGEST_RADIUS = 20_100.0
"""Kilometres: beyond half the Earth's circumference (20,015 km) every circle is the whole Earth."""


@dataclass(frozen=True, slots=True)
class Place:
    """A point on the sphere, in centimetres: x towards 0°N 0°E, y towards 0°N 90°E, z towards the North Pole.

    No square of a distance between two of these exceeds 63 bits.
    """

    x: int
    y: int
    z: int


@dataclass(frozen=True, slots=True)
class Location:
    """Where a device says it was, in degrees, and when."""

    latitude: float
    longitude: float
    time: Millis

    @property
    def place(self) -> Place:
        """The same as a point."""
        return place(self.latitude, self.longitude)


@dataclass(frozen=True, slots=True)
class Circle:
    """A centre in degrees, and a radius in kilometres along the surface."""

    latitude: float
    longitude: float
    radius: float

    @property
    def centre(self) -> Place:
        """The centre as a point."""
        return place(self.latitude, self.longitude)

    @property
    def chord(self) -> int:
        """The straight line from the centre to the edge, in centimetres, rounded down."""
        angle = min(self.radius * 100_000 / EARTH_RADIUS, math.pi)
        return math.floor(2 * EARTH_RADIUS * math.sin(angle / 2))

    def holds(self, one: Place) -> bool:
        """Whether a place lies within; a place on the edge does."""
        centre = self.centre
        squares = (one.x - centre.x) ** 2 + (one.y - centre.y) ** 2 + (one.z - centre.z) ** 2
        return squares <= self.chord**2


def place(latitude: float, longitude: float) -> Place:
    """The point of a latitude and a longitude in degrees."""
    phi, theta = math.radians(latitude), math.radians(longitude)
    return Place(
        round(EARTH_RADIUS * math.cos(phi) * math.cos(theta)),
        round(EARTH_RADIUS * math.cos(phi) * math.sin(theta)),
        round(EARTH_RADIUS * math.sin(phi)),
    )
