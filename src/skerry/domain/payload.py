"""The body of a push, and the raw-JSON surgery that lets what the caller sent reach the phone byte for byte.

`contentState` and attributes are never parsed and encoded again on their way: 0.5 stays 0.5 and 1 stays 1, because
Swift's decoding is strict about both (netmera.md Q21, architecture invariant 7).
"""

from collections.abc import Callable, Mapping

import msgspec

from skerry.domain import languages, personal
from skerry.domain.commands import Wording
from skerry.domain.ids import ChannelId, Seconds
from skerry.domain.revision import Revision, RevisionKind

MAX_BODY = 4096
"""Bytes of a device push (apple.md 3.2)."""

GROUP_ID_ATTRIBUTE = "netmeraGroupId"
"""Where Netmera's Swift SDK reads the group id from (netmera.md section 4)."""

_LONGEST_CHANNEL = ChannelId("=" * 44)
"""Twice what APNs gives (24 characters, apple.md 5.2), though it promises no size."""

_EVENTS = {kind: kind.event.encode() for kind in RevisionKind}


def body(
    revision: Revision,
    timestamp: Seconds,
    *,
    state: bytes | None = None,
    alert: bytes | None = None,
    input_push_token: bool = False,
    channel: ChannelId | None = None,
) -> bytes:
    """The JSON body of a push of this revision.

    Args:
        revision: what to push.
        timestamp: APNs' `timestamp`, from `activity.framing_stamp`.
        state: a newer state to send instead of the revision's own (a start that waited carries the newest one).
        alert: an alert to send with it instead of the revision's own.
        input_push_token: ask for an update token; understood from iOS 18 on (apple.md 4.1).
        channel: the new card listens on this channel instead; below iOS 18 it would not start.
    """
    shown = state if state is not None else revision.state
    loud = alert if alert is not None else revision.alert
    parts = []
    if revision.kind is RevisionKind.START:
        parts.append(b',"attributes-type":' + msgspec.json.encode(revision.attributes_type))
        parts.append(b',"attributes":' + (revision.attributes or b"{}"))
        if channel is not None:
            parts.append(b',"input-push-channel":' + msgspec.json.encode(channel))
        elif input_push_token:
            parts.append(b',"input-push-token":1')
    return change(
        revision.kind,
        timestamp,
        shown,
        loud,
        relevance=revision.relevance,
        stale_date=revision.stale_date,
        dismissal_date=revision.dismissal_date,
        start=b"".join(parts),
    )


def change(
    kind: RevisionKind,
    timestamp: Seconds,
    state: bytes | None,
    alert: bytes | None = None,
    *,
    relevance: float | None = None,
    stale_date: Seconds | None = None,
    dismissal_date: Seconds | None = None,
    start: bytes = b"",
) -> bytes:
    """The same from its parts; `start`: the members that only a start has."""
    body = b'{"aps":{"timestamp":%d,"event":"%s"%s' % (timestamp, _EVENTS[kind], start)
    if state is not None:
        body += b',"content-state":' + state
    if alert is not None:
        body += b',"alert":' + alert
    if relevance is not None:
        body += b',"relevance-score":' + msgspec.json.encode(relevance)
    if stale_date is not None:
        body += b',"stale-date":%d' % stale_date
    if dismissal_date is not None:
        body += b',"dismissal-date":%d' % dismissal_date
    return body + b"}}"


def largest_body(revision: Revision) -> int:
    """Bytes of the largest body that a push of this revision can have: what is checked before it is accepted.

    A placeholder counts with its default, or with nothing: how long values are is seen when they are filled in.
    """
    return largest(
        revision.alert, lambda alert: body(revision, revision.timestamp, alert=alert, channel=_LONGEST_CHANNEL)
    )


def largest(alert: bytes | None, written: Callable[[bytes | None], bytes]) -> int:
    """Bytes of the largest of the bodies that are written with this alert, one in each of its languages."""
    return max(personal.least_size(written(one)) for one in languages.variants(alert))


def alert_of(title: str, text: str, more: Mapping[str, Wording] | None = None) -> bytes:
    """Apple's alert object for a start, which needs one (apple.md 4.2); `more`: in other languages, by tag."""
    titles = {tag: one.title for tag, one in (more or {}).items() if one.title is not None}
    texts = {tag: one.text for tag, one in (more or {}).items() if one.text is not None}
    both = {
        "title": {languages.DEFAULT: title, **titles} if titles else title,
        "body": {languages.DEFAULT: text, **texts} if texts else text,
    }
    return msgspec.json.encode(both)


def members(raw: bytes) -> dict[str, bytes]:
    """The members of a raw JSON object, their values untouched.

    Raises:
        ValueError: if it is not a JSON object.
    """
    try:
        parsed = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error
    return {name: bytes(value) for name, value in parsed.items()}


def text_members(raw: bytes) -> dict[str, str]:
    """Those members of a raw JSON object whose values are strings."""
    return {
        name: msgspec.json.decode(value, type=str) for name, value in members(raw).items() if value.startswith(b'"')
    }


def with_member(raw: bytes, name: str, value: str) -> bytes:
    """The raw JSON object with one more string member in front, the rest byte for byte as it was."""
    start = raw.index(b"{") + 1
    rest = raw[start:]
    separator = b"" if rest.lstrip().startswith(b"}") else b","
    return raw[:start] + msgspec.json.encode(name) + b":" + msgspec.json.encode(value) + separator + rest


def merged(base: bytes | None, over: bytes | None) -> bytes | None:
    """A shallow merge of two raw JSON objects: the members of `over` replace those of `base`, values untouched."""
    if base is None or over is None:
        return over if over is not None else base
    both = members(base) | members(over)
    return b"{" + b",".join(msgspec.json.encode(name) + b":" + value for name, value in both.items()) + b"}"
