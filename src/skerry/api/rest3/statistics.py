"""Counts and results as callers of the drop-in contract read them (netmera.md section 8)."""

from skerry.domain.receipt import PushResult, PushStats


def counted(stats: PushStats) -> dict[str, object]:
    """One notification key. Nobody clicks a Live Activity as they do a notification (netmera.md Q19)."""
    return {
        "notificationKey": stats.notification_key,
        "status": stats.status,
        "startDate": stats.started_at,
        "endDate": stats.ended_at,
        "stats": [{"platform": "IOS", "sent": stats.sent, "failed": stats.failed, "clicked": 0}],
    }


def result(result: PushResult) -> dict[str, object]:
    """One start on one device."""
    return {
        "platform": "IOS",
        "status": "SUCCESS" if result.succeeded else "FAILED",
        "errorCode": result.error_code,
        "errorMsg": result.error,
        "installationId": result.installation_id,
        "extId": result.ext_id,
        "timeStamp": result.at,
        "msgTitle": result.title,
        "msgText": result.text,
    }
