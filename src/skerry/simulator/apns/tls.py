"""Certificates for the simulated APNs: a CA of its own and a server certificate under it, kept in a directory."""

import os
import ssl
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

SERVER_NAMES = (
    "localhost",
    "127.0.0.1",
    "::1",
    "api.push.apple.com",
    "api.sandbox.push.apple.com",
    "api.development.push.apple.com",
)


FLAWS = ("untrusted", "wrong_name", "expired")
"""What may be wrong with a certificate: signed by an authority that nobody trusts, for another name, or expired."""
_ELSEWHERE = "elsewhere.example"
_LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Certificates:
    """Where the files are, and the contexts made from them."""

    ca_file: Path
    """What a sender must trust: `Endpoint.ca_file`."""
    chain_file: Path
    key_file: Path

    def server_context(self) -> ssl.SSLContext:
        """For `ApnsServer.start`: TLS 1.2 or newer, ALPN `h2` and nothing else.

        Raises:
            ssl.SSLError: if key and certificate do not belong together.
        """
        return _server_context(self.chain_file, self.key_file)

    def flawed_context(self, flaw: str) -> ssl.SSLContext:
        """The same with a certificate that a sender must not accept; `flaw` is one of `FLAWS`."""
        path = self.flawed_file(flaw)
        return _server_context(path, path)

    def client_context(self) -> ssl.SSLContext:
        """For a sender that trusts the simulator and nobody else."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        context.set_alpn_protocols(["h2"])
        return context

    def flawed_file(self, flaw: str) -> Path:
        """Key and chain of a flawed certificate."""
        return self.ca_file.with_name(f"flawed-{flaw}.pem")


def _server_context(chain: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(chain, key)
    context.set_alpn_protocols(["h2"])
    return context


def ensure_certificates(directory: Path, extra_names: Sequence[str] = ()) -> Certificates:
    """The certificates in `directory`, made there where they are missing, unusable or lack a name.

    Args:
        directory: made if it does not exist; gets `ca.pem`, `server.pem`, `server.key` and a file for each flaw.
        extra_names: host names and addresses besides localhost and Apple's.

    Raises:
        OSError: if the directory cannot be written.
    """
    certificates = Certificates(directory / "ca.pem", directory / "server.pem", directory / "server.key")
    names = list(dict.fromkeys((*SERVER_NAMES, *extra_names)))
    if not _usable(certificates, names):
        directory.mkdir(parents=True, exist_ok=True)
        _make(certificates, names)
    return certificates


def _usable(certificates: Certificates, names: Sequence[str]) -> bool:
    from cryptography import x509  # noqa: PLC0415 - only whoever starts a simulator pays for the import

    try:
        certificates.server_context()
        certificates.client_context()
        for flaw in FLAWS:
            certificates.flawed_context(flaw)
        leaf = x509.load_pem_x509_certificate(certificates.chain_file.read_bytes())
        alternatives = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):  # ssl.SSLError is an OSError
        return False
    return set(names) <= {str(name.value) for name in alternatives}


def _make(certificates: Certificates, names: Sequence[str]) -> None:
    import trustme  # noqa: PLC0415 - only whoever starts a simulator for the first time pays for the import

    authority = trustme.CA(organization_name="Skerry simulator")
    leaf = authority.issue_cert(*names, organization_name="Skerry simulator")
    chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
    _write(certificates.key_file, leaf.private_key_pem.bytes())
    _write(certificates.chain_file, chain)
    _write(certificates.ca_file, authority.cert_pem.bytes())
    certificates.ca_file.chmod(0o644)  # the sender may run as somebody else
    flawed = {
        "untrusted": trustme.CA(organization_name="Somebody else").issue_cert(*names),
        "wrong_name": authority.issue_cert(_ELSEWHERE),
        "expired": authority.issue_cert(*names, not_before=_LONG_AGO, not_after=_LONG_AGO + timedelta(days=365)),
    }
    for flaw, certificate in flawed.items():
        _write(certificates.flawed_file(flaw), certificate.private_key_and_cert_chain_pem.bytes())


def _write(path: Path, content: bytes) -> None:
    """Replace a file whole: another simulator may be reading it. `mkstemp` makes it readable by its owner only."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    Path(name).replace(path)
