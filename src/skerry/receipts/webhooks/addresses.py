"""Which addresses a webhook may lead to. Pure.

A caller names the address and this service makes the request, so it must not become the caller's way into the network
that it stands in: cloud metadata, databases, the console of a router.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

from skerry.domain.errors import FieldRefusedError

MOST_URL = 2048
"""Characters."""

# IANA's special-purpose registries (RFC 6890 and later), multicast and the reserved rest. Python's `is_global` differs
# from release to release.
_NOT_PUBLIC_4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
    )
)
# Only global unicast, so neither mapped nor translated IPv4 (::ffff:0:0/96, 64:ff9b::/96), unique local nor link local;
# of it not what tunnels or stands for something else.
_PUBLIC_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    IPv6Network(network) for network in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "2620:4f:8000::/48")
)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether anybody on the internet could reach it."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    return address in _PUBLIC_6 and not any(address in network for network in _NOT_PUBLIC_6)


@dataclass(frozen=True, slots=True)
class AddressRules:
    """What the operator allows."""

    private_networks: bool = False
    plain_http: bool = False

    def allows(self, address: IPv4Address | IPv6Address) -> bool:
        """Whether a request may go to this address."""
        return self.private_networks or is_public(address)

    def check(self, url: str) -> None:
        """Look at a URL before it is stored; where its host leads is looked at before each connection.

        Raises:
            FieldRefusedError: with what is wrong with it.
        """
        if len(url) > MOST_URL or not url.isascii() or any(not one.isprintable() or one == " " for one in url):
            raise _refused(f"is not {MOST_URL} printable ASCII characters", "write other characters as %XX or xn--…")
        parts, port = _split(url)
        schemes = ("https", "http") if self.plain_http else ("https",)
        if parts.scheme not in schemes:
            fix = "" if self.plain_http else ", or set webhooks.allow_http where the network can be trusted"
            raise _refused(f"does not begin with {' or '.join(f'{one}://' for one in schemes)}", f"use https{fix}")
        if not parts.hostname or port == 0:
            raise _refused("has no host to connect to", "write it as https://example.com/hook")
        if parts.username is not None or parts.password is not None:
            raise _refused("has a user name or password in it", "check the signature instead")
        if parts.fragment:
            raise _refused("has a fragment", "leave out # and what follows")
        self._check_literal(parts.hostname)

    def _check_literal(self, host: str) -> None:
        try:
            address = ip_address(host)
        except ValueError:
            return
        if not self.allows(address):
            raise _refused(
                f"leads to {address}, which is not a public address",
                "use a public one, or set webhooks.allow_private_networks",
            )


def _split(url: str) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port  # parsed only when it is asked for
    except ValueError as error:
        raise _refused(f"is not a URL ({error})", "write it as https://example.com/hook") from error
    return parts, port


def _refused(problem: str, fix: str) -> FieldRefusedError:
    return FieldRefusedError("url", problem, fix)
