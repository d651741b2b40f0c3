"""The registry as the API uses it: users, their profiles and devices, and what devices report."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Generic

from skerry.domain.commands import ReportResult
from skerry.domain.device import Device, DeviceEvent, DeviceEventKind, DeviceReport
from skerry.domain.ids import AppId, DeviceId, Millis, UserId
from skerry.domain.unit_of_work import UnitOfWork
from skerry.domain.user import DeviceInfo, Page, UserRegistration
from skerry.registry.ports import CardEvents
from skerry.registry.reports import Reports, TxT

TOKEN_INSTALLATION = "token:"  # noqa: S105 - a prefix, not a secret
"""How the installation of a device is called that is only known by a token."""


class Registry(Generic[TxT]):
    """Every method returns once its effect is on disk. Unknown users are skipped, as Netmera does."""

    def __init__(self, store: UnitOfWork[TxT], cards: CardEvents[TxT], *, clock: Callable[[], Millis]) -> None:
        self._store = store
        self._cards = cards
        self._reports = Reports(cards)
        self._clock = clock

    # Users

    async def register_users(self, app_id: AppId, entries: Sequence[UserRegistration]) -> None:
        """Create or change users, their tags, profiles and devices."""

        def work(tx: TxT) -> None:
            now = self._clock()
            for entry in entries:
                user = tx.users.ensure(app_id, entry.ext_id, now)
                tx.users.describe(user, entry)
                tx.users.tag(app_id, user, entry.tags)
                if entry.profile:
                    tx.users.save_profile(user, _changed(tx.users.profile(user), entry.profile))
                if entry.device_token and entry.platform:
                    device = self._by_token(tx, app_id, entry.device_token, now)
                    tx.devices.save(
                        replace(device, user_id=user, platform=entry.platform, push_token=entry.device_token)
                    )

        await self._store.write(work)

    async def delete_users(self, app_id: AppId, ext_ids: Sequence[str]) -> None:
        """Users and what describes them disappear; their devices go on as nobody's."""

        def work(tx: TxT) -> None:
            for ext_id in ext_ids:
                user = tx.users.find(app_id, ext_id)
                if user is not None:
                    tx.users.remove(user)

        await self._store.write(work)

    async def erase_users(self, app_id: AppId, ext_ids: Sequence[str]) -> None:
        """Everything about users is erased: descriptions, devices, tokens, and what starts said to them alone."""

        def work(tx: TxT) -> None:
            for ext_id in ext_ids:
                tx.devices.erase_mentions(app_id, ext_id)
                user = tx.users.find(app_id, ext_id)
                if user is not None:
                    for device in tx.devices.of_user(user):
                        tx.devices.erase(device.device_id)
                    tx.users.remove(user)

        await self._store.write(work)

    async def set_push(self, app_id: AppId, *, ext_id: str | None, device_token: str | None, enabled: bool) -> None:
        """Permit or forbid ordinary notifications on a user's devices, or on one."""

        def work(tx: TxT) -> None:
            for device in self._named(tx, app_id, ext_id, device_token):
                tx.devices.save(replace(device, push_enabled=enabled))

        await self._store.write(work)

    async def tag_users(self, app_id: AppId, tags: Sequence[str], ext_ids: Sequence[str]) -> None:
        """Give tags to users that are known."""
        await self._for_users(app_id, ext_ids, lambda tx, user: tx.users.tag(app_id, user, tags))

    async def untag_users(self, app_id: AppId, tags: Sequence[str], ext_ids: Sequence[str]) -> None:
        """Take tags from users that are known."""
        await self._for_users(app_id, ext_ids, lambda tx, user: tx.users.untag(app_id, user, tags))

    # Profiles

    async def set_profile(self, app_id: AppId, entries: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """Give attributes values; null takes one away."""
        await self._change_profiles(app_id, entries, _changed)

    async def push_profile(self, app_id: AppId, entries: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """Add values to array attributes, each once."""
        await self._change_profiles(app_id, entries, _pushed)

    async def pull_profile(self, app_id: AppId, entries: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        """Take values out of array attributes."""
        await self._change_profiles(app_id, entries, _pulled)

    async def unset_profile(self, app_id: AppId, entries: Sequence[tuple[str, Sequence[str]]]) -> None:
        """Take attributes away."""
        nothing = [(ext_id, dict.fromkeys(names)) for ext_id, names in entries]
        await self._change_profiles(app_id, nothing, _changed)

    async def delete_profile_attributes(self, app_id: AppId, attributes: Sequence[str]) -> None:
        """Take attributes away from every user."""

        def work(tx: TxT) -> None:
            for attribute in attributes:
                for user in tx.users.with_attribute(app_id, attribute):
                    tx.users.save_profile(user, _changed(tx.users.profile(user), {attribute: None}))

        await self._store.write(work)

    async def delete_profile_value(self, app_id: AppId, key: str, value: Any) -> None:
        """Take one value of an attribute away from every user."""

        def work(tx: TxT) -> None:
            for user in tx.users.with_attribute(app_id, key):
                profile = tx.users.profile(user)
                change = {key: None} if key in profile and _is_among(profile[key], [value]) else {}
                kept = _pulled(profile, {key: value}) if isinstance(profile.get(key), list) else profile
                tx.users.save_profile(user, _changed(kept, change))

        await self._store.write(work)

    async def profile(self, app_id: AppId, ext_id: str) -> Mapping[str, Any] | None:
        """A user's attributes; None: there is no such user."""

        def work(tx: TxT) -> Mapping[str, Any] | None:
            user = tx.users.find(app_id, ext_id)
            return None if user is None else tx.users.profile(user)

        return await self._store.read(work)

    # Devices

    async def devices(self, app_id: AppId, ext_id: str, push_permitted: bool | None) -> list[DeviceInfo] | None:  # noqa: FBT001 - a filter of three states
        """A user's devices; None: there is no such user."""

        def work(tx: TxT) -> list[DeviceInfo] | None:
            user = tx.users.find(app_id, ext_id)
            if user is None:
                return None
            return [
                DeviceInfo(one.platform, one.push_token, one.model, one.push_enabled)
                for one in tx.devices.of_user(user)
                if push_permitted is None or one.push_enabled is push_permitted
            ]

        return await self._store.read(work)

    async def device_tokens(self, app_id: AppId, maximum: int, offset: int) -> Page:
        """Ordinary device tokens, in the order of registration."""
        total, items = await self._store.read(lambda tx: tx.devices.push_tokens(app_id, maximum, offset))
        return Page(total, tuple(items))

    async def report(self, app_id: AppId, report: DeviceReport) -> ReportResult:
        """What an installation says of itself; one outcome per event.

        Raises:
            WrongSecretError: if the installation is bound to another secret; nothing was changed.
            UnprovedUserError: if it claims a user without the proof that the app asks for; nothing was changed.
        """
        outcomes = await self._store.write(lambda tx: self._reports.apply(tx, app_id, report, self._clock()))
        self._cards.wake()
        return ReportResult(outcomes)

    async def fire(
        self, app_id: AppId, ext_id: str, event: DeviceEvent, *, installation_id: str | None, device_token: str | None
    ) -> None:
        """An event that a backend reports for a user; the device is found as netmera.md 7.3 says."""

        def work(tx: TxT) -> None:
            now = self._clock()
            for device in self._speaking(tx, app_id, ext_id, event, installation_id, device_token, now):
                self._reports.event(tx, device, event, now)

        await self._store.write(work)
        self._cards.wake()

    def _speaking(
        self,
        tx: TxT,
        app_id: AppId,
        ext_id: str,
        event: DeviceEvent,
        installation_id: str | None,
        device_token: str | None,
        now: Millis,
    ) -> list[Device]:
        """Whose event it is: the one that is named, or holds the token, or expects the group; else a new one."""
        user = tx.users.ensure(app_id, ext_id, now)
        if installation_id is not None:
            named = tx.devices.find(app_id, installation_id) or self._new(tx, app_id, installation_id, now)
            return [self._owned(tx, named, user)]
        if device_token is not None:
            return [self._owned(tx, self._by_token(tx, app_id, device_token, now), user)]
        if event.token is not None:
            held = tx.devices.holder(app_id, event.token)
            holder = tx.devices.get(held[0]) if held is not None else None
            if holder is not None:
                return [self._owned(tx, holder, user)]
        devices = tx.devices.of_user(user)
        if event.kind is DeviceEventKind.CLOSE:
            return devices
        if event.kind is DeviceEventKind.UPDATE_TOKEN and event.group_id is not None:
            ids = [one.device_id for one in devices]
            chosen = self._cards.expecting(tx, app_id, ids, event.group_id)
            found = [one for one in devices if one.device_id == chosen] or (devices if len(devices) == 1 else [])
            if found:
                return found
        return [self._owned(tx, self._new(tx, app_id, f"{TOKEN_INSTALLATION}{event.token}", now), user)]

    def _owned(self, tx: TxT, device: Device, user: Any) -> Device:
        if device.user_id != user:
            device = replace(device, user_id=user)
            tx.devices.save(device)
        return device

    def _by_token(self, tx: TxT, app_id: AppId, token: str, now: Millis) -> Device:
        return tx.devices.by_push_token(app_id, token) or replace(
            self._new(tx, app_id, f"{TOKEN_INSTALLATION}{token}", now), push_token=token
        )

    def _new(self, tx: TxT, app_id: AppId, installation_id: str, now: Millis) -> Device:
        known = tx.devices.find(app_id, installation_id)
        if known is not None:
            return known
        fresh = Device(DeviceId(0), app_id, installation_id, last_active_at=now)
        return replace(fresh, device_id=tx.devices.add(fresh, now))

    def _named(self, tx: TxT, app_id: AppId, ext_id: str | None, device_token: str | None) -> list[Device]:
        if device_token is not None:
            device = tx.devices.by_push_token(app_id, device_token)
            return [] if device is None else [device]
        user = tx.users.find(app_id, ext_id or "")
        return [] if user is None else tx.devices.of_user(user)

    async def _for_users(self, app_id: AppId, ext_ids: Sequence[str], act: Callable[[TxT, UserId], None]) -> None:
        """Change users that are known; their devices may belong to other audiences from then on."""

        def work(tx: TxT) -> None:
            now = self._clock()
            for ext_id in ext_ids:
                user = tx.users.find(app_id, ext_id)
                if user is not None:
                    act(tx, user)
                    self._reconsider(tx, user, now)

        await self._store.write(work)
        self._cards.wake()

    def _reconsider(self, tx: TxT, user: UserId, now: Millis) -> None:
        for device in tx.devices.of_user(user):
            self._cards.on_reachable(tx, device, now)

    async def _change_profiles(
        self,
        app_id: AppId,
        entries: Sequence[tuple[str, Mapping[str, Any]]],
        change: Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Any]],
    ) -> None:
        def work(tx: TxT) -> None:
            for ext_id, members in entries:
                user = tx.users.find(app_id, ext_id)
                if user is not None:
                    tx.users.save_profile(user, change(tx.users.profile(user), members))
                    self._reconsider(tx, user, self._clock())

        await self._store.write(work)
        self._cards.wake()


def _changed(profile: Mapping[str, Any], members: Mapping[str, Any]) -> dict[str, Any]:
    both = {**profile, **members}
    return {name: value for name, value in both.items() if value is not None}


def _pushed(profile: Mapping[str, Any], members: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **profile,
        **{name: _values(profile, name) + _fresh(profile, name, value) for name, value in members.items()},
    }


def _fresh(profile: Mapping[str, Any], name: str, value: Any) -> list[Any]:
    held = _values(profile, name)
    return [one for one in (value if isinstance(value, list) else [value]) if not _is_among(one, held)]


def _pulled(profile: Mapping[str, Any], members: Mapping[str, Any]) -> dict[str, Any]:
    gone = {name: value if isinstance(value, list) else [value] for name, value in members.items()}
    left = {name: [one for one in _values(profile, name) if not _is_among(one, gone[name])] for name in gone}
    return {**profile, **left}


def _values(profile: Mapping[str, Any], name: str) -> list[Any]:
    held = profile.get(name)
    return list(held) if isinstance(held, list) else [] if held is None else [held]


def _is_among(value: Any, values: Sequence[Any]) -> bool:
    """Whether a JSON value is one of these: true is not 1, though Python says so."""
    return any(value == one and isinstance(value, bool) is isinstance(one, bool) for one in values)
