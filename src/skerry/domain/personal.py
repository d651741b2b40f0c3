r"""Personal texts: `@{name}` in the strings of a JSON text, filled from `params` once and from a profile for each card.

Pure; bytes in, bytes out. The JSON around a placeholder is never parsed: outside a string no `@` can stand, so what is
found is inside one, and what is put there is JSON that fits into a string. An escape such as `\u0040` begins none.

    @{name}               the value as text
    @{name|default}       the default where there is no value; an empty text in a profile is none
    "@{name:number}"      the whole string becomes a number; likewise `:boolean`, and `|default` with either
    @@{                   the characters @{
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final, Self

import msgspec

from skerry.domain.errors import FieldRefusedError, RefusedError
from skerry.domain.ids import CardNumber
from skerry.domain.languages import Alert

MISSING_VALUE: Final = "MissingValue"
"""Our word for a push that a placeholder without a value and without a default has kept from being sent."""

_CHARACTER: Final = rb'[^{}|:"\\\x00-\x1f]|\\u[0-9a-fA-F]{4}'
_NAME: Final = rb"(?:" + _CHARACTER + rb"){1,64}"
_DEFAULT: Final = rb'(?:[^}"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*'
_NUMBER: Final = rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_BOOLEAN: Final = rb"true|false"

# A quote before `@{` that no backslash stands before opens a string; a string before a colon is a member's name.
_PLACEHOLDER: Final = re.compile(
    rb"(?P<escape>@@\{)"
    rb'|(?<!\\)"@\{(?P<number>' + _NAME + rb"):number(?:\|(?P<number_default>" + _NUMBER + rb'))?\}"(?!\s*:)'
    rb'|(?<!\\)"@\{(?P<boolean>' + _NAME + rb"):boolean(?:\|(?P<boolean_default>" + _BOOLEAN + rb'))?\}"(?!\s*:)'
    rb"|@\{(?P<text>" + _NAME + rb")(?:\|(?P<text_default>" + _DEFAULT + rb"))?\}"
    rb"|(?P<other>@\{)"
)
_OPENS_ANOTHER: Final = re.compile(rb"@(?=\{|$)")
_SHOWN_OF_FAULT: Final = 40
"""Bytes of a text that an error quotes from the place on where it is wrong."""

Profile = Mapping[str, msgspec.Raw]
read_profile: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_NOTHING_SAID: Final = msgspec.Raw(b"{}")


class Kind(StrEnum):
    """What a placeholder becomes."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"


class UnfilledError(RefusedError):
    """A placeholder has neither value nor default. `name` is the first such one."""

    def __init__(self, name: str) -> None:
        super().__init__(f"@{{{name}}} has no value and no default")
        self.name = name

    @property
    def reason(self) -> str:
        """What a card shows as the reason for which nothing was pushed to it."""
        return f"{MISSING_VALUE}: {self.name}"


class Person(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Whom a card belongs to, as far as its texts depend on that.

    Tens of thousands are there at once while a large update goes out. So they are Structs, which nobody has to build
    one by one, and a profile stays the JSON it was read as until its card's turn: with a dictionary for each, a
    personal update was measured at 2.0 times the CPU of a shared one, without at 1.55.
    """

    number: CardNumber = CardNumber(0)
    """The card's."""
    language: str | None = None
    """The device's, as BCP 47 has it (`zh-Hant-TW`)."""
    said: msgspec.Raw = _NOTHING_SAID
    """The user's profile, a JSON object."""

    @property
    def profile(self) -> Profile:
        """The user's attributes: each the JSON that it was said as."""
        return read_profile(self.said)


NOBODY: Final = Person()


@dataclass(frozen=True, slots=True)
class Blank:
    """One placeholder."""

    name: str
    kind: Kind
    default: bytes | None
    """As it stands in the JSON text; None: there is none."""

    def written(self, profile: Profile) -> bytes:
        """What goes into the JSON text.

        Raises:
            UnfilledError: if there is nothing to write.
        """
        raw = profile.get(self.name)
        found = None if raw is None else _as(self.kind, bytes(raw))
        if found is None:
            found = self.default
        if found is None:
            raise UnfilledError(self.name)
        return found


@dataclass(frozen=True, slots=True)
class Form:
    """A JSON text with blanks: `layout` has its constant pieces, and an empty one at the place of each blank."""

    layout: tuple[bytes, ...]
    blanks: tuple[tuple[int, Blank], ...]

    @classmethod
    def of(cls, raw: bytes) -> Self:
        """Read a JSON text. What begins like a placeholder and is none stays as it is (`check` refuses it earlier)."""
        layout: list[bytes] = []
        blanks: list[tuple[int, Blank]] = []
        done = 0
        for match in _PLACEHOLDER.finditer(raw):
            blank = _blank(match)
            if blank is None and match["escape"] is None:
                continue
            layout.append(raw[done : match.start()])
            if blank is not None:
                blanks.append((len(layout), blank))
            layout.append(b"" if blank is not None else b"@{")
            done = match.end()
        layout.append(raw[done:])
        return cls(tuple(layout), tuple(blanks))

    @property
    def least(self) -> int:
        """Bytes that it has in any case: each blank takes its default, or nothing."""
        return sum(map(len, self.layout)) + sum(len(blank.default or b"") for _, blank in self.blanks)

    def filled(self, profile: Profile) -> bytes:
        """The text for one person.

        Raises:
            UnfilledError: if a blank has neither value nor default.
        """
        pieces = list(self.layout)
        for place, blank in self.blanks:
            pieces[place] = blank.written(profile)
        return b"".join(pieces)

    def shown(self, profile: Profile) -> bytes:
        """The same for somebody who looks up what was sent: a blank that cannot be filled is left empty."""
        pieces = list(self.layout)
        for place, blank in self.blanks:
            with suppress(UnfilledError):
                pieces[place] = blank.written(profile)
        return b"".join(pieces)


class Need(IntEnum):
    """What has to be known of the people to whom something is said. Each includes those before it."""

    NOTHING = 0
    """All get the same."""
    LANGUAGE = 1
    PROFILE = 2


def may_be_personal(raw: bytes | None) -> bool:
    """Whether it is worth a closer look: a hundred nanoseconds, and nearly always no."""
    return raw is not None and b"@{" in raw


def need(alert: bytes | None, *texts: bytes | None) -> Need:
    """What may have to be known of the people who get these. Cheap: it is asked for every chunk and every parcel."""
    for text in (alert, *texts):
        if text is not None and b"@{" in text:
            return Need.PROFILE
    return Need.NOTHING if alert is None or Alert.of(alert) is None else Need.LANGUAGE


def is_personal(raw: bytes | None) -> bool:
    """Whether a JSON text has placeholders."""
    return raw is not None and may_be_personal(raw) and bool(Form.of(raw).blanks)


def least_size(raw: bytes) -> int:
    """Bytes that a JSON text has whoever it is for."""
    return Form.of(raw).least if may_be_personal(raw) else len(raw)


def names(raw: bytes | None) -> set[str]:
    """The attributes that a JSON text cannot do without: those of placeholders without a default."""
    return {blank.name for blank in gaps(raw)}


def gaps(*texts: bytes | None) -> list[Blank]:
    """What JSON texts cannot do without: each of their placeholders without a default, once."""
    forms = [Form.of(raw) for raw in texts if raw is not None and may_be_personal(raw)]
    return list(dict.fromkeys(blank for form in forms for _, blank in form.blanks if blank.default is None))


def check(raw: bytes | None, field_name: str) -> None:
    """Refuse a JSON text in which something begins like a placeholder and is none.

    Raises:
        FieldRefusedError: quoting the place.
    """
    if raw is None or not may_be_personal(raw):
        return
    for match in _PLACEHOLDER.finditer(raw):
        if match["escape"] is None and _blank(match) is None:
            fault = raw[match.start() : match.start() + _SHOWN_OF_FAULT].decode(errors="replace")
            raise FieldRefusedError(
                field_name,
                f"has {fault!r}, which is no placeholder",
                'write @{name}, @{name|default}, "@{name:number}" or "@{name:boolean}" as a whole text, '
                "or @@{ for the characters themselves",
            )


def with_params(raw: bytes, params: Mapping[str, str]) -> bytes:
    """The JSON text with what `params` name filled in, the rest untouched. A value is text, never a placeholder itself.

    Raises:
        FieldRefusedError: if a value is not the number or the boolean that a placeholder asks for.
    """
    if not params or not may_be_personal(raw):
        return raw

    def replacement(match: re.Match[bytes]) -> bytes:
        blank = _blank(match)
        value = None if blank is None else params.get(blank.name)
        if blank is None or value is None:
            return match.group(0)
        encoded = msgspec.json.encode(value)
        if blank.kind is Kind.TEXT:
            return _OPENS_ANOTHER.sub(rb"\\u0040", encoded[1:-1])
        found = _as(blank.kind, encoded)
        if found is None:
            problem = f"is {value!r}, and @{{{blank.name}:{blank.kind}}} asks for a {blank.kind}"
            raise FieldRefusedError(f"params.{blank.name}", problem, f"send a {blank.kind}")
        return found

    return _PLACEHOLDER.sub(replacement, raw)


def _blank(match: re.Match[bytes]) -> Blank | None:
    for kind in Kind:
        written = match[kind.value]
        if written is not None:
            try:
                name = msgspec.json.decode(b'"' + written + b'"', type=str).strip()
            except msgspec.DecodeError:  # half a surrogate pair
                return None
            return Blank(name, kind, match[f"{kind.value}_default"]) if name else None
    return None


def _as(kind: Kind, raw: bytes) -> bytes | None:
    """A JSON scalar as it goes into the text; None: it is no value of that kind. Lists and objects are none."""
    quoted = raw[:1] == b'"'
    inner = raw[1:-1] if quoted else raw
    if kind is _TEXT and quoted:
        # Profiles are kept in ASCII: a letter may come as six bytes that has two.
        return (msgspec.json.encode(msgspec.json.decode(raw))[1:-1] if b"\\u" in inner else inner) or None
    form = _FORMS[kind]
    return inner if form.fullmatch(inner) else None


_TEXT: Final = Kind.TEXT
"""Looked up once: Python 3.11 looks members of an enum up through a function."""
_FORMS: Final = {
    Kind.TEXT: re.compile(_NUMBER + rb"|" + _BOOLEAN),
    Kind.NUMBER: re.compile(_NUMBER),
    Kind.BOOLEAN: re.compile(_BOOLEAN),
}
