"""What a gateway process counts, for Prometheus."""

import os
import re
import time
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

_SERIES = re.compile(r"^([a-zA-Z_:][\w:]*)(?:({)| )", re.MULTILINE)

Reading = tuple[str, str, float]
"""Name, help and value of something that is counted elsewhere; names that end in `_total` only grow."""


class GatewayMetrics:
    """Counters of one gateway process; labels are methods, routes, kinds and codes, never players or addresses."""

    def __init__(self, process: str = "") -> None:
        self.process = process or f"gateway-{os.getpid()}"
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "greenroom_http_requests",
            "Requests, by route and status",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "greenroom_http_request_seconds",
            "Duration of a request",
            ["method", "route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.frame_seconds = Histogram(
            "greenroom_ws_request_seconds",
            "From frame to reply, by message",
            ["kind", "name"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.refusals = Counter(
            "greenroom_refusals", "Refusals told to clients, by code", ["code", "through"], registry=self.registry
        )
        self.sockets = Gauge("greenroom_sockets", "Open WebSockets", registry=self.registry)
        self.closes = Counter("greenroom_ws_closes", "WebSockets closed, by code", ["code"], registry=self.registry)
        self.frames_out = Counter("greenroom_ws_frames_sent", "Frames sent", registry=self.registry)
        self.conflated = Counter("greenroom_ws_conflated", "Pushes replaced by a later one", registry=self.registry)
        self.catch_ups = Counter(
            "greenroom_topic_catch_ups", "Topics read again because pushes may have been missed", registry=self.registry
        )
        self._readings: list[Callable[[], Iterable[Reading]]] = []
        self.registry.register(_Readings(self._readings))

    def watch(self, readings: Callable[[], Iterable[Reading]]) -> None:
        """Show what this says, whenever metrics are asked for."""
        self._readings.append(readings)

    def render(self) -> bytes:
        """The exposition text of this process, each series labelled with it."""
        return labelled(generate_latest(self.registry), self.process)


def labelled(text: bytes, process: str) -> bytes:
    """The exposition text with the label `process` on each series."""
    return _SERIES.sub(lambda series: _with_label(series, process), text.decode()).encode()


def merged(texts: Iterable[bytes]) -> bytes:
    """One exposition text out of those of several processes: each family once, with the series of all."""
    families: dict[str, tuple[list[str], list[str]]] = {}
    for text in texts:
        series: list[str] = []
        for line in text.decode().splitlines():
            if line.startswith("#"):
                family = line.split(" ", 3)[2]
                told, series = families.setdefault(family, ([], []))
                if line not in told and not any(known.split(" ", 2)[1] == line.split(" ", 2)[1] for known in told):
                    told.append(line)
            elif line:
                series.append(line)
    lines = [line for told, series in families.values() for line in (*told, *series)]
    return ("\n".join(lines) + "\n").encode()


def _with_label(series: re.Match[str], process: str) -> str:
    name, brace = series.groups()
    return f'{name}{{process="{process}",' if brace else f'{name}{{process="{process}"}} '


class _Readings(Collector):
    def __init__(self, readings: list[Callable[[], Iterable[Reading]]]) -> None:
        self._readings = readings

    def collect(self) -> Iterable[Metric]:
        for readings in self._readings:
            for name, description, value in readings():
                if name.endswith("_total"):
                    yield CounterMetricFamily(name.removesuffix("_total"), description, value=value)
                else:
                    yield GaugeMetricFamily(name, description, value=value)


class LoopLag:
    """How late the event loop is, at worst since the last look."""

    def __init__(self) -> None:
        self.worst_s = 0.0
        self._due: float | None = None

    def tick(self, every_s: float) -> None:
        """To be called at even intervals."""
        now = time.monotonic()
        if self._due is not None:
            self.worst_s = max(self.worst_s, now - self._due)
        self._due = now + every_s

    def take(self) -> float:
        worst, self.worst_s = self.worst_s, 0.0
        return worst
