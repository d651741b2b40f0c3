"""A script: the phases of an activity with the moments at which they begin, and how far it has come.

Pure. Moments are fixed when the script is accepted; from then on it only moves forward, also where a clock is set back.
A phase that has been overtaken by a later one before it was shown is skipped: nobody is shown, or rung for, the past.
"""

from bisect import bisect_right
from dataclasses import dataclass, replace

from skerry.domain.activity import End
from skerry.domain.budget import HIGH, LOW
from skerry.domain.desired import Desired, Priority, ScriptPhase
from skerry.domain.errors import FieldRefusedError
from skerry.domain.ids import ActivityId, Millis, Seconds


@dataclass(frozen=True, slots=True)
class Script:
    """The phases of one activity. `times` has the beginning of each, strictly rising."""

    activity_id: ActivityId
    phases: tuple[ScriptPhase, ...]
    times: tuple[Millis, ...]
    ends_at: Millis | None
    """When the activity ends; the last phase's own beginning where that is the end. None: not by itself."""
    place: int = 0
    """How many phases have begun; 0: what was shown at first still is."""

    @property
    def due_at(self) -> Millis | None:
        """When it goes on; None: never, it stays in its last phase."""
        return self.times[self.place] if self.place < len(self.times) else self.ends_at

    def at(self, now: Millis) -> "Script":
        """The script as it is at this moment."""
        return replace(self, place=max(self.place, bisect_right(self.times, now)))

    def is_over(self, now: Millis) -> bool:
        """Whether the activity has to end."""
        return self.ends_at is not None and self.ends_at <= now

    @property
    def ends_in_seconds(self) -> Seconds | None:
        """`ends_at` as pushes say it: not before it."""
        return None if self.ends_at is None else Seconds(-(-self.ends_at // 1000))

    def last_word(self, dismissal: Seconds | None) -> End:
        """The end: with the last phase's state unless that is shown already, and with its alert where it is the end."""
        if self.place == len(self.phases):
            return End(dismissal_date=dismissal)
        last = self.phases[-1]
        return End(
            state=last.state,
            priority=LOW if last.priority is Priority.LOW else HIGH,
            dismissal_date=dismissal,
            alert=last.alert if self.ends_at == self.times[-1] else None,
        )

    def shown(self, desired: Desired) -> Desired:
        """What is to be shown now: the wish itself before the first phase, from then on with what the phase says.

        A change of phase is what a person must see: with the priority `auto` it may spend the budget.
        """
        if not self.place:
            return desired
        phase = self.phases[self.place - 1]
        return replace(
            desired, state=phase.state, alert=phase.alert, priority=phase.priority, relevance=phase.relevance,
            stale_at=phase.stale_at, important=True,
        )  # fmt: skip


def begin(activity_id: ActivityId, desired: Desired, since: Millis, now: Millis) -> Script | None:
    """The script that a wish brings, as it is now; None: it brings none.

    Args:
        activity_id: whose script it is.
        desired: the wish.
        since: from when the first phase's `after` counts.
        now: the present. Phases that have passed are not errors: a wish may be said again.

    Raises:
        FieldRefusedError: if a phase does not come after the one before it, or the activity would be over already.
    """
    if not desired.phases:
        return None
    times: list[Millis] = []
    for number, phase in enumerate(desired.phases):
        before = times[-1] if times else since
        time = phase.at if phase.at is not None else Millis(before + (phase.after or 0))
        if times and time <= before:
            field = f"phases[{number}].{'at' if phase.at is not None else 'after'}"
            raise FieldRefusedError(field, "does not come after the phase before", "send phases in the order of time")
        times.append(time)
    ends_at = None if desired.end_after is None else Millis(times[-1] + desired.end_after)
    script = Script(activity_id, desired.phases, tuple(times), ends_at).at(now)
    if script.is_over(now):
        raise FieldRefusedError("phases", "lie in the past, and so does the end", "send times to come")
    return script
