"""Frame: what to push to each card of a claimed chunk, at the moment of sending. Pure but for the rows it is given."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from skerry.delivery.personalizing import People, write
from skerry.domain import payload
from skerry.domain.activity import framing_stamp
from skerry.domain.card import NO_ANSWER, NO_TOKEN, CardStatus
from skerry.domain.chunk import Chunk, Recipient
from skerry.domain.ids import CardNumber, ChannelId, Millis, RevisionNumber, Seconds
from skerry.domain.push import Environment
from skerry.domain.revision import Revision, RevisionKind
from skerry.domain.verdict import Verdict

_OVER = frozenset(int(status) for status in CardStatus if status.is_over)
_MOVED, _STARTING, _RENEWED = int(CardStatus.MOVED), int(CardStatus.STARTING), int(CardStatus.RENEWED)
"""Plain numbers: a million cards are asked, and Python 3.11 looks members of an enum up through a function."""


NO_START_TOKEN: Final = "NoStartToken"  # noqa: S105 - a reason
"""Our word for a start whose device had no start token any more by the time it was to go out: the next one's report
starts the device anew."""

BEFORE_REPEAT: Final[Mapping[str | None, Verdict]] = {NO_ANSWER: Verdict.UNKNOWN, NO_TOKEN: Verdict.ACCEPTED}
"""What is known of the start before, by why it is being repeated: what stays where the repeat comes to nothing."""

NO_CHANNELS: Mapping[Environment, ChannelId] = {}
ANYBODY: People = {}


@dataclass(frozen=True, slots=True)
class Shipment:
    """The same body (or `bodies`) to some cards of a chunk in one environment."""

    environment: Environment
    body: bytes
    recipients: Sequence[Recipient]
    channel: ChannelId | None = None
    """On which the cards of a start will listen."""
    bodies: Sequence[bytes] | None = None
    """One for each recipient instead, where each gets another one."""


@dataclass(frozen=True, slots=True)
class Framed:
    """A chunk, ready to go: what is sent, and the verdicts of those to whom nothing is."""

    stamp: Seconds
    shipments: Sequence[Shipment]
    verdicts: Mapping[CardNumber, Verdict] = field(default_factory=dict)
    shown: RevisionNumber = RevisionNumber(0)
    """The revision whose state the body shows."""
    late: Sequence[CardNumber] = ()
    """Cards that had to wait for their start until the activity was over: nobody wants them any more."""
    refused: Mapping[CardNumber, str] = field(default_factory=dict)
    """Cards for which no body can be written, and why."""

    @property
    def listening(self) -> list[CardNumber]:
        """The cards that are being started on a channel."""
        return [one.number for shipment in self.shipments if shipment.channel for one in shipment.recipients]

    @property
    def deaf(self) -> list[CardNumber]:
        """The cards that were to be started on a channel before this, and now get a token instead."""
        without = [shipment for shipment in self.shipments if not shipment.channel]
        return [one.number for shipment in without for one in shipment.recipients if one.on_channel]


def frame(
    chunk: Chunk,
    revision: Revision,
    newer: Revision | None,
    recipients: Sequence[Recipient],
    numbers: Sequence[CardNumber],
    default: Environment,
    now: Millis,
    channels: Mapping[Environment, ChannelId] = NO_CHANNELS,
    people: People = ANYBODY,
) -> Framed:
    """Decide for each card of `numbers` whether and what to push.

    Args:
        chunk: the chunk; `floor` is respected.
        revision: the chunk's.
        newer: the revision that these cards must end on, where it is newer than the chunk's.
        recipients: the chunk's cards with their tokens.
        numbers: the cards whose turn it is.
        default: where to try devices that have not said theirs.
        now: the time.
        channels: for a start: where phones that can are to listen.
        people: whose the cards are, where what they get may depend on it (`personalizing.need`).
    """
    by_number = {one.number: one for one in recipients}
    stamp = framing_stamp(revision, now, chunk.floor, newer)
    superseded = newer is not None and revision.supersedable
    verdicts: dict[CardNumber, Verdict] = {}
    groups: dict[tuple[Environment, bool], list[Recipient]] = defaultdict(list)
    shown = newer.number if newer is not None else revision.number
    starting = revision.kind is RevisionKind.START
    # An end has been broadcast already: a card that begins to listen now would never hear of it.
    ending = newer is not None and newer.kind is RevisionKind.END
    late: list[CardNumber] = []
    refused: dict[CardNumber, str] = {}
    for number in numbers:
        one = by_number.get(number)
        verdict = Verdict.SUPERSEDED if superseded else unsendable(one, revision.kind)
        if verdict is not None or one is None:
            verdicts[number] = verdict or Verdict.NO_CARD
        elif starting and ending and one.repeated_for in BEFORE_REPEAT:
            # Both cards would be there, and one end for them. Should the first be, the end follows its token.
            verdicts[number] = BEFORE_REPEAT[one.repeated_for]
        elif one.token is None and starting:
            refused[number] = NO_START_TOKEN
        elif one.held and ending and not chunk.attempt:
            verdicts[number] = Verdict.OVER
            late.append(number)
        else:
            groups[one.environment or default, starting and one.modern].append(one)
    state = newest_state(revision, newer)
    if state is None and newer is not None and newer.state is not None:
        shown = revision.number
    shipments: list[Shipment] = []
    for (environment, modern), group in groups.items():
        channel = channels.get(environment) if modern and not ending else None
        written = write(
            revision,
            group,
            people,
            partial(_body, revision, stamp, state, channel, modern=modern),
            lambda: payload.body(replace(revision, state=None, alert=None), stamp),
        )
        if written.recipients:
            bodies = None if written.body is not None else written.bodies
            shipments.append(Shipment(environment, written.body or b"", written.recipients, channel, bodies))
        refused |= written.refused
    return Framed(stamp, shipments, verdicts, shown, late, refused)


def newest_state(revision: Revision, newer: Revision | None) -> bytes | None:
    """The state that a push of a revision shows once a newer one is there; None: its own.

    A start that waited shows the newest state at once, and so does an update that alerts: the newer one may have been
    shown already, with a stamp from before both were made anew for cards that had to wait. Attributes and alert are the
    revision's own. Each was checked to fit with what it came with, not with the other: where both together are too
    large the card shows what the revision says, and gets the newest state when that reaches it.
    """
    if newer is None or newer.state is None or revision.kind not in (RevisionKind.START, RevisionKind.UPDATE):
        return None
    fits = payload.largest_body(replace(revision, state=newer.state)) <= payload.MAX_BODY
    return newer.state if fits else None


def _body(
    revision: Revision,
    stamp: Seconds,
    state: bytes | None,
    channel: ChannelId | None,
    alert: bytes | None,
    *,
    modern: bool,
) -> bytes:
    return payload.body(revision, stamp, state=state, alert=alert, input_push_token=modern, channel=channel)


def unsendable(one: Recipient | None, kind: RevisionKind) -> Verdict | None:
    """Why nothing is pushed to a card; None: it is."""
    if one is None or one.status == _MOVED:
        return Verdict.NO_CARD
    if kind is RevisionKind.START:
        # A card that has reported its token, or was closed, needs no start.
        return Verdict.OVER if one.status != _STARTING else None
    if kind is RevisionKind.FAREWELL:
        return Verdict.OVER if one.status != _RENEWED or one.token is None else None
    if one.status in _OVER:
        return Verdict.OVER
    if one.on_channel:
        return Verdict.ON_CHANNEL
    return Verdict.HELD if one.token is None else None
