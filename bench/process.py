"""What a process has used, seen from outside: the kernel's books, which cost the process nothing."""

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_UTIME, _STIME = 11, 12
"""Places in /proc/PID/stat counted from the field after the command name (proc(5))."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process of this machine, by its number."""

    pid: int

    def cpu_seconds(self) -> float:
        """User and system time of all its threads, in steps of 10 ms."""
        # The command name stands in parentheses and may hold anything, spaces included.
        fields = self._read("stat").rpartition(")")[2].split()
        return (int(fields[_UTIME]) + int(fields[_STIME])) / _TICKS_PER_SECOND

    def peak_memory_mib(self) -> float:
        """The most memory that was resident at once, since its start."""
        line = next(line for line in self._read("status").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024

    def _read(self, name: str) -> str:
        return Path(f"/proc/{self.pid}/{name}").read_text()
