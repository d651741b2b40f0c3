"""What a process has used, seen from outside: the kernel's books, which cost the process nothing."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

_CPU_CLOCK = 2
"""Of a process, as clock_getcpuclockid(3) puts it together with its number: what the scheduler counts."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process of this machine, by its number."""

    pid: int

    def cpu_seconds(self) -> float:
        """User and system time of all its threads, to the nanosecond; /proc counts in steps of 10 ms."""
        return time.clock_gettime((~self.pid << 3) | _CPU_CLOCK)

    def children(self) -> "list[Process]":
        """The processes that it has started and that still run."""
        found = []
        for thread in Path(f"/proc/{self.pid}/task").iterdir():
            found += [Process(int(pid)) for pid in (thread / "children").read_text().split()]
        return found

    def peak_memory_mib(self) -> float:
        """The most memory that was resident at once, since its start."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024


@dataclass(frozen=True, slots=True)
class Cores:
    """Which core does what where client and server must not share one: clients on the first, servers on the last."""

    clients: frozenset[int]
    servers: frozenset[int]

    @property
    def any(self) -> frozenset[int]:
        """For what is neither: it runs where there is room."""
        return self.clients | self.servers

    @classmethod
    def of_this_machine(cls) -> "Cores":
        """On a machine with one core they share it, and the figures per second say little."""
        cores = sorted(os.sched_getaffinity(0))
        return cls(frozenset(cores[:1]), frozenset(cores[-1:]))


def pinned(cores: frozenset[int], command: list[str]) -> list[str]:
    """A command that runs on these cores only (taskset(1), which becomes the command: no process of its own)."""
    return ["taskset", "--cpu-list", ",".join(map(str, sorted(cores))), *command]
