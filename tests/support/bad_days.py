"""Bad days: faults drawn at random, in pairs and more, as a script that can be read, kept, shrunk and played again.

A script is JSON: `{"seed", "addresses", "connections", "events": [{"at_s", <deed>}]}`. Deeds are `push` (count,
deadline, cancel_after), `chaos` (fields of the plan to change), `step` (one step of a plan's script, at once) and `net`
(what happens to the network). After `HEALED` everything is well again, and a day is only good if the client then is.
"""

import asyncio
import json
import random
import socket
from collections.abc import Callable, Iterator
from typing import Any

from testbed import Bed, play

from skerry.apns import PoolSettings
from skerry.domain.push import Outcome
from skerry.simulator.virtual import Reach

BUSY = 20.0
"""Seconds of faults and pushes."""
HEALED = 25.0
RECOVERY = 900.0
"""Longest until pushes are accepted again: a credential that was refused is tried once in five minutes."""

Script = dict[str, Any]
Event = dict[str, Any]


def draw(seed: int) -> Script:
    """A day of two to five faults, and pushes before, amid and after them."""
    dice = random.Random(seed)
    events: list[Event] = []
    for _ in range(dice.randint(2, 5)):
        at = round(dice.uniform(0, BUSY), 2)
        events += ({"at_s": at, **deed} if "at_s" not in deed else deed for deed in dice.choice(FAULTS)(dice, at))
    for _ in range(dice.randint(4, 10)):
        push: dict[str, Any] = {"count": dice.choice((1, 3, 20, 60)), "deadline": dice.choice((2, 8, 20))}
        if dice.random() < 0.1:
            push["cancel_after"] = round(dice.uniform(0, 1), 2)
        events.append({"at_s": round(dice.uniform(0, BUSY), 2), "push": push})
    events.sort(key=lambda event: event["at_s"])
    return {
        "seed": seed,
        "addresses": dice.choice((1, 1, 2, 4)),
        "connections": dice.choice((1, 2, 4)),
        "events": events,
    }


def play_script(script: Script) -> Bed:
    """Play a day and judge it.

    Raises:
        AssertionError: if an invariant does not hold, or the client has not recovered.
    """
    return play(
        lambda bed: _day(bed, script["events"]),
        seed=script["seed"],
        addresses=script["addresses"],
        settings=PoolSettings(max_connections=script["connections"]),
    )


def shrink(script: Script, fails: Callable[[Script], str | None]) -> Script:
    """The smallest script found that fails in the same way.

    Args:
        script: one that fails.
        fails: plays a script; says how it failed, None where it did not.
    """
    how = fails(script)
    smaller: Script | None = None if how is None else script
    while smaller is not None:
        script = smaller
        smaller = next((one for one in _simpler(script) if fails(one) == how), None)
    return script


def outcome_of(script: Script) -> str | None:
    """How a script fails: the kind of its error and the first words; None: all is well."""
    try:
        play_script(script)
    except Exception as error:  # noqa: BLE001 - whatever goes wrong is what we are after
        return f"{type(error).__name__}: {str(error).split(':', 1)[0][:60]}"
    return None


def as_text(script: Script) -> str:
    """JSON with a line for each event."""
    head = {key: value for key, value in script.items() if key != "events"}
    lines = ",\n    ".join(json.dumps(event) for event in script["events"])
    return f'{json.dumps(head)[:-1]}, "events": [\n    {lines}\n]}}\n'


def _simpler(script: Script) -> Iterator[Script]:
    events = script["events"]
    for place in range(len(events)):
        yield {**script, "events": events[:place] + events[place + 1 :]}
    for place, event in enumerate(events):
        if event.get("push", {}).get("count", 1) > 1:
            smaller = {**event, "push": {**event["push"], "count": event["push"]["count"] // 2}}
            yield {**script, "events": [*events[:place], smaller, *events[place + 1 :]]}
    for key in ("addresses", "connections"):
        if script[key] > 1:
            yield {**script, key: 1}


async def _day(bed: Bed, events: list[Event]) -> None:
    pushes: list[asyncio.Task[Any]] = []
    for event in events:
        await asyncio.sleep(max(0.0, event["at_s"] - bed.loop.time()))
        if "push" in event:
            pushes.append(_push(bed, event["push"]))
        elif "chaos" in event:
            bed.chaos.change(event["chaos"])
        elif "step" in event:
            bed.chaos.update_from({**bed.chaos.as_dict(), "script": [{"at_s": 0, **event["step"]}]})
        else:
            _happen(bed, event["net"])
    await asyncio.sleep(max(0.0, HEALED - bed.loop.time()))
    _heal(bed)
    await asyncio.gather(*pushes, return_exceptions=True)
    while (await bed.push(2, deadline=20)).count(Outcome.ACCEPTED) < 2:
        assert bed.loop.time() < HEALED + RECOVERY, f"no recovery: {bed.client.stats()}"
        await asyncio.sleep(20)


def _push(bed: Bed, push: dict[str, Any]) -> asyncio.Task[Any]:
    task = bed.pushing(push["count"], deadline=push["deadline"])
    if "cancel_after" in push:
        bed.abandoned = True
        bed.loop.call_later(push["cancel_after"], task.cancel)
    return task


def _happen(bed: Bed, net: dict[str, Any]) -> None:
    how, which = net["how"], net["which"]
    address = bed.addresses[which % len(bed.addresses)]
    host, links = bed.network.host(address), bed.network.links
    match how:
        case "host_black_hole":
            host.black_hole = True
        case "host_heals":
            host.black_hole, host.reach, host.latency_s = False, Reach.OPEN, 0.02
            bed.network.changed()
        case "slow":
            host.latency_s = net["latency_s"]
        case "name_fails":
            bed.name.failure = socket.EAI_AGAIN
        case "name_hangs":
            bed.name.delay_s = 3_600.0
        case "black_hole" | "heal" | "forget" | "reset" | "end":
            if links:
                getattr(links[which % len(links)], how)()
        case _:
            host.reach = Reach(how)


def _heal(bed: Bed) -> None:
    bed.chaos.update_from({})
    bed.name.failure, bed.name.delay_s = None, 0.0
    for host in bed.network.hosts.values():
        host.black_hole, host.reach, host.latency_s = False, Reach.OPEN, 0.02
    bed.network.changed()


# The faults: each makes the events of one. What a server must not do at all (process a request and say REFUSED_STREAM,
# or name a last stream below one that it has processed) is left out: no client can tell.


def _for_a_while(dice: random.Random, at: float, fields: dict[str, Any]) -> list[Event]:
    """Fields of the plan, and their defaults again some seconds later."""
    calm = dict.fromkeys(fields)
    return [{"chaos": fields}, {"at_s": round(min(BUSY, at + dice.choice((1, 4, 10))), 2), "chaos": calm}]


def _rejections(dice: random.Random, at: float) -> list[Event]:
    reason = dice.choice(
        ("BadDeviceToken", "Unregistered", "TooManyRequests", "TooManyProviderTokenUpdates", "ExpiredProviderToken",
         "InvalidProviderToken", "InternalServerError", "ServiceUnavailable", "UnrelatedKeyIdInToken")
    )  # fmt: skip
    rejection = {"reason": reason, "share": dice.choice((0.05, 0.4, 1.0))}
    return _for_a_while(dice, at, {"reject": rejection, "limit_after_rejection": dice.random() < 0.5})


def _streams(dice: random.Random, at: float) -> list[Event]:
    share = dice.choice((0.05, 0.5, 1.0))
    return _for_a_while(
        dice,
        at,
        dice.choice(
            (
                {"silent": share},
                {"refuse": share / 2},
                {"late": {"share": share, "ms": dice.choice((200, 3_000, 12_000))}},
                {"drop_answer": {"share": share, "times": dice.randint(1, 3)}},
                {"reset": {"share": share / 2, "code": dice.choice((0, 2, 7, 8)), "twice": dice.random() < 0.5}},
                {"reset": {"share": share / 2, "code": 2, "when": dice.choice(("headers", "answer_headers"))}},
            )
        ),
    )


def _replies(dice: random.Random, at: float) -> list[Event]:
    form = dice.choice(
        ({"pieces": 3}, {"continuation": 2}, {"padding": 100}, {"interim": 2}, {"trailers": True}, {"end": "data"},
         {"then": "data"}, {"then": "rst_stream"}, {"apns_id": "missing"})
    )  # fmt: skip
    return _for_a_while(dice, at, {"reply": {**form, "share": 0.7}})


def _goaway(dice: random.Random, at: float) -> list[Event]:
    goaway: dict[str, Any] = {
        "reason": dice.choice(("Shutdown", "IdleTimeout", None)),
        "code": dice.choice((0, 0, 2, 11)),
        "serve": dice.random() < 0.8,
        "close_after_s": dice.choice((0, 0.3, 5)),
        "close": dice.choice(("eof", "fin", "rst")),
        "times": dice.choice((1, 1, 2)),
    }
    if dice.random() < 0.5:
        goaway["kept"] = dice.randint(0, 30)
    elif dice.random() < 0.3:
        goaway |= {"last_stream": "max", "close": "never"}
    return [{"step": {"goaway": goaway, "connections": dice.choice(("all", "oldest", "newest"))}}]


def _ends(dice: random.Random, at: float) -> list[Event]:
    mode = dice.choice(("eof", "fin", "half_close", "rst", "black_hole"))
    return [{"step": {"drop": mode, "connections": dice.choice(("all", "oldest", "newest"))}}]


def _limits(dice: random.Random, at: float) -> list[Event]:
    return _for_a_while(
        dice,
        at,
        dice.choice(
            (
                {"max_concurrent_streams": dice.choice((0, 1, 5, 100)), "refuse_surplus": dice.random() < 0.5},
                {"window": {"stream": dice.choice((0, 1, 50, 70))}},
                {"window": {"withhold": dice.choice((True, "stream", "connection"))}},
                {"latency_ms": dice.choice((50, 900, {"median": 80, "p99": 3_000}))},
                {"stop_reading": True},
                {"ignore_ping": True},
                {"settings_delay_ms": dice.choice((500, 4_000))},
                {"omit_settings": True},
                {"header_table_size": 0},
            )
        ),
    )


def _frames(dice: random.Random, at: float) -> list[Event]:
    return [
        {
            "step": dice.choice(
                (
                    {"frames": {"type": "ping", "payload": "00" * 8, "count": dice.choice((1, 500, 5_000))}},
                    {"frames": {"type": "window_update", "payload": "7fffffff"}},
                    {"frames": {"type": 0x42, "count": 3}},
                    {"frames": {"type": "push_promise", "stream": 1, "flags": 4, "payload": "0000000288"}},
                    {"frames": {"type": "data", "stream": 1, "flags": 1, "payload": "aa"}},
                    {"settings": {"header_table_size": dice.choice((0, 4_096))}},
                    {"settings": {"max_frame_size": 16_384}},
                    {"expire_tokens": True},
                )
            )
        }
    ]


def _doors(dice: random.Random, at: float) -> list[Event]:
    goaway = {"reason": "Shutdown", "last_stream": 0, "close_after_s": 0}
    return _for_a_while(
        dice,
        at,
        dice.choice(
            (
                {"accept": {"how": dice.choice(("stall", "rst", "eof"))}},
                {"accept": {"how": "alert", "alert": dice.choice(("certificate_expired", "internal_error"))}},
                {"accept": {"how": "flawed", "flaw": dice.choice(("untrusted", "wrong_name", "expired"))}},
                {"at_open": {"goaway": goaway, "before_settings": dice.random() < 0.5}},
                {"connection_rate": {"connections": 1, "per_s": 5, "block_s": 10}},
                {"unavailable_s": dice.choice((2, 8))},
            )
        ),
    )


def _network(dice: random.Random, at: float) -> list[Event]:
    which = dice.randint(0, 9)
    how = dice.choice(
        ("refused", "silent", "unreachable", "host_black_hole", "slow", "black_hole", "forget", "reset", "end",
         "name_fails", "name_hangs")
    )  # fmt: skip
    net = {"how": how, "which": which} | ({"latency_s": dice.choice((0.5, 3.0))} if how == "slow" else {})
    later = round(min(BUSY, at + dice.choice((2, 8))), 2)
    return [{"net": net}, {"at_s": later, "net": {"how": "host_heals", "which": which}}]


FAULTS = (_rejections, _streams, _replies, _goaway, _ends, _limits, _frames, _doors, _network)
