"""The apps' push configuration as the sender asks for it."""

from collections.abc import Awaitable, Callable

from skerry.delivery.ports import ChannelTarget, PushTarget
from skerry.domain.app import App
from skerry.domain.ids import AppId
from skerry.domain.push import Credential, Environment, Route


class Directory:
    """Routes and topics of apps, from wherever apps are kept."""

    def __init__(self, find: Callable[[AppId], Awaitable[App | None]]) -> None:
        self._find = find

    async def target(self, app_id: AppId, environment: Environment) -> PushTarget | None:
        """Where to push; None: the app has no APNs key yet."""
        app = await self._find(app_id)
        if app is None or app.private_key is None or app.team_id is None or app.key_id is None:
            return None
        credential = Credential(app.team_id, app.key_id, app.private_key)
        return PushTarget(Route(credential, app.endpoints[environment]), app.topic)

    async def channels(self, app_id: AppId, environment: Environment) -> ChannelTarget | None:
        """Where channels are; None: the app has no APNs key yet."""
        app = await self._find(app_id)
        if app is None or app.private_key is None or app.team_id is None or app.key_id is None:
            return None
        credential = Credential(app.team_id, app.key_id, app.private_key)
        return ChannelTarget(
            Route(credential, app.management_endpoints[environment]),
            Route(credential, app.endpoints[environment]),
            app.bundle_id,
        )

    async def default_environment(self, app_id: AppId) -> Environment:
        """Where to try devices that have not said theirs."""
        app = await self._find(app_id)
        return Environment.PRODUCTION if app is None else app.environment
