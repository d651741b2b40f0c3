"""An ASGI application that takes every push and writes down what it got, a JSON line each."""

import json
from pathlib import Path
from typing import Any


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    seen = {
        "version": scope["http_version"],
        "method": scope["method"],
        "path": scope["path"],
        "scheme": scope["scheme"],
        "body": body.decode(),
        "headers": {
            name: value for name, value in headers.items() if name.startswith("apns-") or name == "authorization"
        },
    }
    with Path("requests.ndjson").open("a", encoding="utf-8") as record:  # noqa: ASYNC230 - one line
        record.write(json.dumps(seen) + "\n")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})
