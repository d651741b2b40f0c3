"""Commands in: starts, updates and ends, each committed in one transaction with what it sends on its way."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from skerry.activities.acceptance import accept
from skerry.activities.limits import check_size, fits
from skerry.activities.ports import Delivery, Transaction
from skerry.activities.rounds import Rounds
from skerry.activities.starting import NamedStart, filled, named_start
from skerry.domain import activity as rules
from skerry.domain import payload, personal
from skerry.domain.activity import Activity, End, Phase, Update
from skerry.domain.audience import Audience
from skerry.domain.commands import BulkStart, Idempotency, Pace, Send, Template
from skerry.domain.errors import FieldRefusedError, UnknownNotificationError
from skerry.domain.ids import ActivityId, AppId, GroupId, Millis, NotificationKey
from skerry.domain.revision import Revision
from skerry.domain.timer import Timer, TimerKind
from skerry.domain.unit_of_work import UnitOfWork

BULK = "bulk"
DEFINITION = "definition"


class Activities:
    """The activities room, as the API uses it. Every method returns once its effect is on disk."""

    def __init__(self, store: UnitOfWork[Transaction], delivery: Delivery, *, clock: Callable[[], Millis]) -> None:
        self._store = store
        self._delivery = delivery
        self._clock = clock
        self._rounds = Rounds(store, delivery, clock=clock)

    async def start_bulk(self, app_id: AppId, command: BulkStart) -> NotificationKey:
        """Start an activity for an audience.

        Raises:
            PayloadTooLargeError: if the push could not be sent; nothing was changed.
            UnknownSegmentError: if the audience names a segment that there is not.
            AudienceTooComplexError: if it has too many conditions with those of its segments.
            FieldRefusedError: if a parameter is not what its placeholder asks for.
            IdempotencyConflictError: if the idempotency key was used for another request.
        """

        def work(tx: Transaction) -> NotificationKey:
            if command.idempotency is not None:
                answer = tx.notifications.recall(app_id, command.idempotency)
                if answer is not None:
                    return NotificationKey(int(answer))
            now = self._clock()
            key = tx.notifications.add(app_id, BULK, command.template, now)
            self._start(tx, app_id, named_start(command.template, key), command.audience, command.pace, now)
            if command.idempotency is not None:
                tx.notifications.remember(app_id, command.idempotency, str(key), now)
            return key

        key = await self._store.write(work)
        self._delivery.wake()
        return key

    async def define(self, app_id: AppId, template: Template) -> NotificationKey:
        """Keep a template for later sends; sends nothing.

        Raises:
            PayloadTooLargeError: if no send of it could ever leave.
        """
        check_size(rules.start(_nobody(app_id), named_start(template, NotificationKey(0)).start, self._clock())[1])
        return await self._store.write(lambda tx: tx.notifications.add(app_id, DEFINITION, template, self._clock()))

    async def send(self, app_id: AppId, sends: Sequence[Send], idempotency: Idempotency | None = None) -> None:
        """Start an activity from a definition, once for each entry; all of them or, on an error, none.

        Raises:
            UnknownNotificationError: if an entry names a key that no definition has.
            PayloadTooLargeError: if an entry's push could not be sent.
            UnknownSegmentError: if an entry's audience names a segment that there is not.
            AudienceTooComplexError: if an entry's audience has too many conditions with those of its segments.
            IdempotencyConflictError: if the idempotency key was used for another request.
        """

        def work(tx: Transaction) -> None:
            if idempotency is not None and tx.notifications.recall(app_id, idempotency) is not None:
                return
            now = self._clock()
            for entry in sends:
                definition = tx.notifications.get(app_id, entry.notification_key)
                if definition is None or definition.kind != DEFINITION:
                    raise UnknownNotificationError(f"no definition has the key {entry.notification_key}")
                start = named_start(filled(definition.template, entry), entry.notification_key)
                self._start(tx, app_id, start, entry.audience, Pace(), now)
            if idempotency is not None:
                tx.notifications.remember(app_id, idempotency, "", now)

        await self._store.write(work)
        self._delivery.wake()

    async def update(self, app_id: AppId, group_id: GroupId, command: Update) -> bool:
        """Give every card of a group a new state. False: no activity has this name.

        Raises:
            PayloadTooLargeError: if the push could not be sent, whether or not there is such a group.
            PersonalOnChannelError: if it is not the same for everybody, and phones listen on the group's channel.
        """
        shared = not personal.need(command.alert, command.state)
        if shared and fits(command) and await self._rounds.update(app_id, group_id, command):
            return True
        return await self._revise(app_id, group_id, lambda activity, now: rules.update(activity, command, now))

    async def end(self, app_id: AppId, group_id: GroupId, command: End) -> bool:
        """End every card of a group, those included that join late. False: no activity has this name.

        Raises:
            PayloadTooLargeError: if the push could not be sent; nothing was changed.
        """
        return await self._revise(app_id, group_id, lambda activity, now: rules.end(activity, command, now))

    def planned_end(self, tx: Transaction, timer: Timer, now: Millis) -> None:
        """The moment of `liveActEndDate` has come: end what still runs."""
        activity = tx.activities.get(timer.activity_id)
        if activity is not None and activity.phase is Phase.RUNNING and activity.ends_at is not None:
            standing = tx.desired.get(activity.activity_id)
            dismissal = standing.policies.dismissal(now) if standing is not None else None
            self._commit(tx, activity, *rules.end(activity, End(dismissal_date=dismissal), now))

    async def _revise(
        self,
        app_id: AppId,
        group_id: GroupId,
        decide: Callable[[Activity, Millis], tuple[Activity, Revision]],
    ) -> bool:
        check_size(decide(_nobody(app_id), self._clock())[1])

        def work(tx: Transaction) -> bool:
            activity = tx.activities.by_group(app_id, group_id) or adopt(tx, app_id, group_id)
            if activity is None:
                return False
            self._commit(tx, activity, *decide(activity, self._clock()))
            return True

        known = await self._store.write(work)
        if known:
            self._delivery.wake()
        return known

    def _commit(self, tx: Transaction, before: Activity, after: Activity, revision: Revision) -> None:
        accept(tx, after, revision)
        if after.phase is Phase.ENDED:
            tx.timers.cancel(TimerKind.PLANNED_END, after.activity_id)
            tx.timers.cancel(TimerKind.SILENCE, after.activity_id)
            tx.scripts.remove(after.activity_id)
        self._delivery.plan_revision(tx, after, revision, before.first_card)

    def _start(
        self, tx: Transaction, app_id: AppId, named: NamedStart, audience: Audience, pace: Pace, now: Millis
    ) -> None:
        if any(map(personal.may_be_personal, (name.encode() for name in named.names))):
            field = f"liveActAttr.{payload.GROUP_ID_ATTRIBUTE}"
            raise FieldRefusedError(field, "has a placeholder: one activity has one name", "fill it by params")
        known = (tx.activities.by_group(app_id, name) for name in named.names)
        activity = next((found for found in known if found is not None), None) or tx.activities.create(app_id, now)
        activity, revision = rules.start(activity, named.start, now)
        for name in named.names:
            tx.activities.add_name(activity.activity_id, app_id, name)
        activity = replace(activity, named=activity.named or bool(named.names))
        if not activity.named:
            values = payload.text_members(named.start.attributes).values()
            tx.activities.remember_values(activity.activity_id, app_id, values)
        accept(tx, activity, revision)
        if named.start.ends_at is not None:
            due = Millis(named.start.ends_at * 1000)
            tx.timers.set(TimerKind.PLANNED_END, activity.activity_id, 0, due)
        self._delivery.plan_start(tx, activity, revision, audience, pace)


def adopt(tx: Transaction, app_id: AppId, group_id: GroupId) -> Activity | None:
    """A name nobody has yet, but that the attributes of a nameless start carry: from now on it is that activity's name.

    So an update may come before the first phone has said the name, and is held for it.
    """
    activity = tx.activities.nameless_carrying(app_id, group_id)
    if activity is None:
        return None
    tx.activities.add_name(activity.activity_id, app_id, group_id)
    return replace(activity, named=True)


def _nobody(app_id: AppId) -> Activity:
    """An activity to try a decision on, before it is known which one it is for; it is never stored."""
    return Activity(activity_id=ActivityId(0), app_id=app_id, created_at=Millis(0))
