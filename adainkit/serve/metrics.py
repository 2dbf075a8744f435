"""What Prometheus is told: requests, the queue, seconds by stage, megapixels."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import Scope

__all__ = ["Metrics"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Metrics:
    """The counters of one service, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "adainkit_requests_total", "Answers, by route and status.", ("route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "adainkit_stage_seconds", "Seconds of queue, decode, model and encode.", ("stage",),
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self._megapixels = Counter("adainkit_megapixels_total", "Megapixels that were painted.", registry=self.registry)

    def gauge(self, name: str, help: str, value: Callable[[], float]) -> None:
        """A number that is looked up when it is asked for."""
        Gauge(f"adainkit_{name}", help, registry=self.registry).set_function(value)

    def answered(self, scope: Scope, status: int) -> None:
        """Count an answer, under the pattern of its route: never under what a caller wrote."""
        path = getattr(scope.get("route"), "path", None)
        self._requests.labels(path if isinstance(path, str) else "none", str(status)).inc()

    def seen(self, stage: str, seconds: float) -> None:
        """Count the time of a stage."""
        self._seconds.labels(stage).observe(seconds)

    def painted(self, pixels: int) -> None:
        """Count the pixels of a result."""
        self._megapixels.inc(pixels / 1e6)

    def text(self) -> bytes:
        """All of it in Prometheus' format."""
        return generate_latest(self.registry)
