"""Nothing acknowledged is lost, however the process ends."""

import random
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

ROUNDS = 5
WRITER = Path(__file__).with_name("killed_writer.py")


def _acknowledged_until_killed(path: Path, run: int, lines: int) -> set[int]:
    """Let the writer work until it has said `lines` lines, kill it with -9, and return all that it said."""
    process = subprocess.Popen([sys.executable, str(WRITER), str(path), str(run)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout as output:
        said = [int(output.readline()) for _ in range(lines)]
        process.kill()
        said += [int(line) for line in output]
    assert process.wait(10) == -9
    return set(said)


def test_every_acknowledged_write_survives_kill_9(migrated, tmp_path):
    path = tmp_path / "skerry.db"
    shutil.copy(migrated, path)
    connection = sqlite3.connect(path)
    connection.execute(
        "INSERT INTO apps (app_id, name, bundle_id, environment, endpoints, created_at)"
        " VALUES (1, 'a', 'b', 'production', '{}', 0)"
    )
    connection.commit()
    connection.close()
    dice = random.Random(2)
    for run in range(ROUNDS):
        acknowledged = _acknowledged_until_killed(path, run, dice.randint(1, 2000))
        connection = sqlite3.connect(path)
        stored = {
            row[0] for row in connection.execute("SELECT activity_id FROM activities WHERE created_at = ?", (run,))
        }
        integrity = connection.execute("PRAGMA integrity_check").fetchone()
        connection.close()
        assert acknowledged <= stored
        assert integrity == ("ok",)
