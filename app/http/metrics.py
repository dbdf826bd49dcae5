"""Numbers for Prometheus: requests by handler, runs that are open."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)


class Metrics:
    """The counters of one application; a registry of their own, so that tests can make many applications."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "touchstone_http_requests", "Answered requests", ("method", "handler", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "touchstone_http_request_seconds",
            "Time to answer",
            ("handler",),
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._runs = Gauge("touchstone_active_runs", "Runs queued or running", registry=self._registry)

    def observe(self, method: str, handler: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        self._requests.labels(method, handler, str(status)).inc()
        self._seconds.labels(handler).observe(seconds)

    def text(self, active_runs: int) -> bytes:
        """Everything, in Prometheus' text format."""
        self._runs.set(active_runs)
        return generate_latest(self._registry)
