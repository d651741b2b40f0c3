"""Ids are types of their own, so that one cannot be passed for another."""

from typing import NewType

AppId = NewType("AppId", int)
UserId = NewType("UserId", int)
DeviceId = NewType("DeviceId", int)
ActivityId = NewType("ActivityId", int)
RevisionNumber = NewType("RevisionNumber", int)
"""Numbered from 1 within one activity; 0 means "none yet"."""

CardNumber = NewType("CardNumber", int)
"""Given once per activity, from 1, only rising, never used again: a chunk is a range of these."""

ChunkId = NewType("ChunkId", int)
NotificationKey = NewType("NotificationKey", int)
"""What the drop-in API hands out for a bulk start and for a definition; one sequence for both."""

GroupId = NewType("GroupId", str)
"""A name of an activity, as callers and apps use it. An activity has none, one, or (rarely) two."""

ChannelId = NewType("ChannelId", str)
"""Apple's name of a broadcast channel, in base64; nothing may be assumed of its length (apple.md 5.2)."""

Millis = NewType("Millis", int)
"""Milliseconds since 1970-01-01 UTC: every time that the store keeps."""

Seconds = NewType("Seconds", int)
"""Whole seconds since 1970-01-01 UTC: every time that goes into a push."""
