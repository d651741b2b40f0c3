"""Audiences before they are used: what a start would find."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Generic

from skerry.domain.audience import Audience
from skerry.domain.card import RUNS_FOR
from skerry.domain.ids import AppId, GroupId, Millis
from skerry.domain.personal import Blank
from skerry.domain.preview import MOST_SAMPLES, Missing, Preview, Run
from skerry.domain.unit_of_work import UnitOfWork
from skerry.registry.reports import TxT


class Audiences(Generic[TxT]):
    """Questions about audiences. Nothing is changed by them."""

    def __init__(self, store: UnitOfWork[TxT], *, clock: Callable[[], Millis]) -> None:
        self._store = store
        self._clock = clock

    async def preview(
        self,
        app_id: AppId,
        audience: Audience,
        attributes_type: str,
        activity: GroupId | None,
        gaps: Sequence[Blank] = (),
    ) -> Preview:
        """What a start would find: of this activity, where one is named, or of a new one.

        Its name also draws the rollout, where that has no salt of its own. `gaps`: placeholders without a default, for
        which a user needs a value.

        Raises:
            UnknownSegmentError: if the audience names a segment that there is not.
            AudienceTooComplexError: if it has too many conditions.
            SurveyTooLongError: if it could not be gone through in time.
        """

        def work(tx: TxT) -> Preview:
            now = self._clock()
            found = tx.segments.resolved(app_id, audience, activity or "")
            known = None if activity is None else tx.activities.by_group(app_id, activity)
            run = None
            if known is not None:
                standing = tx.desired.get(known.activity_id)
                swiped_since = None if standing is None else standing.swipes_since(now)
                run = Run(known.activity_id, known.first_card, Millis(now - RUNS_FOR), swiped_since)
            preview = tx.audiences.preview(app_id, found, attributes_type, run, gaps)
            return replace(
                preview,
                users_without_device=_missing(tx.audiences.missing_ext_ids(app_id, found.ext_ids or ())),
                unknown_devices=_missing(tx.audiences.missing_installations(app_id, found.installation_ids or ())),
            )

        return await self._store.survey(work)


def _missing(names: Sequence[str]) -> Missing:
    return Missing(len(names), tuple(names[:MOST_SAMPLES]))
