"""The judge: compares what the client said with what the simulated APNs has written down (I1 to I6)."""

import asyncio
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from skerry.domain.push import Outcome
from skerry.simulator.apns import Ending, Entry
from skerry.simulator.virtual import VirtualLoop

if TYPE_CHECKING:
    from testbed import Bed, Sent

TICK = 0.25 + 1e-6
"""A deadline is looked at four times a second."""
REPEATABLE = {"ExpiredProviderToken", "TooManyProviderTokenUpdates"}
"""Refusals after which the client sends again by itself."""


class BrokenInvariantError(AssertionError):
    """An invariant does not hold."""


def judge(bed: "Bed") -> None:
    """Raises `BrokenInvariantError` naming the invariant."""
    seen: dict[str, list[Entry]] = defaultdict(list)
    for entry in bed.entries():
        if entry.token is not None:
            seen[entry.token].append(entry)
    batches = Counter(token for sent in bed.sent for token in sent.batch.tokens)
    for sent in bed.sent:
        if not sent.abandoned:
            _batch(sent, seen, batches, bed.loop.wall() - bed.loop.time())
    _once(bed)
    _strictly(bed)


def _batch(sent: "Sent", seen: dict[str, list[Entry]], batches: Counter[str], epoch: float) -> None:
    outcomes = sent.outcomes
    if outcomes is None or sent.returned_at is None:
        raise BrokenInvariantError("I1: a batch has no results")
    late = sent.returned_at - sent.submitted_at - sent.batch.deadline
    if late > TICK:
        raise BrokenInvariantError(f"I6: results came {late:.3f} s after their deadline")
    if len(outcomes.codes) != len(sent.batch.tokens):
        raise BrokenInvariantError("I1: more or fewer results than pushes")
    for place, (token, code) in enumerate(zip(sent.batch.tokens, outcomes.codes, strict=True)):
        entries = seen.get(token, [])
        if batches[token] > 1:  # delivery sends to a phone again and again
            body = sent.batch.body_of(place).decode()
            entries = [
                one for one in entries if one.body == body and sent.submitted_at <= one.time - epoch <= sent.returned_at
            ]
        _push(f"push {token[-6:]}", Outcome(code), outcomes.rejections.get(place), outcomes.causes.get(place), entries)


def _push(name: str, outcome: Outcome, rejected: Any, cause: str | None, entries: list[Entry]) -> None:
    if outcome is Outcome.PENDING:
        raise BrokenInvariantError(f"I1: {name} has no result")
    processed = [entry for entry in entries if entry.delivered]
    answers = [(entry.status, entry.reason) for entry in entries if entry.ending is Ending.ANSWERED]
    shown = f"{outcome.name} ({cause or rejected}), ledger {[(e.ending.value, e.status, e.reason) for e in entries]}"
    if len(processed) > 1:
        raise BrokenInvariantError(f"I2: {name} was delivered {len(processed)} times: {shown}")
    final = [
        entry
        for entry in entries
        if entry.ending not in (Ending.REFUSED, Ending.IGNORED) and entry.reason not in REPEATABLE
    ]
    if len(final) > 1:
        raise BrokenInvariantError(f"I2: {name} was sent again although it may have been processed: {shown}")
    if outcome is Outcome.NOT_PROCESSED and final:
        raise BrokenInvariantError(f"I2: {name} is said not to be processed: {shown}")
    if outcome is Outcome.ACCEPTED and not any(status == 200 for status, _ in answers):
        raise BrokenInvariantError(f"I3: {name} is said to be accepted: {shown}")
    if outcome is Outcome.REJECTED and not any(status == rejected.status for status, _ in answers):
        raise BrokenInvariantError(f"I3: {name} is said to be rejected: {shown}")
    if processed and outcome is Outcome.REJECTED:
        raise BrokenInvariantError(f"I3: {name} was delivered: {shown}")


def _once(bed: "Bed") -> None:
    """I1, the other half: nothing was counted twice inside the client."""
    for client in [] if bed.abandoned else bed.clients:
        mine = [sent for sent in bed.sent if sent.client is client]
        if any(sent.abandoned for sent in mine):
            continue
        submitted = sum(len(sent.batch.tokens) for sent in mine if sent.batch.tokens)
        counted = sum(sum(route.outcomes.values()) for route in client.stats().routes)
        refused = sum(
            list(sent.outcomes.causes.values()).count("shutdown") for sent in mine if sent.outcomes is not None
        )
        if not submitted - refused <= counted <= submitted:
            raise BrokenInvariantError(f"I1: {submitted} pushes were submitted and {counted} results counted")


def _strictly(bed: "Bed") -> None:
    """I5: the simulator ends the connection of a sender that breaks a rule, and says so."""
    for note in bed.ledger.notes():
        if "protocol error of the sender" in note.what or "Maximum active streams" in note.what:
            raise BrokenInvariantError(f"I5: connection {note.connection}: {note.what}")


def judge_quiet(loop: VirtualLoop, troubles: list[dict[str, Any]]) -> None:
    """I4: nothing goes on any more once client and server are closed."""
    tasks = [task for task in asyncio.all_tasks(loop) if not task.done()]
    if tasks:
        raise BrokenInvariantError(f"I4: tasks are left: {tasks}")
    if links := loop.network.links:
        raise BrokenInvariantError(
            f"I4: {len(links)} connections are left, opened at {[link.opened_at for link in links]}"
        )
    if timers := loop.timers():
        raise BrokenInvariantError(f"I4: {timers} timers are left")
    if troubles:
        raise BrokenInvariantError(f"I4: the event loop complained: {troubles}")
