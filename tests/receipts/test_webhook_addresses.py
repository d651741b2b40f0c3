"""Where a webhook may lead."""

from ipaddress import ip_address

import pytest

from skerry.domain.errors import FieldRefusedError
from skerry.receipts.webhooks.addresses import AddressRules, is_public

STRICT, OPEN = AddressRules(), AddressRules(private_networks=True, plain_http=True)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "172.32.0.1", "2606:4700:4700::1111", "2a00:1450::1"])
def test_public_addresses(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "127.8.9.10",
        "169.254.169.254",  # where clouds keep credentials
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.170",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",  # IPv4 in IPv6's clothes
        "::ffff:8.8.8.8",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ],
)
def test_addresses_that_are_not(address: str) -> None:
    assert not is_public(ip_address(address))
    assert OPEN.allows(ip_address(address))


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://example.com/", "does not begin with https://"),
        ("ftp://example.com/", "does not begin with https://"),
        ("example.com", "does not begin with https://"),
        ("https://", "no host"),
        ("https:///path", "no host"),
        ("https://example.com:0/", "no host"),
        ("https://example.com:99999/", "is not a URL"),
        ("https://[::1/", "is not a URL"),
        ("https://me:secret@example.com/", "or password in it"),
        ("https://me@example.com/", "a user name"),
        ("https://example.com/#top", "a fragment"),
        ("https://exämple.com/", "printable ASCII"),
        ("https://example.com/a b", "printable ASCII"),
        ("https://example.com/\n", "printable ASCII"),
        ("https://example.com/" + "a" * 2048, "2048"),
        ("https://127.0.0.1/", "not a public address"),
        ("https://[::ffff:10.0.0.1]/", "not a public address"),
        ("https://169.254.169.254/latest/meta-data", "not a public address"),
    ],
)
def test_urls_that_are_refused_with_the_reason(url: str, problem: str) -> None:
    with pytest.raises(FieldRefusedError, match=problem) as refused:
        STRICT.check(url)
    assert refused.value.field == "url"
    assert refused.value.fix


@pytest.mark.parametrize("url", ["https://example.com", "https://example.com:8443/a?b=c", "https://[2606:4700::1]/"])
def test_urls_that_are_taken(url: str) -> None:
    STRICT.check(url)


def test_where_the_operator_allows_it_a_webhook_may_stay_at_home() -> None:
    OPEN.check("http://10.0.0.1:8080/hook")
