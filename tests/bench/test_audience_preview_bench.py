"""The benchmark of previews works: it asks each of its questions, and the answers are as large as they should be."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_it_asks_every_question_of_a_small_population() -> None:
    arguments = ["-m", "bench.audience_preview", "--devices", "1000", "--runs", "1"]
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, text=True, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split("|")[1:4] for line in done.stdout.splitlines() if line.startswith("| ")][1:]
    found = {
        name.strip(): (int(devices.replace(",", "")), int(start.replace(",", ""))) for name, devices, start in rows
    }
    assert found["everyone"][0] == 1000
    assert all(startable <= devices <= 1000 for devices, startable in found.values())
    assert 50 < found["10 % of everyone"][0] < 200
