"""Apps and their API keys."""

import ipaddress
import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from skerry.domain.app import APPLE_MANAGEMENT_ENDPOINTS, ApiKey, App, KeyKind, SealedSecrets
from skerry.domain.ids import AppId, Millis
from skerry.domain.push import Endpoint, Environment

_APP = (
    "SELECT app_id, name, bundle_id, team_id, apns_key_id, private_key_sealed, environment, endpoints, strict_groups,"
    " created_at, user_token_secret_sealed FROM apps"
)
_MANAGEMENT = "management"
"""Beside the environments in the JSON of endpoints; absent in apps of former versions: they have Apple's."""
_KEY = "SELECT key_id, app_id, kind, prefix, label, networks, created_at, revoked_at FROM api_keys"


class AppRecords:
    """Apps, with their secrets still sealed, and API keys by their hashes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, app: App, now: Millis) -> AppId:
        """Store a new app without its secrets; its id is given by the store."""
        cursor = self._connection.execute(
            "INSERT INTO apps (name, bundle_id, environment, endpoints, created_at) VALUES (?, ?, ?, '{}', ?)",
            (app.name, app.bundle_id, app.environment.value, now),
        )
        return AppId(cursor.lastrowid or 0)

    def save(self, app: App, sealed: SealedSecrets) -> None:
        """Store all of an app."""
        endpoints = {**_json(app.endpoints), _MANAGEMENT: _json(app.management_endpoints)}
        self._connection.execute(
            "UPDATE apps SET name = ?, bundle_id = ?, team_id = ?, apns_key_id = ?, private_key_sealed = ?,"
            " user_token_secret_sealed = ?, environment = ?, endpoints = ?, strict_groups = ? WHERE app_id = ?",
            (
                app.name,
                app.bundle_id,
                app.team_id,
                app.key_id,
                sealed.private_key,
                sealed.user_token_secret,
                app.environment.value,
                json.dumps(endpoints),
                app.strict_groups,
                app.app_id,
            ),
        )

    def get(self, app_id: AppId) -> tuple[App, SealedSecrets] | None:
        """One app and its sealed secrets."""
        return _app(self._connection.execute(f"{_APP} WHERE app_id = ?", (app_id,)).fetchone())

    def by_name(self, name: str) -> tuple[App, SealedSecrets] | None:
        """One app by its name."""
        return _app(self._connection.execute(f"{_APP} WHERE name = ?", (name,)).fetchone())

    def all(self) -> list[App]:
        """Every app, by id; secrets left out."""
        rows = self._connection.execute(f"{_APP} ORDER BY app_id").fetchall()
        return [found[0] for found in map(_app, rows) if found is not None]

    def add_key(self, key: ApiKey, digest: bytes) -> int:
        """Store an API key by its hash; its id is given by the store."""
        cursor = self._connection.execute(
            "INSERT INTO api_keys (app_id, kind, hash, prefix, label, networks, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                key.app_id,
                key.kind.value,
                digest,
                key.prefix,
                key.label,
                json.dumps([str(network) for network in key.networks]),
                key.created_at,
            ),
        )
        return cursor.lastrowid or 0

    def key_by_hash(self, digest: bytes) -> ApiKey | None:
        """The key with this hash, revoked or not."""
        row = self._connection.execute(f"{_KEY} WHERE hash = ?", (digest,)).fetchone()
        return None if row is None else _key(row)

    def keys(self, app_id: AppId | None) -> list[ApiKey]:
        """The keys of one app, or of all."""
        rows = self._connection.execute(f"{_KEY} WHERE ?1 IS NULL OR app_id = ?1 ORDER BY key_id", (app_id,))
        return [_key(row) for row in rows]

    def revoke_key(self, key_id: int, now: Millis) -> bool:
        """Close a key; False: there is none, or it is closed already."""
        cursor = self._connection.execute(
            "UPDATE api_keys SET revoked_at = ? WHERE key_id = ? AND revoked_at IS NULL", (now, key_id)
        )
        return cursor.rowcount == 1


def _app(row: tuple[Any, ...] | None) -> tuple[App, SealedSecrets] | None:
    if row is None:
        return None
    endpoints = json.loads(row[7])
    app = App(
        app_id=row[0],
        name=row[1],
        bundle_id=row[2],
        team_id=row[3],
        key_id=row[4],
        environment=Environment(row[6]),
        endpoints=_endpoints({name: one for name, one in endpoints.items() if name != _MANAGEMENT}),
        management_endpoints={**APPLE_MANAGEMENT_ENDPOINTS, **_endpoints(endpoints.get(_MANAGEMENT, {}))},
        strict_groups=bool(row[8]),
        created_at=row[9],
    )
    return app, SealedSecrets(row[5], row[10])


def _json(endpoints: Mapping[Environment, Endpoint]) -> dict[str, Any]:
    return {
        environment.value: {"host": one.host, "port": one.port, "ca_file": one.ca_file}
        for environment, one in endpoints.items()
    }


def _endpoints(kept: Mapping[str, Any]) -> dict[Environment, Endpoint]:
    return {Environment(name): Endpoint(**one) for name, one in kept.items()}


def _key(row: tuple[Any, ...]) -> ApiKey:
    networks = tuple(ipaddress.ip_network(one) for one in json.loads(row[5]))
    return ApiKey(row[0], row[1], KeyKind(row[2]), row[3], row[4], row[6], networks, row[7])
