"""The request to a receiver: on real sockets, to addresses that were checked, and nowhere else."""

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import trustme
from webhook_receiver import HANG, Receiver, receiver

from skerry.receipts.webhooks.addresses import AddressRules
from skerry.receipts.webhooks.post import READ_AT_MOST, WebhookPoster

AT_HOME = AddressRules(private_networks=True, plain_http=True)


class Names:
    """A name server that can change its mind between two questions."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@asynccontextmanager
async def poster(rules: AddressRules = AT_HOME, **options: object) -> AsyncIterator[WebhookPoster]:
    defaults = {"timeout": 10.0, "concurrency": 4, "user_agent": "Skerry/test"}
    async with WebhookPoster(rules, **(defaults | options)) as one:  # type: ignore[arg-type]
        yield one


@pytest.fixture
async def caller() -> AsyncIterator[Receiver]:
    async with receiver() as one:
        yield one


async def test_body_and_headers_arrive_and_connections_are_used_again(caller: Receiver) -> None:
    async with poster() as one:
        for number in range(3):
            assert (await one.post(caller.url(), {"webhook-id": f"evt_{number}"}, b'{"a":1}')).status == 200
    assert [request.headers["webhook-id"] for request in caller.requests] == ["evt_0", "evt_1", "evt_2"]
    assert caller.requests[0].body == b'{"a":1}'
    assert caller.requests[0].headers["content-type"] == "application/json"
    assert caller.requests[0].headers["user-agent"] == "Skerry/test"
    assert caller.requests[0].headers["host"] == f"127.0.0.1:{caller.port}"
    assert caller.connections == 1


async def test_a_name_that_leads_into_a_private_network_is_refused_before_anything_is_sent(caller: Receiver) -> None:
    async with poster(AddressRules(plain_http=True), resolve=Names(["127.0.0.1"])) as one:
        posted = await one.post(caller.url(host="hook.example"), {}, b"{}")
    assert posted.status is None
    assert "127.0.0.1, which is not a public address" in (posted.error or "")
    assert caller.connections == 0


@pytest.mark.parametrize("hidden", ["::ffff:127.0.0.1", "fe80::1%eth0", "169.254.169.254"])
async def test_one_private_address_among_public_ones_is_enough_to_refuse(hidden: str) -> None:
    async with poster(AddressRules(), resolve=Names(["8.8.8.8", hidden])) as one:
        posted = await one.post("https://hook.example/", {}, b"{}")
    assert "not a public address" in (posted.error or "")


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1", "localhost"])
async def test_other_spellings_of_loopback_are_seen_through(host: str, caller: Receiver) -> None:
    async with poster(AddressRules(plain_http=True)) as one:
        posted = await one.post(caller.url(host=host), {}, b"{}")
    assert posted.status is None
    assert caller.connections == 0


async def test_a_name_that_changes_its_mind_after_the_check_gains_nothing(caller: Receiver) -> None:
    """The name is asked once, and the connection goes to the answer that was checked."""
    names = Names(["127.0.0.1"], ["127.0.0.2"])
    async with poster(resolve=names) as one:
        assert (await one.post(caller.url(host="hook.example"), {}, b"{}")).status == 200
        assert names.asked == [("hook.example", caller.port)]
        caller.headers["connection"] = "close"
    assert caller.requests[0].headers["host"] == f"hook.example:{caller.port}"


async def test_the_certificate_must_be_the_names_not_the_addresss() -> None:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("hook.example").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    async with (
        receiver(server) as caller,
        poster(resolve=Names(["127.0.0.1"]), ssl_context=client) as one,
    ):
        assert (await one.post(caller.url(host="hook.example"), {}, b"{}")).status == 200
        assert "certificate" in ((await one.post(caller.url(host="other.example"), {}, b"{}")).error or "").lower()


async def test_the_next_address_is_tried_where_the_first_does_not_answer(caller: Receiver) -> None:
    async with poster(resolve=Names(["127.0.0.3", "127.0.0.1"])) as one:
        assert (await one.post(caller.url(host="hook.example"), {}, b"{}")).status == 200


async def test_a_redirect_is_an_answer_and_not_followed(caller: Receiver) -> None:
    caller.status = 302
    caller.headers["location"] = caller.url("/elsewhere")
    async with poster() as one:
        assert (await one.post(caller.url(), {}, b"{}")).status == 302
    assert [request.path for request in caller.requests] == ["/hook"]


async def test_a_receiver_that_never_answers_is_given_up(caller: Receiver) -> None:
    caller.status = HANG
    async with poster(timeout=0.2) as one:
        assert (await one.post(caller.url(), {}, b"{}")).error == "no answer within 0.2 s"


async def test_what_cannot_be_reached_or_understood_is_said_and_never_raised(caller: Receiver) -> None:
    async with poster(resolve=Names([])) as one:
        assert "has no address" in ((await one.post(caller.url(host="nobody.example"), {}, b"{}")).error or "")
    caller.headers["bad header\x00"] = "x"
    async with poster() as one:
        assert "ProtocolError" in ((await one.post(caller.url(), {}, b"{}")).error or "")


async def test_an_answer_without_end_is_not_read_to_its_end(caller: Receiver) -> None:
    caller.headers["content-length"] = str(100 * READ_AT_MOST)  # two headers: the first one counts for the client
    async with poster(timeout=0.5) as one:
        posted = await one.post(caller.url(), {}, b"{}")
    assert posted.error is not None


async def test_retry_after_is_passed_on(caller: Receiver) -> None:
    caller.status, caller.headers = 503, {"Retry-After": "120"}
    async with poster() as one:
        assert (await one.post(caller.url(), {}, b"{}")).retry_after == 120.0
