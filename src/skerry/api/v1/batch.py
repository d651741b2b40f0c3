"""`POST /v1/activities:batch`: lines of NDJSON read one by one, and what became of each as a line of the answer.

Lines are carried out some hundreds at a time, each such part in a transaction of its own, and its answers are sent
once it is on disk. So a batch of any size keeps nobody waiting for long, and where its caller goes away in the midst,
no part is done by half.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from skerry.api.intake import Intake
from skerry.api.ports import Batches
from skerry.api.problems import ProblemError, members
from skerry.api.v1 import activities as forms
from skerry.api.v1.headers import idempotency
from skerry.api.v1.reading import Body, read, read_params, refused, seconds, template_bytes, text
from skerry.api.v1.refusals import problem_of, refusal
from skerry.domain.activity import End
from skerry.domain.commands import Idempotency
from skerry.domain.errors import OverloadedError
from skerry.domain.ids import AppId, GroupId, RevisionNumber
from skerry.domain.line import Line, LineOutcome, LineResult

MOST_BYTES = 32 << 20
MOST_LINES = 100_000
LONGEST_LINE = 64 << 10
"""Bytes. A push has 4 KiB at most; all of one line is read at a time."""
MOST_HELD = 64 << 20
"""Bytes of all batches that are here at once."""
RETRY_AFTER = 1.0
TOGETHER = 256
"""Lines of a part: some 5 ms of the only writer."""
NDJSON = "application/x-ndjson"


class LineBody(Body):
    """One line."""

    id: str
    action: Literal["update", "end"] = "update"
    state: msgspec.Raw = forms.ABSENT
    alert: msgspec.Raw = forms.ABSENT
    priority: float | str = "auto"
    important: bool = False
    relevance: float | None = None
    stale_at: Any = None
    dismiss_at: Any = None
    version: int | None = None
    params: dict[str, Any] | None = None


class LineAnswer(msgspec.Struct):
    """What became of one line. `line` counts from 1, and counts blank ones too."""

    line: int
    id: str | None
    result: LineResult
    revision: RevisionNumber | None
    error: dict[str, object] | msgspec.UnsetType = msgspec.UNSET


@dataclass(slots=True)
class _Part:
    """Lines that are carried out together: those that can be, and the refusals of the others, by their place."""

    numbers: list[int]
    lines: list[Line]
    places: list[int]
    """Of `lines` in the part."""
    refused: dict[int, LineAnswer]

    def tell(self, outcomes: Sequence[LineOutcome]) -> str:
        """The answer's text: a line for each, in order."""
        answers = self.refused | {
            place: _answer(self.numbers[place], line.group_id, outcome)
            for place, line, outcome in zip(self.places, self.lines, outcomes, strict=True)
        }
        return _encoder.encode_lines([answers[place] for place in range(len(self.numbers))]).decode()

    def refuse(self, error: Exception) -> str:
        """The same where none could be carried out."""
        return self.tell([LineOutcome(LineResult.REFUSED, error=error)] * len(self.lines))


_encoder = msgspec.json.Encoder()


class _Held:
    """Bytes of one batch, which count among those of all until they are let go."""

    def __init__(self, handler: "BatchHandler") -> None:
        self._handler = handler
        self._bytes = 0

    def add(self, count: int) -> None:
        """So many more have come.

        Raises:
            OverloadedError: if all batches together are too large.
        """
        if self._handler.held + count > MOST_HELD:
            raise OverloadedError("the room for batches", RETRY_AFTER)
        self._handler.held += count
        self._bytes += count

    def let_go(self) -> None:
        """The batch is done with, one way or the other."""
        self._handler.held -= self._bytes
        self._bytes = 0


class _Answers(StreamingResponse):
    """The answer of a batch with several parts; lets go of its bytes however it ends."""

    def __init__(self, parts: AsyncIterator[str], held: _Held) -> None:
        super().__init__(parts, media_type=NDJSON)
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._held.let_go()


class BatchHandler:
    """The operation."""

    def __init__(self, intake: Intake, batches: Batches) -> None:
        self._intake = intake
        self._batches = batches
        self.held = 0
        """Bytes of all batches that are here."""

    async def batch(self, request: Request) -> Response:
        """Carry out what lines say; a line that is wrong is refused alone."""
        app_id = (await self._intake.principal(request)).app.app_id
        held = _Held(self)
        try:
            body = await self._intake.body(request, most=MOST_BYTES, grown=held.add)
            once = idempotency(request, body)
            parts = _parts(body)
            begun = await self._begin(app_id, next(parts, None), once)
            second = next(parts, None)
        except BaseException:
            held.let_go()
            raise
        if second is None:
            held.let_go()
            return Response(begun, media_type=NDJSON)
        return _Answers(self._answers(app_id, begun, second, parts, once), held)

    async def _begin(self, app_id: AppId, part: _Part | None, once: Idempotency | None) -> str:
        """Whatever stands in the way of the first part is told by the status: nothing has been changed then."""
        if part is None:
            raise ProblemError(400, "Nothing to do", "the body has no lines: send one JSON object on each")
        try:
            return await self._carry_out(app_id, part, once)
        except Exception as error:
            raise refusal(error) from error

    async def _answers(
        self, app_id: AppId, begun: str, part: _Part, rest: Iterator[_Part], once: Idempotency | None
    ) -> AsyncIterator[str]:
        yield begun
        place = 0
        following: _Part | None = part
        while following is not None:
            place += 1
            # Each part has a key of its own, which no header can hold: what was done of a batch is not done again.
            key = once and Idempotency(f"{once.key}\n{place}", once.digest)
            try:
                answer = await self._carry_out(app_id, following, key)
            except Exception as error:  # noqa: BLE001 - the status is sent: now each line must tell
                answer = following.refuse(problem_of(refusal(error)))
            yield answer
            following = next(rest, None)

    async def _carry_out(self, app_id: AppId, part: _Part, once: Idempotency | None) -> str:
        if not part.lines and once is None:
            return part.tell([])
        return await self._batches.carry_out(app_id, part.lines, part.tell, once)


def _parts(body: bytes) -> Iterator[_Part]:
    """The body's lines without the blank ones, read and cut into parts.

    Raises:
        ProblemError: where there are too many.
    """
    if (count := body.count(b"\n")) > MOST_LINES:
        detail = f"the body has {count} lines: send at most {MOST_LINES}, in several requests"
        raise ProblemError(413, "Body too large", detail)
    lines = _lines(body)
    while some := list(islice(lines, TOGETHER)):
        yield _part(some)


def _lines(body: bytes) -> Iterator[tuple[int, bytes]]:
    begin, number = 0, 0
    while begin < len(body):
        end = body.find(b"\n", begin)
        end = len(body) if end < 0 else end
        number += 1
        line = body[begin:end].strip()
        if line:
            yield number, line
        begin = end + 1


def _part(some: Sequence[tuple[int, bytes]]) -> _Part:
    part = _Part([number for number, _ in some], [], [], {})
    for place, (number, line) in enumerate(some):
        try:
            part.lines.append(line_of(line))
            part.places.append(place)
        except ProblemError as error:
            part.refused[place] = _answer(number, _id_of(line), LineOutcome(LineResult.REFUSED, error=error))
    return part


def line_of(line: bytes) -> Line:
    """What a line asks for.

    Raises:
        ProblemError: naming the field that is wrong, and the fix.
    """
    if len(line) > LONGEST_LINE:
        raise ProblemError(413, "Line too long", f"the line has {len(line)} bytes: send at most {LONGEST_LINE}")
    body = read(line, LineBody)
    group_id = GroupId(text(body.id, "id", forms.MOST_ID) or "")
    params = read_params(body.params)
    state, alert = template_bytes(body.state, "state", params), forms.alert_of(body.alert, params)
    if body.action == "end":
        dismissal_date = seconds(body.dismiss_at, "dismiss_at")
        end = End(state=state, alert=alert, dismissal_date=dismissal_date)
        return Line(group_id, state or b"{}", version=forms.version(body.version), end=end)
    if state is None:
        raise refused("state", "is missing", "send the whole state that the phones should show")
    if body.dismiss_at is not None:
        raise refused("dismiss_at", "belongs to an end", 'leave it out, or send "action": "end"')
    return Line(
        group_id=group_id,
        state=state,
        alert=alert,
        priority=forms.priority_of(body.priority),
        important=body.important,
        relevance=forms.finite(body.relevance),
        stale_at=seconds(body.stale_at, "stale_at"),
        version=forms.version(body.version),
    )


def _answer(number: int, group_id: str | None, outcome: LineOutcome) -> LineAnswer:
    answer = LineAnswer(number, group_id, outcome.result, outcome.revision)
    if outcome.error is not None:
        answer.error = members(problem_of(refusal(outcome.error)))
    elif outcome.result is LineResult.UNKNOWN:
        answer.error = members(ProblemError(404, "Not found", f"there is no activity {group_id}: PUT it first"))
    return answer


def _id_of(line: bytes) -> str | None:
    """The id of a line that is wrong somewhere, where that can be read."""
    if len(line) > LONGEST_LINE:
        return None
    try:
        found = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    name = found.get("id") if isinstance(found, dict) else None
    return name if isinstance(name, str) else None
