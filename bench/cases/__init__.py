"""The cases, in the order in which they are run."""

from bench.cases import courier, fairness, personal, real_network, requests, scaling, whole_path, wire
from bench.session import Case

CASES: dict[str, Case] = {
    case.name: case
    for case in (
        wire.CASE,
        whole_path.CASE,
        scaling.CASE,
        personal.CASE,
        fairness.CASE,
        real_network.CASE,
        courier.CASE,
        requests.UPDATES,
        requests.TOKEN_EVENTS,
    )
}
