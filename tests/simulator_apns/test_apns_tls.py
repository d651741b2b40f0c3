"""The simulator's certificates: made once, found again, renewed when they do not fit."""

import stat

from skerry.simulator.apns import ensure_certificates


def test_certificates_are_made_once_and_found_again(tmp_path):
    first = ensure_certificates(tmp_path / "tls")
    content = first.ca_file.read_bytes(), first.chain_file.read_bytes()
    again = ensure_certificates(tmp_path / "tls")
    assert (again.ca_file.read_bytes(), again.chain_file.read_bytes()) == content
    assert stat.S_IMODE(first.key_file.stat().st_mode) == 0o600


def test_a_missing_name_or_a_broken_file_makes_them_anew(tmp_path):
    first = ensure_certificates(tmp_path).chain_file.read_bytes()
    named = ensure_certificates(tmp_path, ["apns.test"]).chain_file.read_bytes()
    assert named != first
    assert ensure_certificates(tmp_path, ["apns.test"]).chain_file.read_bytes() == named
    (tmp_path / "server.key").write_text("broken")
    assert ensure_certificates(tmp_path, ["apns.test"]).chain_file.read_bytes() != named
