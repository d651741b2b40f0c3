"""The tally: how pushes have fared since the process began. Nothing is decided by it; `/metrics` shows it."""

from collections import Counter
from collections.abc import Iterable

from skerry.delivery.durations import Durations
from skerry.delivery.settlement import Answer
from skerry.domain.push import Outcome
from skerry.domain.verdict import Verdict


class Tally:
    """Counts what is on disk."""

    def __init__(self) -> None:
        self.verdicts: Counter[Verdict] = Counter()
        """How many pushes ended in which verdict."""
        self.reasons: Counter[str] = Counter()
        """How many refusals by APNs' reason."""
        self.broadcasts: Counter[Outcome] = Counter()
        """How many broadcasts ended how."""
        self.to_wire = Durations()
        """From the commit that made pushes due to their first writing."""
        self.to_verdict = Durations()
        """And to the commit of what became of them."""

    def judged(self, accepted: int, others: Iterable[Answer]) -> None:
        """So many were simply accepted; of the others each says what became of it."""
        self.verdicts[Verdict.ACCEPTED] += accepted
        for answer in others:
            self.verdicts[Verdict[answer.outcome.name]] += 1
            if answer.rejected is not None:
                self.reasons[answer.rejected.reason] += 1
