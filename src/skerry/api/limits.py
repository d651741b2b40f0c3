"""Token buckets in memory: how fast one installation, or one address, may report events."""

from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address

from skerry.domain.app import Address

_HOST_BITS = 64


def bucket_of(address: Address | None) -> str:
    """One caller's bucket: an IPv6 host has a whole /64 to take addresses from."""
    if isinstance(address, IPv6Address):
        return f"{int(address) >> _HOST_BITS:x}::/64"
    return str(address)


class RateLimit:
    """A bucket per name, refilled at a steady rate; the least used are forgotten beyond `most`."""

    def __init__(self, per_minute: float, burst: float, *, clock: Callable[[], float], most: int = 200_000) -> None:
        self._rate = per_minute / 60
        self._burst = burst
        self._clock = clock
        self._most = most
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str, count: int) -> float:
        """Take `count` from the bucket; 0 if it had them, else the seconds until it will (and nothing is taken)."""
        now = self._clock()
        level, at = self._buckets.pop(name, (self._burst, now))
        level = min(self._burst, level + (now - at) * self._rate)
        granted = level >= min(count, self._burst)
        self._buckets[name] = (level - count if granted else level, now)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return 0.0 if granted else (min(count, self._burst) - level) / self._rate
