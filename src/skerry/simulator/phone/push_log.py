"""What a phone remembers of its pushes: the latest records, and counts that never forget; and a budget over time."""

from collections import Counter, deque

from skerry.simulator.phone.verdict import PushRecord, Verdict


class PushLog:
    """Every push has one record here, and one final verdict in `counts` once it is decided."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._records: dict[int, PushRecord] = {}
        self.received = 0
        self.counts: Counter[Verdict] = Counter()

    def add(self, record: PushRecord) -> PushRecord:
        """Take down a push; the oldest record makes room."""
        self._records[record.number] = record
        self._count(record)
        if len(self._records) > self._kept:
            del self._records[next(iter(self._records))]
        return record

    def next_number(self) -> int:
        """The number of the push that arrives now."""
        self.received += 1
        return self.received

    def settle(self, record: PushRecord) -> PushRecord:
        """Write the final verdict of a push that was `STORED`; keeps its place where it is still remembered."""
        if record.number in self._records:
            self._records[record.number] = record
        self._count(record)
        return record

    @property
    def records(self) -> list[PushRecord]:
        """The remembered pushes, in order of arrival."""
        return list(self._records.values())

    def _count(self, record: PushRecord) -> None:
        if record.verdict.is_final:
            self.counts[record.verdict] += 1


class Budget:
    """So many within a sliding time; what is over it is refused and does not count."""

    def __init__(self, limit: int, window_s: float) -> None:
        self.limit = limit
        self.window_s = window_s
        self._spent: deque[float] = deque()

    def spend(self, now: float) -> bool:
        """Take one; False when nothing is left."""
        if self.left(now) == 0:
            return False
        self._spent.append(now)
        return True

    def left(self, now: float) -> int:
        """How many may still be taken at this moment."""
        while self._spent and self._spent[0] <= now - self.window_s:
            self._spent.popleft()
        return self.limit - len(self._spent)
