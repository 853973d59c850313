"""Metrics for Prometheus, and traces for OpenTelemetry when an endpoint is configured."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from opentelemetry import trace
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

REQUESTS = Counter("troupe_http_requests_total", "Requests answered.", ["method", "route", "status"])
SECONDS = Histogram(
    "troupe_http_request_seconds",
    "From the request's arrival to the end of its answer; streams are not counted.",
    ["method", "route"],
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_counters: dict[tuple[str, str, int], Counter] = {}
_histograms: dict[tuple[str, str], Histogram] = {}
_provider: Any = None


def observe(method: str, route: str, status: int, seconds: float | None) -> None:
    """Counts one answer. `route` is a template, never a concrete path, so that the number of series stays small."""
    if method not in _METHODS:
        method = "other"
    counter = _counters.get((method, route, status))
    if counter is None:
        counter = _counters[method, route, status] = REQUESTS.labels(method, route, str(status))
    counter.inc()
    if seconds is None:
        return
    histogram = _histograms.get((method, route))
    if histogram is None:
        histogram = _histograms[method, route] = SECONDS.labels(method, route)
    histogram.observe(seconds)


class _Told(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def exposition(more: Iterable[Metric] = ()) -> bytes:
    """What this process counted, and `more` that others did, in Prometheus' text format."""
    others = CollectorRegistry(auto_describe=False)
    others.register(_Told(more))
    return generate_latest() + generate_latest(others)


def start(endpoint: str | None, service: str = "troupe") -> None:
    """Sends traces to `endpoint` (OTLP over HTTP, the full address of /v1/traces). None: no traces at all."""
    global _provider
    if not endpoint or _provider is not None:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    _provider = TracerProvider(resource=Resource.create({"service.name": service}))
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    trace.set_tracer_provider(_provider)


def stop() -> None:
    """Sends what is left of the traces."""
    global _provider
    if _provider is not None:
        _provider.shutdown()
        _provider = None


def tracing() -> bool:
    return _provider is not None


def span(name: str, **attributes: str | int) -> AbstractContextManager[Any]:
    """A span around what follows; nothing when traces are off."""
    if _provider is None:
        return nullcontext()
    tracer: trace.Tracer = _provider.get_tracer("troupe")
    return tracer.start_as_current_span(name, attributes=attributes)
