"""Who may say that a device is whose (architecture, invariant 10)."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import jwt
import pytest
from whole_service import Whole, whole_service

TOKEN = {"name": "LiveActivityStartToken", "token": "ab" * 40}


@pytest.fixture
async def whole(tmp_path: Path) -> AsyncIterator[Whole]:
    async with whole_service(tmp_path) as found:
        yield found


async def tokens_of(whole: Whole, user: str) -> int:
    answer = await whole.rest(f"getDevices?extId={user}", None)
    return len(answer.json()["devices"]) if answer.status_code == 200 else 0


async def secret_of(whole: Whole) -> str:
    secret = await whole.service.apps.require_user_tokens(whole.app, required=True)
    assert secret is not None
    return secret


def proof(secret: str, user: str) -> str:
    return jwt.encode({"sub": user, "exp": int(time.time()) + 600}, secret, algorithm="HS256")


async def test_where_the_app_asks_for_nothing_a_device_may_claim_a_user(whole: Whole) -> None:
    assert (await whole.report("i-1", TOKEN, extId="ada")).status_code == 200
    assert await tokens_of(whole, "ada") == 1


async def test_where_the_app_asks_for_proof_a_bare_claim_is_refused_and_changes_nothing(whole: Whole) -> None:
    await secret_of(whole)
    answer = await whole.report("i-1", TOKEN, extId="ada")
    assert answer.status_code == 403
    assert answer.json()["errors"][0]["field"] == "userToken"
    assert await tokens_of(whole, "ada") == 0
    assert (await whole.report("i-1", TOKEN)).json() == {"outcomes": ["accepted"]}  # it was not stored before


async def test_a_proof_of_another_user_is_refused(whole: Whole) -> None:
    secret = await secret_of(whole)
    answer = await whole.report("i-1", TOKEN, extId="ada", userToken=proof(secret, "bob"))
    assert (answer.status_code, "another user's" in answer.text) == (403, True)


async def test_with_proof_the_claim_holds_and_the_next_reports_need_none(whole: Whole) -> None:
    secret = await secret_of(whole)
    assert (await whole.report("i-1", TOKEN, extId="ada", userToken=proof(secret, "ada"))).status_code == 200
    assert (await whole.report("i-1", TOKEN, extId="ada")).json() == {"outcomes": ["repeated"]}
    assert await tokens_of(whole, "ada") == 1
    assert (await whole.report("i-1", TOKEN, extId="bob")).status_code == 403
    assert await tokens_of(whole, "ada") == 1


async def test_signing_out_needs_no_proof(whole: Whole) -> None:
    secret = await secret_of(whole)
    await whole.report("i-1", TOKEN, extId="ada", userToken=proof(secret, "ada"))
    assert (await whole.report("i-1", TOKEN, extId="")).status_code == 200
    assert await tokens_of(whole, "ada") == 0


async def test_a_backend_is_believed_without_proof(whole: Whole) -> None:
    await secret_of(whole)
    event = {"extId": "ada", "installationId": "i-1", **TOKEN}
    assert (await whole.rest("fireEvents", [event])).status_code == 200
    assert await tokens_of(whole, "ada") == 1


async def test_proofs_of_a_secret_that_was_replaced_prove_nothing(whole: Whole) -> None:
    old = await secret_of(whole)
    await secret_of(whole)
    assert (await whole.report("i-1", TOKEN, extId="ada", userToken=proof(old, "ada"))).status_code == 403
