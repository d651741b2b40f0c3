"""F17: the key or certificate is expired, revoked or wrong; F18: it belongs to the other environment."""

from typing import Any

import pytest
from testbed import Bed, scenario

from skerry.domain.push import Outcome

pytestmark = pytest.mark.slow

HOUR = 3600.0
ENVIRONMENT = {"goaway": {"reason": "BadCertificateEnvironment", "last_stream": 0, "close_after_s": 0, "times": 2}}


async def refused_for_an_hour(bed: Bed) -> None:
    """Pushes every ten seconds; the credential is tried once in five minutes, and all are handed back at once."""
    waits = []
    for _ in range(int(HOUR // 10)):
        began = bed.loop.time()
        sent = await bed.push(3, deadline=30)
        assert sent.count(Outcome.ACCEPTED) == 0
        waits.append(bed.loop.time() - began)
        await bed.pause(10)
    slow = sum(wait > 1 for wait in waits)
    assert slow <= 14, "handed back at once, but for the probes"


@scenario()
@pytest.mark.parametrize("alert", ["certificate_expired", "certificate_revoked", "bad_certificate"])
async def test_f17_a_tls_alert_about_the_certificate_stops_the_route(bed: Bed, alert: str) -> None:
    bed.chaos.update_from({"accept": {"how": "alert", "alert": alert}})
    await refused_for_an_hour(bed)
    assert len(bed.network.host(bed.addresses[0]).attempts) <= HOUR / 300 + 2
    (route,) = bed.client.stats().routes
    assert alert.upper() in (route.last_error or "")
    bed.chaos.update_from({})
    await bed.pause(600)
    await bed.push(1)
    assert (await bed.push(20)).count(Outcome.ACCEPTED) == 20


@scenario()
@pytest.mark.parametrize(
    "reason", ["InvalidProviderToken", "BadCertificate", "BadEnvironmentKeyIdInToken", "BadEnvironmentKeyInToken"]
)
async def test_f17_a_403_about_the_credential_stops_the_route(bed: Bed, reason: str) -> None:
    bed.chaos.update_from({"reject": {"reason": reason}})
    await refused_for_an_hour(bed)
    assert len(bed.entries()) <= HOUR / 300 + 2
    (route,) = bed.client.stats().routes
    assert reason in (route.last_error or "")
    bed.chaos.update_from({})
    await bed.pause(600)
    await bed.push(1)
    assert (await bed.push(20)).count(Outcome.ACCEPTED) == 20


@scenario()
@pytest.mark.parametrize("plan", [{"at_open": ENVIRONMENT}, {"at_open": {**ENVIRONMENT, "before_settings": True}}])
async def test_f18_a_goaway_about_the_environment_is_read_and_heeded(bed: Bed, plan: dict[str, Any]) -> None:
    bed.chaos.update_from(plan)
    await refused_for_an_hour(bed)
    assert len(bed.network.host(bed.addresses[0]).attempts) <= HOUR / 300 + 2
    (route,) = bed.client.stats().routes
    assert "BadCertificateEnvironment" in (route.last_error or "")
