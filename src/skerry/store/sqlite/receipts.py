"""What became of starts: their chunks' verdict bytes, remembered refusals and misses."""

import sqlite3
from typing import Any

import msgspec

from skerry.domain import languages, payload, personal
from skerry.domain.commands import Template
from skerry.domain.ids import AppId, Millis, NotificationKey
from skerry.domain.receipt import PushResult, PushStats
from skerry.domain.verdict import OPEN, Verdict

_templates = msgspec.json.Decoder(Template)

_FAILED = (Verdict.REJECTED, Verdict.NOT_PROCESSED)
_SHOWN = {
    Verdict.ACCEPTED: None,
    Verdict.REJECTED: "REJECTED",
    Verdict.NOT_PROCESSED: "NOT_PROCESSED",
    Verdict.UNKNOWN: "NO_ANSWER",
}
_DEAD = ("BadDeviceToken", "Unregistered", "ExpiredToken", "DeviceTokenNotForTopic")
_FAILED_MISSES = "('NO_DEVICE', 'NO_START_TOKEN')"

_STARTED = """
SELECT coalesce(k.settled_at, k.created_at) AS at, d.installation_id, u.ext_id, n.template,
       hex(substr(k.verdicts, c.number - k.first + 1, 1)) AS verdict, x.reason, r.alert, u.profile
FROM notifications n
JOIN revisions r ON r.notification_key = n.notification_key
JOIN chunks k ON k.activity_id = r.activity_id AND k.revision = r.number
JOIN cards c ON c.activity_id = k.activity_id AND c.number BETWEEN k.first AND k.last
LEFT JOIN devices d ON d.device_id = c.device_id
LEFT JOIN users u ON u.user_id = d.user_id
LEFT JOIN rejections x ON x.activity_id = c.activity_id AND x.number = c.number AND x.revision = r.number
WHERE n.app_id = :app AND (:key IS NULL OR n.notification_key = :key) AND (:ext_id IS NULL OR u.ext_id = :ext_id)
  AND (:token IS NULL OR d.push_token = :token OR c.token = :token
       OR EXISTS (SELECT 1 FROM start_tokens s
                  WHERE s.app_id = :app AND s.device_id = d.device_id AND s.token = :token))
"""

_MISSED = """
SELECT m.at, d.installation_id, coalesce(m.ext_id, u.ext_id), n.template, NULL, m.reason, r.alert, u.profile
FROM notifications n
JOIN revisions r ON r.notification_key = n.notification_key
JOIN misses m ON m.activity_id = r.activity_id AND m.revision = r.number
LEFT JOIN devices d ON d.device_id = m.device_id
LEFT JOIN users u ON u.user_id = d.user_id
WHERE n.app_id = :app AND (:key IS NULL OR n.notification_key = :key)
  AND (:ext_id IS NULL OR coalesce(m.ext_id, u.ext_id) = :ext_id) AND :token IS NULL
"""


class ReceiptRecords:
    """Counts and results of starts."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def stats(self, app_id: AppId, key: NotificationKey) -> PushStats | None:
        """The counts of one notification key."""
        row = self._connection.execute(
            "SELECT kind FROM notifications WHERE notification_key = ? AND app_id = ?", (key, app_id)
        ).fetchone()
        if row is None:
            return None
        starts = self._connection.execute(
            "SELECT activity_id, number, created_at FROM revisions WHERE notification_key = ?", (key,)
        ).fetchall()
        counts = dict.fromkeys(Verdict, 0)
        ended: list[int] = []
        missed = planned = 0
        for activity, number, _ in starts:
            chunks = self._connection.execute(
                "SELECT verdicts, settled_at FROM chunks WHERE activity_id = ? AND revision = ?", (activity, number)
            )
            for verdicts, settled_at in chunks:
                for verdict in Verdict:
                    counts[verdict] += verdicts.count(verdict)
                ended += [settled_at] if settled_at is not None else []
            failing = f"misses WHERE activity_id = ? AND revision = ? AND reason IN {_FAILED_MISSES}"
            missed += self._count(failing, activity, number)
            planned += self._count("plans WHERE activity_id = ? AND revision = ?", activity, number)
        waiting = planned + sum(counts[verdict] for verdict in OPEN)
        sent, failed = counts[Verdict.ACCEPTED], missed + sum(counts[verdict] for verdict in _FAILED)
        if not starts:
            status = "ACTIVE" if row[0] == "definition" else "FINISHED"
        else:
            status = "FINISHED" if not waiting else "SENDING" if sent + failed else "STARTING"
        begun = min((start[2] for start in starts), default=None)
        done = max(ended, default=begun) if starts and not waiting else None
        return PushStats(key, status, begun, None if done is None else Millis(done), sent, failed)

    def keys_between(self, app_id: AppId, start: Millis, end: Millis, limit: int) -> list[NotificationKey]:
        """The keys made in a window, the newest first."""
        rows = self._connection.execute(
            "SELECT notification_key FROM notifications WHERE app_id = ? AND created_at BETWEEN ? AND ?"
            " ORDER BY created_at DESC, notification_key DESC LIMIT ?",
            (app_id, start, end, limit),
        )
        return [NotificationKey(row[0]) for row in rows]

    def results(
        self,
        app_id: AppId,
        key: NotificationKey | None,
        ext_id: str | None,
        token: str | None,
        start: Millis,
        end: Millis,
        limit: int,
        offset: int,
    ) -> list[PushResult]:
        """What became of each start, the newest first; starts that still wait are not there yet."""
        final = ", ".join(f"'{verdict:02X}'" for verdict in _SHOWN)
        rows = self._connection.execute(
            f"SELECT * FROM ({_STARTED} UNION ALL {_MISSED})"
            f" WHERE at BETWEEN :start AND :end AND (verdict IS NULL OR verdict IN ({final}))"
            " ORDER BY at DESC, 2, 3 LIMIT :limit OFFSET :offset",
            {
                "app": app_id,
                "key": key,
                "ext_id": ext_id,
                "token": token,
                "start": start,
                "end": end,
                "limit": limit,
                "offset": offset,
            },
        )
        return [_result(row) for row in rows]

    def _count(self, what: str, *values: Any) -> int:
        return int(self._connection.execute(f"SELECT count(*) FROM {what}", values).fetchone()[0])


def _result(row: tuple[Any, ...]) -> PushResult:
    at, installation_id, ext_id, template, verdict, reason, alert, profile = row
    content = _templates.decode(template)
    title, text = _said(content, alert, profile)
    shown = None if verdict is None else _SHOWN[Verdict(int(verdict, 16))]
    error = reason if verdict is None else (reason or shown) if shown else None
    return PushResult(
        succeeded=error is None,
        error_code=None if error is None else "8" if error in _DEAD else "1",
        error=error,
        installation_id=installation_id,
        ext_id=ext_id,
        at=at,
        title=title,
        text=text,
    )


def _said(content: Template, alert: bytes | None, profile: str | None) -> tuple[str, str]:
    """Title and text as this user got them, as far as that is known now; in the message's own language.

    What a send has filled in is in its alert only, where the title is another one if the message has one for the phone.
    """
    title, text = msgspec.json.encode(content.title), msgspec.json.encode(content.text)
    if not (personal.may_be_personal(title) or personal.may_be_personal(text)):
        return content.title, content.text
    said = languages.Alert.of(alert)
    sent = payload.members(alert if said is None else said.for_language(None)) if alert is not None else {}
    text = sent.get("body", text)
    title = title if content.alert_title is not None else sent.get("title", title)
    values = personal.read_profile(profile or "{}")
    title, text = (personal.Form.of(personal.with_params(one, content.params)).shown(values) for one in (title, text))
    return msgspec.json.decode(title, type=str), msgspec.json.decode(text, type=str)
