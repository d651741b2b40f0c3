"""What the API counts. Every name is declared here once, with its sentence."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class ApiMetrics:
    """The API's counters, in the registry that `/metrics` shows."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "skerry_http_requests",
            "Requests answered, by operation and status.",
            ["operation", "status"],
            registry=registry,
        )
        self.seconds = Histogram(
            "skerry_http_request_seconds",
            "Seconds from a request's arrival to its answer, by operation.",
            ["operation"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self.device_events = Counter(
            "skerry_device_events",
            "Device events reported to /v1/events, by outcome: accepted, repeated, stale or refused.",
            ["outcome"],
            registry=registry,
        )
        self.streams = Gauge("skerry_streams_open", "Readers of the live stream.", registry=registry)
        self.unknown_groups = Counter(
            "skerry_unknown_groups",
            "Updates and ends of groups that no activity has.",
            registry=registry,
        )
