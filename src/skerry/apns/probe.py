"""A look at a route without a push: for the doctor."""

import asyncio
from dataclasses import dataclass

from skerry.apns.addresses import Address
from skerry.apns.connection import ConnectError, connect, tls_context
from skerry.apns.provider_token import CredentialError, load_key
from skerry.apns.proxy import Proxy
from skerry.apns.session import Session
from skerry.apns.settings import PoolSettings
from skerry.domain.push import Route


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """What was found. `problem` says what is wrong and what to mend; None: all is well."""

    endpoint: str
    tls_version: str | None = None
    stream_limit: int | None = None
    problem: str | None = None


async def probe(route: Route, timeout: float, proxy: Proxy | None = None) -> ProbeReport:  # noqa: ASYNC109 - a report's limit
    """Resolve, connect, agree on HTTP/2, hear the first SETTINGS; and see that the key can sign."""
    endpoint = str(route.endpoint)
    try:
        load_key(route.credential.private_key_pem)
        session: Session[None] = Session()
        settings = PoolSettings(connect_timeout=timeout, proxy=proxy)
        address = Address((proxy or route.endpoint).host)
        context = await asyncio.to_thread(tls_context, route.endpoint)
        connection = await connect(route.endpoint, address, context, session, settings, lambda: None)
    except (ConnectError, CredentialError) as error:
        return ProbeReport(endpoint, problem=str(error))
    version = connection.tls_version
    connection.close()
    return ProbeReport(endpoint, version, session.stream_limit)
