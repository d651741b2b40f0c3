"""What a process has used, seen from outside: the kernel's books, which cost the process nothing."""

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_UTIME, _CSTIME = 11, 14
"""Places in /proc/PID/stat counted from the field after the command name (proc(5)): utime, stime, cutime, cstime."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process of this machine, by its number."""

    pid: int

    def cpu_seconds(self) -> float:
        """User and system time of all its threads and of the children it has waited for, in steps of 10 ms."""
        # The command name stands in parentheses and may hold anything, spaces included.
        fields = self._read("stat").rpartition(")")[2].split()
        return sum(map(int, fields[_UTIME : _CSTIME + 1])) / _TICKS_PER_SECOND

    def peak_memory_mib(self) -> float:
        """The most memory that was resident at once, since its start."""
        line = next(line for line in self._read("status").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024

    def _read(self, name: str) -> str:
        return Path(f"/proc/{self.pid}/{name}").read_text()


@dataclass(frozen=True, slots=True)
class Cores:
    """Which core does what where client and server must not share one: clients on the first, servers on the last."""

    clients: frozenset[int]
    servers: frozenset[int]

    @classmethod
    def of_this_machine(cls) -> "Cores":
        """On a machine with one core they share it, and the figures per second say little."""
        cores = sorted(os.sched_getaffinity(0))
        return cls(frozenset(cores[:1]), frozenset(cores[-1:]))


def pinned(cores: frozenset[int], command: list[str]) -> list[str]:
    """A command that runs on these cores only (taskset(1), which becomes the command: no process of its own)."""
    return ["taskset", "--cpu-list", ",".join(map(str, sorted(cores))), *command]
