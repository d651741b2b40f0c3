"""What an activity ought to show, and where: a page of rules that knows nothing of how Skerry keeps them."""

from dataclasses import dataclass, field

from skerry.domain.desired import Policies, Swipe
from skerry.domain.ids import GroupId


@dataclass
class ReferenceModel:
    """One activity. Everybody is in its audience; `away` are those whose owners have swiped it away."""

    group: GroupId
    policies: Policies
    run: int = 0
    state: int = 0
    alerts: bool = False
    running: bool = False
    said_at: float = 0.0
    """When the newest state was."""
    began: dict[int, float] = field(default_factory=dict)
    """When each run began."""
    away: dict[str, float] = field(default_factory=dict)
    """Since when, for each phone."""

    def put(self, now: float, *, alerts: bool) -> None:
        """A new state is wanted."""
        if not self.running:
            self.run += 1
            self.began[self.run] = now
            self.away.clear()
        self.running = True
        self.said_at = now
        self.state += 1
        self.alerts = alerts
        swipe, held_for = self.policies.swipe, self.policies.swipe_for / 1000
        if swipe is Swipe.IGNORE or (swipe is Swipe.UNTIL_NEXT_ALERT and alerts):
            self.away.clear()
        elif swipe is Swipe.AFTER:
            self.away = {phone: since for phone, since in self.away.items() if now - since <= held_for}

    def end(self) -> None:
        """It is over."""
        self.running = False

    def swiped(self, phone: str, now: float) -> None:
        """A person has swiped its card away."""
        if self.running:
            self.away[phone] = now

    def is_due_on(self, phone: str) -> bool:
        """Whether the phone must show it, once everything has come to rest."""
        return self.running and phone not in self.away

    @property
    def content_state(self) -> bytes:
        """What every card of the present run must show."""
        return b'{"n":%d}' % self.state
