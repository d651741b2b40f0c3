"""Personalize: from a revision to what each card gets of it, where that is not the same for all. Pure.

Cards of phones with the same language share a body, though not a batch: five small ones cost more than one with a body
for each push. Only placeholders make bodies card by card.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from skerry.domain import payload, personal
from skerry.domain.chunk import Recipient
from skerry.domain.ids import CardNumber, Seconds
from skerry.domain.languages import Alert
from skerry.domain.personal import NOBODY, Form, Need, Person, UnfilledError
from skerry.domain.revision import Revision, RevisionKind

PAYLOAD_TOO_LARGE: Final = "PayloadTooLarge"
"""Apple's reason for a body above the limit; said by us where only a card's own values make it so."""

People = Mapping[CardNumber, Person]
"""Whom cards belong to; empty where that makes no difference."""


@dataclass(slots=True)
class Written:
    """What is said to some cards: `bodies[n]` to `recipients[n]`, or `body` to all of them."""

    body: bytes | None = None
    bodies: list[bytes] = field(default_factory=list)
    recipients: list[Recipient] = field(default_factory=list)
    refused: dict[CardNumber, str] = field(default_factory=dict)
    """Cards to which nothing can be said, and why."""

    def say(self, body: bytes, recipients: Sequence[Recipient]) -> None:
        """The same to some more."""
        self.bodies += [body] * len(recipients)
        self.recipients += recipients


def need(revision: Revision, newer: Revision | None) -> Need:
    """What may have to be known of whose the cards are that get a revision, which may show a newer state."""
    attributes = revision.attributes if revision.kind is RevisionKind.START else None
    return personal.need(revision.alert, revision.state, attributes, newer.state if newer is not None else None)


def body_for_all(revision: Revision, stamp: Seconds, state: bytes | None = None) -> bytes | None:
    """The body of a broadcast; None: it is not the same for all. Of an end that differs what is the same remains.

    `state`: a newer one to show instead of the revision's own.
    """
    if Alert.of(revision.alert) is None:
        form = Form.of(payload.body(revision, stamp, state=state))
        if not form.blanks:
            return b"".join(form.layout)
    if revision.kind is RevisionKind.UPDATE:
        return None
    return payload.body(replace(revision, state=None, alert=None), stamp)


def write(
    revision: Revision,
    recipients: Sequence[Recipient],
    people: People,
    body: Callable[[bytes | None], bytes],
    bare: Callable[[], bytes],
) -> Written:
    """Write the bodies of a revision's pushes to cards that differ in nothing but whose they are.

    Args:
        revision: what is pushed.
        recipients: to whom.
        people: whose the cards are.
        body: the body with this alert, or with the revision's own.
        bare: the body without anything that has to be filled in. An end goes out so where it cannot go out whole: a
            card that should be gone must not stay because a name is missing.
    """
    written = Written()
    groups = _by_language(revision.alert, recipients, people)
    for alert, group in groups:
        text = body(alert)
        form = Form.of(text) if personal.may_be_personal(text) else None
        if form is not None and form.blanks:
            _fill(written, form, revision.kind, group, people, bare)
            continue
        text = text if form is None else b"".join(form.layout)
        if len(groups) == 1:
            return Written(text, recipients=group)
        written.say(text, group)
    return written


def _fill(
    written: Written,
    form: Form,
    kind: RevisionKind,
    recipients: Sequence[Recipient],
    people: People,
    bare: Callable[[], bytes],
) -> None:
    for one in recipients:
        try:
            body = form.filled(people.get(one.number, NOBODY).profile)
        except UnfilledError as error:
            why = error.reason
        else:
            if len(body) <= payload.MAX_BODY:
                written.bodies.append(body)
                written.recipients.append(one)
                continue
            why = PAYLOAD_TOO_LARGE
        if kind in (RevisionKind.END, RevisionKind.FAREWELL):
            written.say(bare(), [one])
        else:
            written.refused[one.number] = why


def _by_language(
    raw: bytes | None, recipients: Sequence[Recipient], people: People
) -> Sequence[tuple[bytes | None, list[Recipient]]]:
    alert = Alert.of(raw)
    if alert is None:
        return [(None, list(recipients))]
    spoken: dict[str | None, bytes] = {}
    groups: dict[bytes, list[Recipient]] = defaultdict(list)
    for one in recipients:
        language = people.get(one.number, NOBODY).language
        if language not in spoken:
            spoken[language] = alert.for_language(language)
        groups[spoken[language]].append(one)
    return list(groups.items())
