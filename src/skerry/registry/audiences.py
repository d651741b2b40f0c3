"""Audiences before they are used: what a start would find."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Generic

from skerry.domain.audience import Audience
from skerry.domain.card import STARTING_COUNTS_FOR
from skerry.domain.ids import AppId, GroupId, Millis
from skerry.domain.preview import MOST_SAMPLES, Missing, Preview
from skerry.domain.segment import resolved
from skerry.domain.unit_of_work import UnitOfWork
from skerry.registry.reports import TxT


class Audiences(Generic[TxT]):
    """Questions about audiences. Nothing is changed by them."""

    def __init__(self, store: UnitOfWork[TxT], *, clock: Callable[[], Millis]) -> None:
        self._store = store
        self._clock = clock

    async def preview(
        self, app_id: AppId, audience: Audience, attributes_type: str, activity: GroupId | None
    ) -> Preview:  # fmt: skip
        """What a start would find: of this activity, where one is named, or of a new one.

        Its name also draws the rollout, where that has no salt of its own.

        Raises:
            UnknownSegmentError: if the audience names a segment that there is not.
            AudienceTooComplexError: if it has too many conditions.
            SurveyTooLongError: if it could not be gone through in time.
        """

        def work(tx: TxT) -> Preview:
            found = resolved(audience, lambda name: _audience_of(tx, app_id, name), salt=activity or "")
            known = None if activity is None else tx.activities.by_group(app_id, activity)
            running = None
            if known is not None:
                running = (known.activity_id, known.first_card, Millis(self._clock() - STARTING_COUNTS_FOR))
            preview = tx.audiences.preview(app_id, found, attributes_type, running)
            return replace(
                preview,
                users_without_device=_missing(tx.audiences.missing_ext_ids(app_id, found.ext_ids or ())),
                unknown_devices=_missing(tx.audiences.missing_installations(app_id, found.installation_ids or ())),
            )

        return await self._store.survey(work)


def _audience_of(tx: TxT, app_id: AppId, name: str) -> Audience | None:
    stored = tx.segments.find(app_id, name)
    return None if stored is None else stored.audience


def _missing(names: Sequence[str]) -> Missing:
    return Missing(len(names), tuple(names[:MOST_SAMPLES]))
