"""The quickstart works as it is pasted: its commands, on a service of their own, answer what the page says."""

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from dev_service import PATIENCE, dev_service

PAGE = Path(__file__).parents[2] / "docs" / "quickstart.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def steps() -> Iterator[tuple[str, str, str]]:
    """Each block of commands with the block after it where that is an answer: its language and its text."""
    blocks = BLOCK.findall(PAGE.read_text())
    for place, (language, text) in enumerate(blocks):
        if language == "sh":
            following = blocks[place + 1] if place + 1 < len(blocks) else ("sh", "")
            yield text, *(following if following[0] != "sh" else ("", ""))


def answers(said: str, language: str, expected: str) -> bool:
    if language == "json":
        return bool(said) and json.loads(said) == json.loads(expected)
    return all(line.strip() in said for line in expected.splitlines())


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_every_command_answers_what_the_page_says(tmp_path: Path) -> None:
    (first, *_), *rest = steps()
    assert first.splitlines() == [
        "make setup",
        ".venv/bin/skerry dev --port 8080 --phones 3 --data ./skerry-dev",
    ], "this is what the test does in place of it"
    with dev_service(tmp_path / "skerry-dev", phones=3) as dev:
        for text, language, expected in rest:
            command = text.replace("localhost:8080", urlsplit(dev.url).netloc)
            command = command.replace(".venv/bin/skerry", f"{sys.executable} -m skerry")
            changes = " -d " in command
            deadline = time.monotonic() + PATIENCE
            while True:
                done = subprocess.run(
                    ["bash", "-c", command], cwd=tmp_path, text=True, capture_output=True, timeout=60, check=False
                )
                if answers(done.stdout, language, expected):
                    break
                # A reader takes a second to paste the next command; what has been changed is not changed twice.
                assert not changes, (command, done.stdout, done.stderr)
                assert time.monotonic() < deadline, (command, done.stdout, done.stderr)
                time.sleep(0.05)
