"""The judge of a run of the whole path: what the service has stored must be what the server has seen."""

from collections.abc import Mapping

from bench.session import WrongResultError
from skerry.domain.verdict import Verdict


def require(verdicts: Mapping[Verdict, int], received: int, due: int) -> None:
    """Every revision of every card has been accepted, or replaced by a newer one; the sink has seen what was accepted.

    Raises:
        WrongResultError: if that is not so.
    """
    told = ", ".join(f"{count} {verdict.name}" for verdict, count in verdicts.items())
    if set(verdicts) - {Verdict.ACCEPTED, Verdict.SUPERSEDED} or sum(verdicts.values()) != due:
        raise WrongResultError(f"of {due} pushes that were due: {told or 'nothing'}")
    if verdicts.get(Verdict.ACCEPTED, 0) != received:
        raise WrongResultError(f"nginx has received {received} pushes, the service has stored {told}")
