"""Processes that are held to a share of a core, by the kernel: so a machine with two cores has room for several.

The scheduler stops a process (and all its threads) once it has used its quota of a period, until the next begins. A
process under a quota is otherwise where it always is: on any core, beside everybody else.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from bench.process import Process

CONTROL_GROUPS: Final = Path("/sys/fs/cgroup")
PERIOD_US: Final = 10_000
"""Of which a process gets its share: as short as sensible, since that is how long it may have to wait."""


class NoControlError(Exception):
    """The kernel cannot be told here; why."""


@contextmanager
def small_cores(processes: Sequence[Process], share: float, root: Path = CONTROL_GROUPS) -> Iterator[None]:
    """Hold each process to `share` of a core, from now until the block is left.

    Args:
        processes: that run; each gets a control group of its own, and goes back to the one above after.
        share: between 0 and 1.
        root: where control groups are, of version 1 or 2.

    Raises:
        NoControlError: where they cannot be made: one has to be root, and see the kernel's cpu controller.
    """
    parent, limit = _controller(root)
    groups: list[Path] = []
    try:
        for process in processes:
            group = parent / f"skerry-bench-{os.getpid()}-{process.pid}"
            try:
                group.mkdir()
                groups.append(group)
                for name, value in limit(int(PERIOD_US * share)).items():
                    (group / name).write_text(value)
                (group / "cgroup.procs").write_text(str(process.pid))
            except OSError as error:
                raise NoControlError(f"no control group can be made in {parent}: {error.strerror}") from error
        yield
    finally:
        for group in groups:
            _remove(group, parent)


def _controller(root: Path) -> tuple[Path, Callable[[int], Mapping[str, str]]]:
    """Where groups with a quota are made, and the files that say it, for so many microseconds of a period."""
    if (root / "cpu" / "cpu.cfs_quota_us").exists():  # version 1: a tree for each controller
        return root / "cpu", lambda quota: {"cpu.cfs_period_us": str(PERIOD_US), "cpu.cfs_quota_us": str(quota)}
    with suppress(OSError):
        if "cpu" in (root / "cgroup.subtree_control").read_text().split():  # version 2: one tree, if it hands cpu on
            return root, lambda quota: {"cpu.max": f"{quota} {PERIOD_US}"}
    raise NoControlError(f"{root} has no cpu controller")


def _remove(group: Path, parent: Path) -> None:
    """Let whoever is left in it go, and remove it: a group with a process in it stays."""
    for pid in (group / "cgroup.procs").read_text().split():
        with suppress(OSError):  # it has ended meanwhile
            (parent / "cgroup.procs").write_text(pid)
    group.rmdir()
