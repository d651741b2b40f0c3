"""A process on a small core gets no more than its share."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from bench.process import Process
from bench.small_cores import CONTROL_GROUPS, NoControlError, small_cores


def test_without_a_controller_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(NoControlError, match="no cpu controller"), small_cores([], 0.2, tmp_path):
        pass


@pytest.mark.parametrize("version", [1, 2])
def test_where_no_group_can_be_made_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int) -> None:
    if version == 1:
        (tmp_path / "cpu").mkdir()
        (tmp_path / "cpu" / "cpu.cfs_quota_us").touch()
    else:
        (tmp_path / "cgroup.subtree_control").write_text("cpu memory\n")
    parent = tmp_path / "cpu" if version == 1 else tmp_path
    monkeypatch.setattr(Path, "mkdir", _refuse)
    with (
        pytest.raises(NoControlError, match="no control group can be made"),
        small_cores([Process(1)], 0.2, tmp_path),
    ):
        pass
    assert not list(parent.glob("skerry-bench-*"))


def _refuse(path: Path) -> None:
    raise PermissionError(13, "Permission denied", str(path))


def test_a_busy_process_is_held_to_its_share() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as child:
        try:
            process = Process(child.pid)
            with small_cores([process], 0.2):
                cpu, began = process.cpu_seconds(), time.perf_counter()
                time.sleep(0.5)
                used = (process.cpu_seconds() - cpu) / (time.perf_counter() - began)
            assert used < 0.3
            assert not list(CONTROL_GROUPS.glob("*/skerry-bench-*"))
        except NoControlError as error:
            pytest.skip(str(error))
        finally:
            child.kill()
