"""`/v1/activities`: requests read into desired states, and what became of them as answers."""

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Literal

import msgspec

from skerry.api.v1.audiences import read_audience
from skerry.api.v1.reading import Body, moment, read_params, refused, seconds, template_bytes, text
from skerry.domain import languages
from skerry.domain.activity import Activity, End, Phase
from skerry.domain.budget import OverBudget
from skerry.domain.card import CardStatus
from skerry.domain.desired import Desired, NoToken, Policies, Priority, Routing, ScriptPhase, Swipe
from skerry.domain.ids import GroupId, Millis
from skerry.domain.receipt import ActivityReceipt, CardReceipt, RevisionReceipt
from skerry.domain.revision import RevisionKind
from skerry.domain.script import Script
from skerry.domain.timeline import OnPhone, Timeline
from skerry.domain.verdict import OPEN, Verdict

ABSENT = msgspec.Raw()
"""An empty one: msgspec has no raw value that may be missing."""
MOST_ID = 256
MOST_VERSION = 2**53
LONGEST = timedelta(days=30)
MOST_PHASES = 100


_PRIORITIES: dict[float | str, Priority] = {5: Priority.LOW, 10: Priority.HIGH, "auto": Priority.AUTO}


class After(Body):
    """A swipe that counts for a while."""

    after: timedelta


class PhaseBody(Body):
    """What an activity should show from a later moment on."""

    state: msgspec.Raw
    at: Any = None
    after: timedelta | None = None
    alert: msgspec.Raw = ABSENT
    priority: float | str = "auto"
    relevance: float | None = None
    stale_at: Any = None


class PutBody(Body):
    """What an activity should show, for whom, and how it lives."""

    state: msgspec.Raw
    type: str | None = None
    attributes: msgspec.Raw = ABSENT
    alert: msgspec.Raw = ABSENT
    audience: Any = None
    priority: float | str = "auto"
    important: bool = False
    relevance: float | None = None
    stale_at: Any = None
    dismiss_at: Any = None
    dismiss_after: timedelta | None = None
    ends_at: Any = None
    phases: list[PhaseBody] | None = None
    end_after: str | None = None
    version: float | None = None
    dismissal: Literal["final", "until_next_alert", "ignore"] | After = "final"
    stale_after: timedelta | None = None
    silence_ttl: timedelta | None = None
    routing: Literal["auto", "tokens", "channel"] = "auto"
    frequent_updates: bool = False
    renew: bool = False
    late_joiners: bool = True
    no_token: Literal["wait", "lost", "again"] | None = None
    no_token_after: timedelta | None = None
    start_budget: Literal["hold", "refuse"] | None = None
    params: dict[str, Any] | None = None


class EndBody(Body):
    """How an activity ends. All of it may be left out."""

    state: msgspec.Raw = ABSENT
    alert: msgspec.Raw = ABSENT
    dismiss_at: Any = None
    version: float | None = None
    params: dict[str, Any] | None = None


def activity_id(value: str) -> GroupId:
    """The caller's id, from the path."""
    return GroupId(text(value, "id", MOST_ID) or "")


def desired(body: PutBody, group_id: GroupId, now: Millis) -> Desired:
    """The wish.

    Raises:
        ProblemError: 422 naming the field that cannot be.
    """
    params = read_params(body.params)
    state = template_bytes(body.state, "state", params)
    if state is None:
        raise refused("state", "is missing", "send the whole state that the phones should show")
    ends_at = seconds(body.ends_at, "ends_at")
    if ends_at is not None and ends_at * 1000 <= now:
        raise refused("ends_at", "lies in the past", "send a time to come, or DELETE the activity")
    return Desired(
        group_id=group_id,
        state=state,
        attributes_type=text(body.type, "type", MOST_ID),
        attributes=template_bytes(body.attributes, "attributes", params),
        alert=alert_of(body.alert, params),
        audience=None if body.audience is None else read_audience(body.audience, "audience"),
        priority=priority_of(body.priority),
        important=body.important,
        relevance=finite(body.relevance),
        stale_at=seconds(body.stale_at, "stale_at"),
        ends_at=ends_at,
        version=version(body.version),
        policies=_policies(body),
        phases=_phases(body, params),
        end_after=_end_after(body),
    )


def ending(body: EndBody) -> End:
    """The end."""
    params = read_params(body.params)
    return End(
        state=template_bytes(body.state, "state", params),
        alert=alert_of(body.alert, params),
        dismissal_date=seconds(body.dismiss_at, "dismiss_at"),
    )


def version(value: float | None) -> int | None:
    """The caller's version; JSON has one kind of number: 17.0 is 17."""
    if value is None:
        return None
    if not 0 <= value <= MOST_VERSION or value != int(value):
        raise refused("version", "is not a version", f"send a whole number from 0 to {MOST_VERSION}")
    return int(value)


def _phases(body: PutBody, params: Mapping[str, str]) -> tuple[ScriptPhase, ...]:
    """Whether their times are in order is for the service to say, which knows when it begins."""
    phases = body.phases or []
    if len(phases) > MOST_PHASES:
        raise refused("phases", f"has more than {MOST_PHASES} phases", "send the rest later")
    return tuple(_phase(phase, f"phases[{number}]", params) for number, phase in enumerate(phases))


def _phase(phase: PhaseBody, path: str, params: Mapping[str, str]) -> ScriptPhase:
    state = template_bytes(phase.state, f"{path}.state", params)
    if state is None:
        raise refused(f"{path}.state", "is missing", "send the whole state that the phones should show")
    at, after = moment(phase.at, f"{path}.at"), _millis(phase.after, f"{path}.after")
    if (at is None) == (after is None):
        problem = "is missing" if at is None else "is said as well as after"
        raise refused(f"{path}.at", problem, "say either at, a time, or after, a duration since the phase before")
    return ScriptPhase(
        state=state,
        at=at,
        after=after,
        alert=alert_of(phase.alert, params, f"{path}.alert"),
        priority=priority_of(phase.priority, f"{path}.priority"),
        relevance=finite(phase.relevance, f"{path}.relevance"),
        stale_at=seconds(phase.stale_at, f"{path}.stale_at"),
    )


def _end_after(body: PutBody) -> Millis | None:
    if body.end_after is None:
        return Millis(0)
    if not body.phases:
        raise refused("end_after", "is said without phases", "leave it out, or say ends_at")
    if body.end_after == "never":
        return None
    try:
        after = msgspec.convert(body.end_after, timedelta)
    except msgspec.ValidationError as error:
        raise refused("end_after", "is not a duration", 'send one such as PT2H, or "never"') from error
    return _millis(after, "end_after")


def _policies(body: PutBody) -> Policies:
    swipe, swipe_for = (
        (Swipe.AFTER, body.dismissal.after)
        if isinstance(body.dismissal, After)
        else (Swipe(body.dismissal), timedelta())
    )
    return Policies(
        swipe=swipe,
        swipe_for=_millis(swipe_for, "dismissal.after") or Millis(0),
        stale_after=_millis(body.stale_after, "stale_after"),
        silence_ttl=_millis(body.silence_ttl, "silence_ttl"),
        routing=Routing(body.routing),
        frequent=body.frequent_updates,
        renew=body.renew,
        late_joiners=body.late_joiners,
        dismiss_at=seconds(body.dismiss_at, "dismiss_at"),
        no_token=None if body.no_token is None else NoToken(body.no_token),
        no_token_after=_millis(body.no_token_after, "no_token_after"),
        dismiss_after=_millis(body.dismiss_after, "dismiss_after"),
        start_budget=None if body.start_budget is None else OverBudget(body.start_budget),
    )


def priority_of(value: float | str, path: str = "priority") -> Priority:
    """The priority; JSON has one kind of number: 10.0 is 10."""
    found = _PRIORITIES.get(value)
    if found is None:
        raise refused(path, f"is {value!r}", 'send 5, 10 or "auto"')
    return found


def _millis(value: timedelta | None, field: str) -> Millis | None:
    if value is None:
        return None
    if not timedelta() <= value <= LONGEST:
        raise refused(field, "is out of bounds", "send an ISO 8601 duration such as PT2H, at most 30 days")
    return Millis(int(value.total_seconds() * 1000))


def finite(value: float | None, path: str = "relevance") -> float | None:
    """A relevance score."""
    if value is not None and not abs(value) <= 1e308:  # noqa: PLR2004 - JSON has no infinity
        raise refused(path, "is out of bounds", "send a finite number")
    return value


def alert_of(raw: msgspec.Raw, params: Mapping[str, str], path: str = "alert") -> bytes | None:
    """Apple's alert, whose title and body are texts, `{"loc-key", "loc-args"}` (apple.md 4.2), or texts by language."""
    sent = template_bytes(raw, path, params)
    if sent is None:
        return None
    members: dict[str, Any] = msgspec.json.decode(sent)
    for name in languages.TEXTS:
        said = members.get(name, "")
        if isinstance(said, dict) and "loc-key" not in said:
            _check_languages(said, f"{path}.{name}")
        elif not isinstance(said, str | dict):
            raise refused(
                f"{path}.{name}",
                "is not a text",
                "send a text, texts by language, or an object with loc-key and loc-args",
            )
    if not isinstance(members.get("sound", ""), str):
        raise refused(f"{path}.sound", "is not a text", "send default, or the name of a file in the app")
    if "title" not in members and "body" not in members:
        raise refused(path, "says nothing", "send title and body")
    return sent


def _check_languages(texts: dict[str, Any], field: str) -> None:
    """Texts by language tag, with a default for the languages that are not there."""
    if languages.DEFAULT not in texts:
        raise refused(f"{field}.default", "is missing", "send the text for all other languages, or Apple's loc-key")
    if len(texts) > languages.MOST_LANGUAGES:
        problem = f"has more than {languages.MOST_LANGUAGES} languages"
        raise refused(field, problem, "let the app translate: send a loc-key")
    for tag, said in texts.items():
        if tag != languages.DEFAULT and languages.normal_tag(tag) is None:
            raise refused(f"{field}.{tag}", "is not a language tag", "send one such as en, pt-BR or zh-Hant")
        if not isinstance(said, str):
            raise refused(f"{field}.{tag}", "is not a text", "send the text in this language")


# ------------------------------------------------------------------ answers

COUNTS = ("started", "updated", "ended", "on_channel", "held", "waiting", "superseded", "unknown", "noop", "renewed")
_WORDS = {
    Verdict.HELD: "held",
    Verdict.ON_CHANNEL: "on_channel",
    Verdict.SUPERSEDED: "superseded",
    Verdict.UNKNOWN: "unknown",
}
_COUNTED = {
    RevisionKind.START: "started",
    RevisionKind.UPDATE: "updated",
    RevisionKind.END: "ended",
    RevisionKind.FAREWELL: "renewed",
}


def counts(receipts: list[RevisionReceipt], running: int) -> dict[str, Any]:
    """What became of the cards, and of the people for whom there is none, under the words of the API.

    `waiting` is what has no verdict yet; `noop` counts the running cards that nothing was due for.
    """
    found: Counter[str] = Counter()
    refused_by: Counter[str] = Counter()
    for receipt in receipts:
        for verdict, count in receipt.verdicts.items():
            found[_word(receipt.kind, verdict)] += count
        for reasons in (receipt.refusals, receipt.misses):
            refused_by.update({why: count for why, count in reasons.items() if why != "ALREADY_RUNNING"})
    found["noop"] = 0 if receipts else running
    return {name: found[name] for name in COUNTS} | {"refused": dict(refused_by)}


def _word(kind: RevisionKind, verdict: Verdict) -> str:
    if verdict in OPEN:
        return "waiting"
    return _COUNTED[kind] if verdict is Verdict.ACCEPTED else _WORDS.get(verdict, "others")


def is_settled(receipts: list[RevisionReceipt]) -> bool:
    """Whether nothing is open any more."""
    return not any(
        one.unplanned or any(verdict in OPEN for verdict in (*one.verdicts, one.broadcast)) for one in receipts
    )


def shown(receipt: ActivityReceipt, extra: Mapping[str, Any]) -> dict[str, Any]:
    """An activity as the API shows it."""
    activity = receipt.activity
    return {
        "id": receipt.names[0] if receipt.names else f"#{activity.activity_id}",
        "phase": activity.phase.name.lower(),
        "revision": activity.newest,
        "type": activity.attributes_type,
        "attributes": raw_of(activity.attributes),
        "state": raw_of(activity.state),
        "cards": {status.name.lower(): receipt.cards.get(status, 0) for status in CardStatus},
        "held_starts": receipt.held_starts,
        "created_at": activity.created_at,
        "ends_at": None if activity.ends_at is None else activity.ends_at * 1000,
        "ended_at": activity.ended_at,
        **extra,
    }


def shown_revision(receipt: RevisionReceipt) -> dict[str, Any]:
    """A revision with what became of it."""
    return {
        "revision": receipt.number,
        "kind": receipt.kind.name.lower(),
        "created_at": receipt.created_at,
        "timestamp": receipt.timestamp,
        "priority": receipt.priority,
        "settled": is_settled([receipt]),
        "broadcast": None if receipt.broadcast is None else receipt.broadcast.name.lower(),
        "verdicts": {verdict.name.lower(): count for verdict, count in receipt.verdicts.items()},
        "refused": {**receipt.refusals, **receipt.misses},
    }


def shown_card(receipt: CardReceipt, high_priority_left: int | None) -> dict[str, Any]:
    """A card: whether the phone shows what it should, and if not, why.

    `high_priority_left`: of the activity, whose cards all get the same pushes.
    """
    return {
        "number": receipt.number,
        "installation_id": receipt.installation_id,
        "user": receipt.ext_id,
        "status": receipt.status.name.lower(),
        "revision": receipt.target,
        "verdict": None if receipt.verdict is None else receipt.verdict.name.lower(),
        "reason": receipt.reason,
        "starts_at": receipt.starts_at,
        "high_priority_left": None if receipt.status.is_over else high_priority_left,
    }


def shown_timeline(timeline: Timeline, high_priority_left: int | None) -> dict[str, Any]:
    """What happened; and where a phone was asked for, whether it is there and if not, why."""
    shown: dict[str, Any] = {
        "events": [one.event.described() | _on_phone(one.on_phone) for one in timeline.entries],
        "next_after": timeline.following,
    }
    phone = timeline.phone
    if phone is not None:
        card = None if phone.card is None else shown_card(phone.card, high_priority_left)
        reason = phone.reason if phone.card is None else phone.card.reason
        shown["phone"] = {"installation_id": phone.installation_id, "card": card, "reason": reason}
    return shown


def _on_phone(found: OnPhone | None) -> dict[str, Any]:
    if found is None:
        return {}
    verdict = None if found.verdict is None else found.verdict.name.lower()
    return {"on_phone": {"card": found.card, "verdict": verdict, "reason": found.reason}}


def shown_script(script: Script | None) -> dict[str, Any] | None:
    """How far a script has come: phases are counted from 1, and 0 is what was shown before the first."""
    if script is None:
        return None
    following = None
    if script.place < len(script.phases):
        following = {"phase": script.place + 1, "at": script.times[script.place]}
    return {
        "phase": script.place,
        "of": len(script.phases),
        "since": script.times[script.place - 1] if script.place else None,
        "next": following,
        "ends_at": script.ends_at,
    }


def raw_of(value: bytes | None) -> msgspec.Raw | None:
    """JSON that is kept as text, to be told as it is."""
    return None if value is None else msgspec.Raw(value)


def is_running(activity: Activity) -> bool:
    """Whether it goes on."""
    return activity.phase is Phase.RUNNING
