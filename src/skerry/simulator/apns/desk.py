"""Where a connection's requests are read, written down, judged and carried out: all of an answer but its frames."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

from skerry.domain.push import Environment
from skerry.simulator.apns.channel_rules import carry_out, judge_channels
from skerry.simulator.apns.channels import Channels
from skerry.simulator.apns.chaos import CALM, Chaos, Fate
from skerry.simulator.apns.director import Director
from skerry.simulator.apns.fault import Reset, Subject
from skerry.simulator.apns.ledger import Ending, Entry, Ledger
from skerry.simulator.apns.limits import Limits
from skerry.simulator.apns.paths import Listener, Resource
from skerry.simulator.apns.provider_auth import ConnectionAuth, Teams
from skerry.simulator.apns.provider_keys import ProviderKeys
from skerry.simulator.apns.reply import bent_frames, bent_headers, cut_off
from skerry.simulator.apns.rules import Answer, Request, Site, delivery, judge
from skerry.simulator.carrier import Phones
from skerry.simulator.clock import Clock


@dataclass(frozen=True, slots=True)
class Services:
    """What all connections of a server share."""

    phones: Phones
    keys: ProviderKeys
    clock: Clock
    chaos: Chaos
    ledger: Ledger
    limits: Limits
    channels: Channels
    director: Director
    teams: Teams


@dataclass(slots=True)
class Exchange:
    """A stream that the sender has opened and that has no answer yet."""

    stream: int
    fields: list[tuple[bytes, bytes]]
    body: bytearray = field(default_factory=bytearray)
    size: int = 0
    fate: Fate = CALM
    seen: tuple[Request, Entry] | None = None
    """The request as it was read, and where it is written down."""

    def request(self) -> Request:
        """As far as it has come."""
        return Request.read(self.fields, bytes(self.body), self.size)


@dataclass(frozen=True, slots=True)
class Framing:
    """An answer, ready to be framed."""

    headers: list[tuple[bytes, bytes]]
    body: bytes
    bend: Callable[[bytes], bytes] | None
    """Makes other frames of the usual ones."""


class Desk:
    """One per connection.

    Args:
        number: the connection's, for the ledger.
        environment: which of Apple's two worlds this is.
        listener: which of Apple's services the connection was made to.
        address: of the server, where it arrived.
        services: shared with the other connections.
    """

    def __init__(
        self, number: int, environment: Environment, listener: Listener, address: str | None, services: Services
    ) -> None:
        self.auth = ConnectionAuth(
            services.keys, environment, services.limits, lambda: services.chaos.plan.auth, services.teams
        )
        self._site = Site(
            environment, self.auth, services.phones, services.limits, channels=services.channels, listener=listener
        )
        self._number = number
        self._address = address
        self._services = services

    def read(self, exchange: Exchange, time: float) -> tuple[Request, Entry]:
        """Read the request as far as it has come, and write it down, once.

        Args:
            exchange: the stream.
            time: when its newest frame came, in seconds since 1970 UTC of the simulated world.
        """
        if exchange.seen is None:
            request = exchange.request()
            entry = self._services.ledger.arrived(
                request,
                time=time,
                environment=self._site.environment,
                connection=self._number,
                stream=exchange.stream,
            )
            exchange.seen = (request, entry)
        return exchange.seen

    def take_body(self, exchange: Exchange, data: bytes) -> None:
        """A piece of the body. One byte more than the longest payload is enough to see that it is too long."""
        exchange.size += len(data)
        room = self._services.limits.voip_payload_bytes + 1 - len(exchange.body)
        exchange.body += data[: max(0, room)]

    def reset_at_headers(self, exchange: Exchange) -> Reset | None:
        """Whether the request is reset as soon as its HEADERS are in."""
        chaos = self._services.chaos
        return chaos.reset_at_headers(self._subject(exchange.request(), None)) if chaos.plan.reset else None

    def decide(self, request: Request, entry: Entry) -> Fate:
        """What the dice say of a request that has come whole."""
        chaos = self._services.chaos
        return CALM if chaos.plan.spares_requests else chaos.decide(self._subject(request, entry.event))

    def answer(self, exchange: Exchange, time: float) -> Answer:
        """Judge a request, and deliver it or carry it out where it is accepted."""
        request, entry = self.read(exchange, time)
        answer = self._judge(request, exchange.fate)
        if answer.reason is None:
            now = self._services.clock.now()
            if self._concerns_channels(request):
                carry_out(request, answer, self._site, now)
            else:
                self._services.phones.deliver(delivery(request, answer, self._site.environment, now))
            self._services.ledger.delivered(entry)
        return answer

    def framing(self, answer: Answer, fate: Fate) -> Framing:
        """The answer in the form that the dice want."""
        headers, bend = answer.headers(), None
        if fate.reply is not None:
            headers = bent_headers(headers, fate.reply, self._services.clock.now())
            bend = functools.partial(bent_frames, reply=fate.reply)
        if fate.reset is not None:
            bend = functools.partial(cut_off, code=fate.reset.code, within_body=fate.reset.when == "answer_data")
        return Framing(headers, answer.body(), bend)

    def close(self, exchange: Exchange, ending: Ending) -> None:
        """The exchange is over without an answer."""
        if exchange.seen is not None:
            self._services.ledger.ended(exchange.seen[1], ending)

    def note(self, what: str) -> None:
        """Write down what happened to the connection."""
        self._services.ledger.note(self._services.clock.now(), self._site.environment, self._number, what)

    def _subject(self, request: Request, event: str | None) -> Subject:
        return Subject(self._number, self._address, request.token, request.topic, event)

    def _judge(self, request: Request, fate: Fate) -> Answer:
        chaos, now = self._services.chaos, self._services.clock.now()
        if chaos.unavailable(now):
            apns_id = request.apns_id or self._site.new_id()
            return Answer(503, apns_id, "ServiceUnavailable", id_name=request.id_name)
        rules = judge_channels if self._concerns_channels(request) else judge
        answer = rules(request, self._site, now, documented_spellings=chaos.plan.documented_spellings)
        script = fate.rejection
        if script is None:
            return answer
        if answer.reason is not None:
            chaos.unmet(script)
            return answer
        return Answer(
            status=script.status,
            apns_id=answer.apns_id,
            reason=script.reason,
            timestamp=script.timestamp,
            retry_after_s=script.retry_after_s,
            raw_body=script.body,
            id_name=request.id_name,
        )

    def _concerns_channels(self, request: Request) -> bool:
        return self._site.listener is Listener.MANAGEMENT or request.target.resource is Resource.BROADCASTS
