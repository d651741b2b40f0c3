"""Who is calling: the key in the header, and the address it comes from."""

from functools import lru_cache
from ipaddress import ip_address

from starlette.requests import Request

from skerry.api.ports import Keys
from skerry.api.rest3.errors import BAD_ADDRESS, BAD_KEY, NOT_AUTHORIZED, Rest3Error
from skerry.domain.app import Address, KeyKind, KeyProblem, Network, Principal

HEADER = "x-netmera-api-key"


def client_address(request: Request, trusted: tuple[Network, ...]) -> Address | None:
    """The caller's address; `X-Forwarded-For` counts only from proxies that are trusted, from the right.

    A hop that cannot be read makes the address unknown: what stands to its left may be the caller's invention.
    """
    address = _address(request.client.host if request.client else "")
    if not trusted:
        return address
    forwarded = ",".join(request.headers.getlist("x-forwarded-for"))
    hops = [hop.strip() for hop in forwarded.split(",") if hop.strip()]
    while hops and address is not None and any(address in network for network in trusted):
        address = _address(hops.pop())
    return address


def scheme(request: Request, trusted: tuple[Network, ...]) -> str:
    """`http` or `https`, as the caller sees it: a trusted proxy may end TLS and say so in `X-Forwarded-Proto`."""
    direct = _address(request.client.host if request.client else "")
    said = request.headers.get("x-forwarded-proto", "").strip().lower()
    if said in ("http", "https") and direct is not None and any(direct in network for network in trusted):
        return said
    return request.url.scheme


async def authenticate(
    request: Request, keys: Keys, trusted: tuple[Network, ...], *, sdk_allowed: bool = False
) -> Principal:
    """The caller.

    Raises:
        Rest3Error: 403 with 2010 for a missing or unknown key, 2021 for an address that may not use it, 2022 for an SDK
            key where only a REST key will do.
    """
    text = request.headers.get(HEADER, "").strip() or _bearer(request.headers.get("authorization", ""))
    found = await keys.authenticate(text or None, client_address(request, trusted))
    if found is KeyProblem.ADDRESS:
        raise Rest3Error(BAD_ADDRESS)
    if not isinstance(found, Principal):
        raise Rest3Error(BAD_KEY)
    if found.key.kind is KeyKind.SDK and not sdk_allowed:
        raise Rest3Error(NOT_AUTHORIZED)
    return found


def _bearer(header: str) -> str:
    scheme, _, text = header.partition(" ")
    return text.strip() if scheme.lower() == "bearer" else ""


@lru_cache(maxsize=4096)
def _address(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None
