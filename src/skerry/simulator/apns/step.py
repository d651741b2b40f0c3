"""The script of a chaos plan: what happens at a time, after so many requests, or after so many rejections."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

from skerry.simulator.apns.fault import ENDS, Selector, selection
from skerry.simulator.apns.fields import ChaosError, Fields, shown, told

_MAX_STREAM = 2**31 - 1
_MAX_CODE = 2**32 - 1
_MAX_COUNT = 1_000_000
_WHERE = ("all", "this", "oldest", "newest")
_LAST = ("served", "max")
_TRIGGERS = ("at_s", "after_requests", "after_rejections")
_DEEDS = ("set", "goaway", "drop", "settings", "frames", "expire_tokens")

SETTINGS: Mapping[str, int] = MappingProxyType(
    {
        "header_table_size": 1,
        "enable_push": 2,
        "max_concurrent_streams": 3,
        "initial_window_size": 4,
        "max_frame_size": 5,
        "max_header_list_size": 6,
    }
)
"""Names of settings by RFC 9113 6.5.2, and their ids; any other id may be given as a number."""

FRAME_KINDS: Mapping[str, int] = MappingProxyType(
    {
        "data": 0,
        "headers": 1,
        "priority": 2,
        "rst_stream": 3,
        "settings": 4,
        "push_promise": 5,
        "ping": 6,
        "goaway": 7,
        "window_update": 8,
        "continuation": 9,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Goaway:
    """A GOAWAY and what comes of the connection."""

    reason: str | None = "Shutdown"
    """In the JSON debug data; None: no debug data."""
    debug: str | None = None
    """Debug data that is not JSON, instead of the reason."""
    code: int = 0
    last_stream: int | str = "served"
    """A stream id, `served` for the highest one served so far, or `max` for 2**31 - 1."""
    kept: int | None = None
    """Instead of `last_stream`: that of the open stream that is so many-th, the oldest first."""
    serve: bool = True
    """Whether streams up to the last one are answered."""
    close_after_s: float | None = None
    """Seconds until the connection ends; None: the grace of `Limits`."""
    close: str = "eof"
    """How it ends then, see `fault.ENDS`; `never`: it does not."""
    times: int = 1
    """So many of them in a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AtOpen(Selector):
    """A GOAWAY for new connections."""

    goaway: Goaway
    before_settings: bool = False

    def as_dict(self) -> dict[str, Any]:
        """As in the plan."""
        return {**Selector.as_dict(self), "goaway": goaway_as_dict(self.goaway)}


@dataclass(frozen=True, slots=True, kw_only=True)
class RawFrames:
    """Frames as they are told, legal or not."""

    kind: int
    flags: int = 0
    stream: int = 0
    payload: bytes = b""
    count: int = 1

    def as_dict(self) -> dict[str, Any]:
        """As in the plan."""
        return {"type": self.kind, "flags": self.flags, "stream": self.stream, "payload": self.payload.hex(),
                "count": self.count}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One trigger and one deed."""

    at_s: float | None = None
    """Seconds after the plan came into force."""
    after_requests: int | None = None
    """With the request that makes so many since the plan came into force (or since this step was last done)."""
    after_rejections: int | None = None
    """With the answer that makes so many refusals."""
    repeat: bool = False
    """Again and again, each time after so many."""
    connections: str = "all"
    """`all` open ones, the `oldest`, the `newest`, or `this`: the one that pulled the trigger."""
    address: str | None = None
    """Only connections to this address of the server."""

    set: Mapping[str, Any] | None = None
    """Fields of the plan to change; the others, the dice and the script go on."""
    goaway: Goaway | None = None
    drop: str | None = None
    """Ends the connections, see `fault.ENDS`."""
    settings: Mapping[int, int] | None = None
    """A SETTINGS frame, ids to values."""
    frames: RawFrames | None = None
    expire_tokens: bool = False
    """Provider tokens signed before this moment are expired from now on."""

    def as_dict(self) -> dict[str, Any]:
        """As in the plan."""
        said = told(self)
        if self.goaway is not None:
            said["goaway"] = goaway_as_dict(self.goaway)
        if self.set is not None:
            said["set"] = dict(self.set)
        if self.settings is not None:
            said["settings"] = {str(key): value for key, value in self.settings.items()}
        return said


def goaway_as_dict(goaway: Goaway) -> dict[str, Any]:
    """As in the plan; a reason that is left out says so."""
    return told(goaway)


def read_step(value: object, where: str) -> Step:
    """One trigger of `at_s`, `after_requests`, `after_rejections`, and one deed.

    Deeds: `set`, `goaway`, `drop`, `settings`, `frames`, `expire_tokens`.
    """
    source = Fields(value, where)
    goaway, settings, frames, change = (source.take(key) for key in ("goaway", "settings", "frames", "set"))
    if change is not None and (not isinstance(change, Mapping) or "script" in change):
        raise ChaosError(f"{source.name('set')} must be an object with fields of the plan other than script")
    at_s = source.number("at_s", None, 0.0)
    step = Step(
        at_s=at_s,
        after_requests=source.whole("after_requests", None, 1),
        after_rejections=source.whole("after_rejections", None, 1),
        repeat=source.flag("repeat", default=False),
        connections=source.text("connections", _WHERE) or ("all" if at_s is not None else "this"),
        address=source.text("address"),
        set=None if change is None else MappingProxyType(dict(change)),
        goaway=None if goaway is None else read_goaway(goaway, source.name("goaway")),
        drop=source.text("drop", ENDS),
        settings=None if settings is None else read_settings(settings, source.name("settings")),
        frames=None if frames is None else _read_frames(frames, source.name("frames")),
        expire_tokens=source.flag("expire_tokens", default=False),
    )
    source.finish()
    _exactly_one(step, _TRIGGERS, where)
    _exactly_one(step, _DEEDS, where)
    if step.at_s is not None and step.connections == "this":
        raise ChaosError(f"{where}.connections must not be this where a time is the trigger: say all, oldest or newest")
    if step.at_s == 0 and step.repeat:
        raise ChaosError(f"{where}.at_s must be above 0 where the step is repeated")
    return step


def read_goaway(value: object, where: str) -> Goaway:
    """An object with the fields of `Goaway`; `reason` null for no debug data."""
    source = Fields(value, where)
    assert isinstance(value, Mapping)
    default = Goaway()
    last = source.take("last_stream")
    if last is not None and last not in _LAST and not _stream_id(last):
        raise ChaosError(f"{source.name('last_stream')} must be a stream id, served or max, not {shown(last)}")
    reason = source.text("reason")
    goaway = Goaway(
        reason=reason if "reason" in value else default.reason,
        debug=source.text("debug"),
        code=source.whole("code", 0, 0, _MAX_CODE) or 0,
        last_stream=default.last_stream if last is None else last,
        kept=source.whole("kept", None, 0),
        serve=source.flag("serve", default=True),
        close_after_s=source.number("close_after_s", None, 0.0),
        close=source.text("close", (*ENDS, "never")) or default.close,
        times=source.whole("times", 1, 1, 1000) or 1,
    )
    source.finish()
    return goaway


def read_at_open(value: object, where: str) -> AtOpen:
    """A selector with `goaway` and `before_settings`."""
    source = Fields(value, where)
    said = source.take("goaway")
    at_open = AtOpen(
        **selection(source),
        goaway=read_goaway({} if said is None else said, source.name("goaway")),
        before_settings=source.flag("before_settings", default=False),
    )
    source.finish()
    return at_open


def read_settings(value: object, where: str) -> Mapping[int, int]:
    """Names (or numbers) of settings, and values of 32 bits."""
    source = Fields(value, where)
    assert isinstance(value, Mapping)
    found = {}
    for name in list(value):
        key = SETTINGS.get(str(name), int(name) if str(name).isdecimal() else None)
        if key is None or key > 0xFFFF:  # noqa: PLR2004 - 16 bits
            raise ChaosError(
                f"{where} has no setting {name!r}: known are {', '.join(SETTINGS)}, others by their number"
            )
        found[key] = source.whole(name, 0, 0, _MAX_CODE) or 0
    return MappingProxyType(found)


def _read_frames(value: object, where: str) -> RawFrames:
    source = Fields(value, where)
    said = source.take("type")
    kind = FRAME_KINDS.get(said) if isinstance(said, str) else said
    if not isinstance(kind, int) or isinstance(kind, bool) or not 0 <= kind <= 0xFF:  # noqa: PLR2004 - 8 bits
        raise ChaosError(f"{source.name('type')} must be one of {', '.join(FRAME_KINDS)} or a number up to 255")
    try:
        payload = bytes.fromhex(source.text("payload") or "")
    except ValueError:
        raise ChaosError(f"{source.name('payload')} must be hexadecimal") from None
    frames = RawFrames(
        kind=kind,
        flags=source.whole("flags", 0, 0, 0xFF) or 0,
        stream=source.whole("stream", 0, 0, _MAX_STREAM) or 0,
        payload=payload,
        count=source.whole("count", 1, 1, _MAX_COUNT) or 1,
    )
    source.finish()
    return frames


def _exactly_one(step: Step, names: tuple[str, ...], where: str) -> None:
    defaults = {field.name: field.default for field in fields(Step)}
    if sum(getattr(step, name) != defaults[name] for name in names) != 1:
        raise ChaosError(f"{where} must have exactly one of {', '.join(names)}")


def _stream_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_STREAM
