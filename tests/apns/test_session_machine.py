"""Any server that keeps to HTTP/2, in any order and any portions: the session keeps to it as well, and loses nothing.

`h2` on the other side raises at the first illegal frame: a stream too many, a window overrun, a frame on an ended
stream, a header block that its decoder does not know. That is invariant I5 of the fault catalogue; that every push ends
exactly once is I1.
"""

import functools
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from h2_peer import AUTHORIZATION, Conversation, goaway, letter, reset, token
from hyperframe.frame import ContinuationFrame, Frame, HeadersFrame
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from skerry.apns.frames import ErrorCode
from skerry.apns.headers import Letter
from skerry.domain.push import Outcome

LETTERS = [
    letter(b'{"a":1}'),
    letter(b"x" * 300, topic=b"com.example.other"),
    letter(b"", topic=b"t" * 400),
    letter(b"y" * 4096, passing=b"\x10\x01p\x01v"),
    letter(b"z" * 16_384),
]
LARGEST = 2**31 - 1
"""As the first GOAWAY of a graceful end says."""
EVERY_SETTING = {
    "max_concurrent_streams": st.integers(0, 6) | st.just(1000),
    "initial_window_size": st.sampled_from([0, 1, 50, 5_000, 65_535, 200_000]),
    "header_table_size": st.sampled_from([0, 0, 60, 200, 4_096, 65_536]),
    "max_frame_size": st.sampled_from([16_384, 70_000]),
}


@dataclass
class Story:
    """What the server has said on one stream."""

    statuses: list[int] = field(default_factory=list)
    over: bool = False
    refused: bool = False
    reset: bool = False


def act(**arguments: st.SearchStrategy[Any]) -> Callable[[Callable[..., None]], Any]:
    """A rule after which bytes travel."""

    def decorate(function: Callable[..., None]) -> Any:
        @functools.wraps(function)
        def acting(self: "SessionMachine", **drawn: Any) -> None:
            function(self, **drawn)
            self._travel()

        return rule(**arguments)(acting)

    return decorate


class SessionMachine(RuleBasedStateMachine):
    """Bytes travel when a rule says so, in portions of any size, so that everything crosses everything."""

    @initialize(
        pick=st.randoms(use_true_random=False),
        limit=st.sampled_from([0, 1, 4, 20]),
        window=st.sampled_from([0, 10, 65_535, 65_535]),
        bound=st.sampled_from([3, 1000]),
    )
    def begin(self, pick: Random, limit: int, window: int, bound: int) -> None:
        self.pick = pick
        self.now = 0.0
        self.talk = Conversation(
            settings={SettingCodes.MAX_CONCURRENT_STREAMS: limit, SettingCodes.INITIAL_WINDOW_SIZE: window},
            stream_bound=bound,
            begin=False,
        )
        self.bound = bound
        self.to_server = b""
        self.to_session = b""
        self.stories: dict[int, Story] = defaultdict(Story)
        self.sent: dict[int, tuple[int, bytes, bytes]] = {}
        """Number of the push, its body and its token, by stream."""
        self.given_up: set[int] = set()
        self.last_stream_id: int | None = None

    # What we do

    @act(
        count=st.integers(1, 8),
        which=st.sampled_from(LETTERS),
        width=st.sampled_from([64, 160, 200]),
        key=st.booleans(),
        kept=st.sampled_from([False, False, True]),
        own=st.booleans(),
    )
    def push(self, count: int, which: Letter, width: int, *, key: bool, kept: bool, own: bool) -> None:
        count = min(count, self.talk.session.room(len(which.body)))
        if not count:
            return
        places = range(self.talk.pushed, self.talk.pushed + count)
        tokens = [token(place, width if place % 3 else 80) for place in places]
        bodies = [which.body] * count
        if own and which.body:
            bodies = [which.body[: self.pick.randint(1, len(which.body))] for _ in places]
        run = self.talk.push(
            count,
            which,
            tokens=tokens,
            authorization=AUTHORIZATION if key else b"bearer short",
            deadline=self.now + 30,
            answers={} if kept else None,
            bodies=bodies if own and which.body else None,
        )
        for position, place in enumerate(places):
            self.sent[run.stream_id(position)] = (place, bodies[position], tokens[position])

    @act()
    def look_at_what_is_answered(self) -> None:
        self.talk.hand_out()

    @act()
    def cancel(self) -> None:
        if self.talk.session.runs and self.pick.random() < 0.3:
            run = self.pick.choice(self.talk.session.runs)
            self.given_up |= {run.places[position] for position in run.open_positions()}
            self.talk.session.cancel(run, "shutdown")
            self.talk.settle()

    @act(seconds=st.integers(1, 10))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds
        overdue = [run for run in self.talk.session.runs if run.deadline <= self.now]
        self.given_up |= {run.places[position] for run in overdue for position in run.open_positions()}
        self.talk.session.expire(self.now)
        self.talk.settle()
        assert not [run for run in self.talk.session.runs if run.deadline <= self.now]

    @act()
    def ping(self) -> None:
        self.talk.session.ping(b"12345678")

    # What the server does

    def _answerable(self) -> list[int]:
        open_streams = self.talk.server.h2.streams
        last = LARGEST if self.last_stream_id is None else self.last_stream_id
        return [
            stream_id
            for stream_id in self.talk.server.requests
            if not self.stories[stream_id].over
            and stream_id <= last
            and stream_id in open_streams
            and not open_streams[stream_id].closed
        ]

    @act(
        status=st.sampled_from([200, 200, 200, 400, 410, 503]),
        body=st.sampled_from([b"", b'{"reason":"X"}']),
    )
    def answer(self, status: int, body: bytes) -> None:
        for stream_id in self._answerable()[: self.pick.choice([1, 2, 100])]:
            if not self.stories[stream_id].statuses:
                self._headers(stream_id, [(":status", str(status)), ("apns-id", "x")], end=not body)
                self.stories[stream_id].statuses.append(status)
            else:
                body = body or b" "
            if body and self._window(stream_id) >= len(body):
                self.talk.server.h2.send_data(stream_id, body, end_stream=True)
                body = b""
            self.stories[stream_id].over = not body

    @act(body=st.binary(max_size=60), padding=st.none() | st.integers(0, 30))
    def answer_by_and_by(self, body: bytes, padding: int | None) -> None:
        if not (possible := self._answerable()):
            return
        stream_id = self.pick.choice(possible)
        story = self.stories[stream_id]
        if not story.statuses:
            if self.pick.random() < 0.3:
                self._headers(stream_id, [(":status", "103")], end=False)
                return
            story.statuses.append(self.pick.choice([200, 400]))
            self._headers(stream_id, [(":status", str(story.statuses[0])), ("x-y", "z" * 50)], end=False)
        elif self._window(stream_id) >= len(body) + 31:
            story.over = self.pick.random() < 0.3
            self.talk.server.h2.send_data(stream_id, body, pad_length=padding, end_stream=story.over)

    @act()
    def trailers(self) -> None:
        for stream_id in self._answerable():
            if self.stories[stream_id].statuses:
                self._headers(stream_id, [("x-checksum", "1")], end=True)
                self.stories[stream_id].over = True
                break

    @act(code=st.sampled_from([7, 7, 0, 2, 8, 11]), twice=st.booleans())
    def server_resets(self, code: int, *, twice: bool) -> None:
        if not (possible := self._answerable()):
            return
        stream_id = self.pick.choice(possible)
        self.talk.server.reset(stream_id, ErrorCodes(code))
        story = self.stories[stream_id]
        story.over = story.reset = True
        story.refused = code == ErrorCode.REFUSED_STREAM
        if twice:
            self._raw(reset(stream_id, ErrorCode.STREAM_CLOSED))

    # `h2` counts an acknowledgement for every setting: so none before the first, and each names them all.
    @precondition(lambda self: self.talk.server.acknowledged)
    @act(values=st.fixed_dictionaries(EVERY_SETTING))
    def settings_change(self, values: dict[str, int]) -> None:
        self.talk.server.settings(**values)

    @act(increment=st.integers(1, 20_000), to_stream=st.booleans())
    def credit(self, increment: int, *, to_stream: bool) -> None:
        if not to_stream:
            self.talk.server.credit(increment)
        elif possible := [one for one in self._answerable() if not self.talk.server.requests[one].ended]:
            self.talk.server.credit(increment, self.pick.choice(possible))

    @act()
    def server_pings(self) -> None:
        self.talk.server.h2.ping(b"abcdefgh")

    @precondition(lambda self: self.talk.pushed > 10)
    @act(graceful=st.booleans(), code=st.sampled_from([0, 2]))
    def server_says_goaway(self, code: int, *, graceful: bool) -> None:
        if graceful and self.last_stream_id is None:
            last = LARGEST
        else:
            heard_of = max(self.talk.server.requests, default=0)
            answered = max((one for one, story in self.stories.items() if story.over), default=0)
            last = self.pick.choice([answered, heard_of])
            last = last if self.last_stream_id is None else min(last, self.last_stream_id)
        self.last_stream_id = last
        self._raw(goaway(last, code, b'{"reason":"Shutdown"}'))

    @act(kind=st.integers(10, 255), payload=st.binary(max_size=20))
    def an_unknown_frame(self, kind: int, payload: bytes) -> None:
        self._collect()
        self.to_session += len(payload).to_bytes(3, "big") + bytes((kind, 0, 0, 0, 0, 0)) + payload

    # How bytes travel

    @act()
    def nothing_happens(self) -> None:
        pass

    def _travel(self) -> None:
        """After every rule: all, some or none of the bytes, in either direction."""
        self.to_server += self.talk.session.take_outgoing()
        self._deliver_to_server(self._portion(self.to_server))
        self._collect()
        self._deliver_to_session(self._portion(self.to_session))

    def _portion(self, data: bytes) -> int:
        chance = self.pick.random()
        return len(data) if chance < 0.6 else 0 if chance < 0.8 else self.pick.randint(0, len(data))

    def _deliver_to_server(self, size: int) -> None:
        self.talk.server.receive(self.to_server[:size])
        self.to_server = self.to_server[size:]

    def _deliver_to_session(self, size: int) -> None:
        self.talk.session.receive(self.to_session[:size])
        self.to_session = self.to_session[size:]
        self.talk.settle()

    def _collect(self) -> None:
        self.to_session += self.talk.server.h2.data_to_send()

    def _raw(self, frame: Frame) -> None:
        self._collect()
        self.to_session += frame.serialize()

    def _window(self, stream_id: int) -> int:
        return int(self.talk.server.h2.local_flow_control_window(stream_id))

    def _headers(self, stream_id: int, fields: list[tuple[str, str]], *, end: bool) -> None:
        """HEADERS in one frame, or in several, with or without padding and priority."""
        self._collect()
        self.talk.server.h2.send_headers(stream_id, fields, end_stream=end)
        frame, length = Frame.parse_frame_header(memoryview(data := self.talk.server.h2.data_to_send())[:9])
        frame.parse_body(memoryview(data)[9:])
        assert isinstance(frame, HeadersFrame)
        assert length + 9 == len(data)
        following = []
        if self.pick.random() < 0.3:
            frame.flags.discard("END_HEADERS")
            cut = self.pick.randint(0, len(frame.data))
            following = [ContinuationFrame(stream_id, frame.data[cut:], flags=["END_HEADERS"])]
            frame.data = frame.data[:cut]
        if self.pick.random() < 0.3:
            frame.flags.add("PADDED")
            frame.pad_length = self.pick.randint(0, 40)
        if self.pick.random() < 0.2:
            frame.flags.add("PRIORITY")
            frame.stream_weight = 16
        self.to_session += b"".join(one.serialize() for one in (frame, *following))

    # What always holds

    @invariant()
    def nobody_has_broken_the_protocol(self) -> None:
        if hasattr(self, "talk"):
            assert self.talk.session.failure is None
            assert not self.talk.server.goaways

    @invariant()
    def the_books_agree(self) -> None:
        if hasattr(self, "talk"):
            session = self.talk.session
            assert session.open_streams == sum(len(run.open_positions()) for run in session.runs)
            assert session.open_streams == self.talk.pushed - len(self.talk.endings) - self._unfinished()
            assert session.open_streams <= self.bound
            # What lies above a GOAWAY has ended for us, and the server may go on counting it.
            if self.last_stream_id is None:
                assert session.room(0) <= max(0, self.bound - session.open_streams)

    def _unfinished(self) -> int:
        """Accepted pushes of runs that still have open streams: they are told of with their run."""
        return sum(run.codes.count(Outcome.ACCEPTED) for run in self.talk.session.runs)

    def teardown(self) -> None:
        if not hasattr(self, "talk"):
            return
        while True:
            self._collect()
            self.to_server += self.talk.session.take_outgoing()
            if not self.to_server and not self.to_session:
                break
            self._deliver_to_server(len(self.to_server))
            self._deliver_to_session(len(self.to_session))
        self.nobody_has_broken_the_protocol()
        self.the_books_agree()
        self._check_requests()
        for stream_id, (place, _, _) in self.sent.items():
            if self.stories[stream_id].over:
                assert place in self.talk.endings or self._accepted(stream_id)
        self.talk.end()
        for stream_id, (place, _, _) in self.sent.items():
            self._check_ending(stream_id, place)

    def _accepted(self, stream_id: int) -> bool:
        return any(
            run.codes[(stream_id - run.first_id) // 2] == Outcome.ACCEPTED
            for run in self.talk.session.runs
            if 0 <= stream_id - run.first_id < run.span
        )

    def _check_requests(self) -> None:
        for stream_id, (_, body, path) in self.sent.items():
            request = self.talk.server.requests[stream_id]
            assert request.token == path
            assert request.headers[b":authority"] == b"api.push.apple.com"
            assert body.startswith(bytes(request.body))
            assert not request.ended or bytes(request.body) == body

    def _check_ending(self, stream_id: int, place: int) -> None:
        ending, story = self.talk.endings[place], self.stories[stream_id]
        match ending.outcome:
            case Outcome.ACCEPTED:
                assert story.statuses == [200]
            case Outcome.REJECTED:
                assert story.statuses == [ending.rejected.status]
            case Outcome.NOT_PROCESSED:
                above = self.last_stream_id is not None and stream_id > self.last_stream_id
                assert story.refused or above
                assert not (story.over and story.statuses and not story.refused)
            case Outcome.UNKNOWN:
                assert place in self.given_up or story.reset or ending.cause == "connection_lost"
            case _:
                pytest.fail(f"push {place} has no outcome")


def test_whatever_a_lawful_server_does_nothing_is_lost_and_nothing_unlawful_is_sent() -> None:
    run_state_machine_as_test(
        SessionMachine, settings=settings(max_examples=60, stateful_step_count=60, deadline=None, derandomize=True)
    )


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_same_for_longer() -> None:
    run_state_machine_as_test(
        SessionMachine, settings=settings(max_examples=3_000, stateful_step_count=120, deadline=None)
    )
