"""Apps as they are kept: their endpoints, and what rows of former versions lack."""

from dataclasses import replace

from tests.store.conftest import APP, Bench

from skerry.domain.app import APPLE_MANAGEMENT_ENDPOINTS, SealedSecrets
from skerry.domain.push import Endpoint, Environment


async def test_endpoints_of_both_services_come_back_as_they_went(bench: Bench) -> None:
    found = await bench.read(lambda tx: tx.apps.get(APP))
    assert found is not None
    app = replace(
        found[0],
        endpoints={one: Endpoint("push.example", 1, "ca.pem") for one in Environment},
        management_endpoints={one: Endpoint("manage.example", 2) for one in Environment},
    )
    await bench.write(lambda tx: tx.apps.save(app, SealedSecrets()))
    kept = await bench.read(lambda tx: tx.apps.get(APP))
    assert kept is not None
    assert kept[0] == app


async def test_an_app_from_before_there_were_channels_manages_them_at_apples(bench: Bench) -> None:
    before = '{"production": {"host": "push.example", "port": 443, "ca_file": null}}'
    await bench.sql("UPDATE apps SET endpoints = ? WHERE app_id = ?", before, APP)
    found = await bench.read(lambda tx: tx.apps.get(APP))
    assert found is not None
    assert found[0].endpoints == {Environment.PRODUCTION: Endpoint("push.example")}
    assert found[0].management_endpoints == APPLE_MANAGEMENT_ENDPOINTS
