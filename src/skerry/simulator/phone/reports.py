"""What the app on a phone tells the service, and how badly: late, twice, out of order or never."""

import heapq
import random
from dataclasses import dataclass, field

from skerry.domain.device import DeviceEventKind
from skerry.domain.push import Environment

_MOST_TIMES = 10
_LONGEST_DELAY_S = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class Installation:
    """Who reports: the app on this phone and the person it has identified."""

    id: str
    secret: str = field(repr=False)
    ext_id: str | None
    """None: the app has never identified anybody; empty: the person has signed out."""
    environment: Environment
    os_version: str
    app_version: str = "1.0"
    device_model: str = "iPhone17,1"
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Report:
    """One event as the app sends it.

    `time` is when the thing happened on the phone, also where the report leaves late: only so can the service tell an
    old token that arrives late from a new one.
    """

    installation: Installation
    kind: DeviceEventKind
    time: float
    token: str | None = None
    group_id: str | None = None


@dataclass(frozen=True, slots=True)
class ReportRule:
    """How one kind of report leaves the phone.

    Raises:
        ValueError: naming the field and its range.
    """

    delay_s: float = 0.0
    times: int = 1
    """0: never; 2: the same event twice."""

    def __post_init__(self) -> None:
        if not 0 <= self.delay_s <= _LONGEST_DELAY_S:
            raise ValueError(f"delay_s: must be seconds from 0 to {_LONGEST_DELAY_S:.0f}")
        if not 0 <= self.times <= _MOST_TIMES:
            raise ValueError(f"times: must be from 0 (never) to {_MOST_TIMES}")


@dataclass(frozen=True, slots=True)
class ReportPolicy:
    """How the app of this phone reports; the default is at once, once, in order."""

    start_token: ReportRule = ReportRule()
    update_token: ReportRule = ReportRule()
    close: ReportRule = ReportRule()
    shuffle: bool = False
    """Reports that leave at the same moment leave in any order."""

    def rule(self, kind: DeviceEventKind) -> ReportRule:
        """The rule for this kind of report."""
        match kind:
            case DeviceEventKind.START_TOKEN:
                return self.start_token
            case DeviceEventKind.UPDATE_TOKEN:
                return self.update_token
            case DeviceEventKind.CLOSE:
                return self.close


class ReportSchedule:
    """Reports that wait for their moment, in order of leaving."""

    def __init__(self, seed: str) -> None:
        self._heap: list[tuple[float, int, Report]] = []
        self._count = 0
        self._seed = seed
        self._random: random.Random | None = None

    def add(self, report: Report, rule: ReportRule) -> None:
        """Let it leave `rule.delay_s` after it happened, `rule.times` times."""
        for _ in range(rule.times):
            self._count += 1
            heapq.heappush(self._heap, (report.time + rule.delay_s, self._count, report))

    def take_due(self, now: float, *, shuffle: bool) -> list[Report]:
        """Everything that has to leave by `now`."""
        due = []
        while self._heap and self._heap[0][0] <= now:
            due.append(heapq.heappop(self._heap)[2])
        if shuffle and due:
            if self._random is None:  # made when it is needed: it is half of what a phone weighs
                # Shuffling is play, not secrecy, and must repeat with the seed.
                self._random = random.Random(self._seed)  # noqa: S311
            self._random.shuffle(due)
        return due

    def next_due(self) -> float | None:
        """When the next one leaves."""
        return self._heap[0][0] if self._heap else None

    def clear(self) -> None:
        """Forget them all: the app is gone."""
        self._heap.clear()

    def __len__(self) -> int:
        return len(self._heap)
