"""Pages and files that are made from the code are as the code is."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from skerry import settings
from skerry.settings import Settings, load

ROOT = Path(__file__).parents[2]


def test_the_reference_is_as_the_code_is() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/write-reference", "--check"], cwd=ROOT, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_example_of_settings_has_all_of_them_with_their_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (ROOT / "deploy" / "skerry.toml").read_text().splitlines()
    uncommented = "\n".join(line[1:] if line.startswith("#") and not line.startswith("# ") else line for line in lines)
    (tmp_path / "skerry.toml").write_text(uncommented)
    monkeypatch.chdir(tmp_path)
    assert load() == Settings.model_construct()
    said = tomllib.loads(uncommented)
    for path, field in settings.described():
        section, _, name = path.rpartition(".")
        assert field.default is None or name in (said[section] if section else said), path


def test_every_setting_has_a_meaning() -> None:
    assert all(field.description for _, field in settings.described())
