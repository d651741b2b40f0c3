"""An alert in several languages: its title or body is an object of texts by language tag, with a `default`.

    {"title": {"default": "Goal!", "tr": "Gol!", "zh-Hant": "進球"}, "body": "2 – 1", "sound": "default"}

A phone gets one text of each, by its own language: the tag itself, or the longest beginning of it that there is (RFC
4647, 3.4 "Lookup"), or else the default. `{"loc-key", "loc-args"}` is Apple's: the app translates it, and it is no such
object (apple.md 4.2).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Self

import msgspec

DEFAULT: Final = "default"
TEXTS: Final = ("title", "subtitle", "body")
"""Members of an alert that a person reads."""
MOST_LANGUAGES: Final = 100
"""Of one alert."""
_TAG: Final = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")
_EXTENSIONS: Final = re.compile(r"@|-[A-Za-z0-9](?=-)")
_LONGEST_TAG: Final = 35
"""Characters; RFC 5646, 4.4.1 says that so much has to be supported."""

_objects: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def normal_tag(tag: str) -> str | None:
    """A language tag as it is compared and kept, or None if it cannot be one.

    Apple's older form has `_` in it. What a single letter introduces (a calendar, something private) is left out.
    """
    found = _EXTENSIONS.split(tag.strip().replace("_", "-"), 1)[0]
    return found if len(found) <= _LONGEST_TAG and _TAG.fullmatch(found) else None


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert in several languages."""

    members: Mapping[str, bytes]
    """All of them, as they were sent."""
    texts: Mapping[str, Mapping[str, bytes]]
    """Of those that are in several languages: the texts by tag in lower case."""

    @classmethod
    def of(cls, raw: bytes | None) -> Self | None:
        """Read an alert; None: all phones get the same."""
        if raw is None or b'"default"' not in raw:  # also the name of a sound
            return None
        members = {name: bytes(value) for name, value in _objects.decode(raw).items()}
        texts = {name: found for name in TEXTS if (found := _texts(members.get(name, b"")))}
        return cls(members, texts) if texts else None

    def for_language(self, language: str | None) -> bytes:
        """The alert for a phone with this language; None: nobody knows which it has."""
        chosen = {name: _chosen(found, language) for name, found in self.texts.items()}
        both = {**self.members, **chosen}
        return b"{" + b",".join(msgspec.json.encode(name) + b":" + value for name, value in both.items()) + b"}"

    @property
    def languages(self) -> set[str]:
        """Tags that it has a text for, and the default."""
        return {tag for found in self.texts.values() for tag in found}


def variants(alert: bytes | None) -> Iterator[bytes | None]:
    """An alert as phones may get it: in each of its languages."""
    found = Alert.of(alert)
    if found is None:
        yield alert
    else:
        yield from (found.for_language(tag) for tag in sorted(found.languages))


def _texts(raw: bytes) -> dict[str, bytes]:
    if not raw.startswith(b"{"):
        return {}
    found = {(normal_tag(tag) or tag).lower(): bytes(value) for tag, value in _objects.decode(raw).items()}
    return found if DEFAULT in found else {}


def _chosen(texts: Mapping[str, bytes], language: str | None) -> bytes:
    subtags = (normal_tag(language or "") or "").lower().split("-")
    while subtags:
        found = texts.get("-".join(subtags))
        if found is not None:
            return found
        subtags.pop()
    return texts[DEFAULT]
