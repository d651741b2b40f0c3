"""Carries out the script of a chaos plan: watches the clock and the counts, and tells the connections what to do."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from skerry.simulator.apns.chaos import Chaos
from skerry.simulator.apns.step import Goaway, RawFrames, Step


class Actor(Protocol):
    """A connection, as far as a script moves it."""

    @property
    def address(self) -> str | None:
        """Of the server, where the connection arrived."""

    def leave(self, goaway: Goaway) -> None:
        """Say GOAWAY."""

    def drop(self, mode: str) -> None:
        """End without a word."""

    def announce(self, settings: Mapping[int, int]) -> None:
        """Send SETTINGS."""

    def say(self, frames: RawFrames) -> None:
        """Send frames as they are told."""


class Director:
    """One per server.

    Args:
        chaos: whose plan has the script.
        actors: the open connections, oldest first.
    """

    def __init__(self, chaos: Chaos, actors: Callable[[], Iterable[Actor]]) -> None:
        self._chaos = chaos
        self._actors = actors
        self._timers: list[asyncio.TimerHandle] = []
        self._counted: list[tuple[Step, int]] = []
        self._requests = 0
        self._rejections = 0
        self._adoption = -1
        chaos.subscribe(self.look)

    def look(self) -> None:
        """Begin the script if a new plan has come into force; called by itself after every change of the plan."""
        if self._adoption == self._chaos.adoptions:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # not started yet: the script begins with the server
        self.close()
        self._adoption = self._chaos.adoptions
        self._requests = self._rejections = 0
        script = self._chaos.plan.script
        self._counted = [(step, _count(step)) for step in script if step.at_s is None]
        for step in script:
            if step.at_s is not None:
                self._wait(loop, step, loop.time() + step.at_s)

    def request(self, actor: Actor) -> None:
        """A whole request has come."""
        if self._counted:
            self._requests += 1
            self._count_on(actor)

    def rejection(self, actor: Actor) -> None:
        """A request has been refused."""
        if self._counted:
            self._rejections += 1
            self._count_on(actor)

    def close(self) -> None:
        """The play is over."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._counted = []
        self._adoption = -1

    def _wait(self, loop: asyncio.AbstractEventLoop, step: Step, due: float) -> None:
        def act() -> None:
            self._timers.remove(timer)
            if step.repeat and step.at_s:
                self._wait(loop, step, due + step.at_s)
            self._perform(step, None)

        timer = loop.call_at(due, act)
        self._timers.append(timer)

    def _count_on(self, actor: Actor) -> None:
        due = []
        for place, (step, at) in enumerate(self._counted):
            reached = self._requests if step.after_requests is not None else self._rejections
            if reached >= at:
                due.append((place, step))
        for place, step in reversed(due):
            if step.repeat:
                self._counted[place] = (step, self._counted[place][1] + _count(step))
            else:
                del self._counted[place]
        for _, step in due:
            self._perform(step, actor)

    def _perform(self, step: Step, this: Actor | None) -> None:
        if step.set is not None:
            self._chaos.change(step.set)
        elif step.expire_tokens:
            self._chaos.expire_tokens()
        else:
            for actor in self._cast(step, this):
                _act(actor, step)

    def _cast(self, step: Step, this: Actor | None) -> list[Actor]:
        if step.connections == "this":
            return [] if this is None else [this]
        actors = [one for one in self._actors() if step.address is None or one.address == step.address]
        match step.connections:
            case "oldest":
                return actors[:1]
            case "newest":
                return actors[-1:]
            case _:
                return actors


def _count(step: Step) -> int:
    return step.after_requests or step.after_rejections or 0


def _act(actor: Actor, step: Step) -> None:
    if step.goaway is not None:
        actor.leave(step.goaway)
    elif step.drop is not None:
        actor.drop(step.drop)
    elif step.settings is not None:
        actor.announce(step.settings)
    elif step.frames is not None:
        actor.say(step.frames)
