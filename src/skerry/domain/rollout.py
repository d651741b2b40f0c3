"""A rollout: a share of an audience, drawn so that a larger share only adds devices.

Each salt and device give a number below 10,000, and a device belongs to the share when its number is lower. The
number is `(a × device + b) mod 2³¹-1 mod 10,000` with `a` and `b` from the salt's BLAKE2b: whole numbers of at most 62
bits, so that a database computes the same without a function of ours. Two salts draw independently; a device keeps
its number for as long as it is known.
"""

import hashlib
from dataclasses import dataclass

PARTS = 10_000
"""A share is a number of these: hundredths of a percent."""

PRIME = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Rollout:
    """`share` of `PARTS`. `salt` None: not decided yet, see `domain.segment.resolved`."""

    share: int
    salt: str | None = None

    @property
    def multipliers(self) -> tuple[int, int]:
        """`a` and `b` of the salt."""
        digest = hashlib.blake2b((self.salt or "").encode(), digest_size=16).digest()
        a = int.from_bytes(digest[:8]) % (PRIME - 1) + 1
        return a, int.from_bytes(digest[8:]) % PRIME

    def holds(self, device: int) -> bool:
        """Whether the device has been drawn."""
        a, b = self.multipliers
        return (a * (device % PRIME) + b) % PRIME % PARTS < self.share
