"""What a host counts, for Prometheus; each process has one registry."""

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from actors.runtime.placement import Placement

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class HostMetrics:
    """Counters of one host process, labelled by kind at most: never by actor."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self.turns = Counter(
            "greenroom_turns", "Commands decided, by kind and outcome", ["kind", "outcome"], registry=self.registry
        )
        self.commit_seconds = Histogram(
            "greenroom_commit_seconds", "Duration of a group commit", buckets=_SECONDS, registry=self.registry
        )
        self.commit_turns = Histogram(
            "greenroom_commit_turns",
            "Turns in a group commit",
            buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
            registry=self.registry,
        )
        self.conflicts = Counter(
            "greenroom_conflicts", "Group commits that met a row of another history or op id", registry=self.registry
        )
        self.unknown_outcomes = Counter(
            "greenroom_unknown_outcomes", "Commits whose outcome had to be read back", registry=self.registry
        )
        self.wakes = Counter("greenroom_wakes", "Actors woken, by kind", ["kind"], registry=self.registry)
        self.wake_seconds = Histogram(
            "greenroom_wake_seconds", "Duration of a batch of wakes", buckets=_SECONDS, registry=self.registry
        )
        self.passivations = Counter(
            "greenroom_passivations", "Actors put to sleep, by kind", ["kind"], registry=self.registry
        )
        self.active = Gauge("greenroom_active_actors", "Actors in memory, by kind", ["kind"], registry=self.registry)
        self.redeliveries = Counter(
            "greenroom_redeliveries", "Parcels delivered by the sweeper", registry=self.registry
        )
        self.dead_letters = Counter(
            "greenroom_dead_letters", "Tells given up, by kind of the receiver", ["kind"], registry=self.registry
        )
        self.reminders = Counter("greenroom_reminders", "Reminders delivered", registry=self.registry)
        self.unanswered_consults = Counter(
            "greenroom_unanswered_consults",
            "Consults without an answer in time, by kind",
            ["kind"],
            registry=self.registry,
        )
        self.overloads = Counter(
            "greenroom_overloads", "Messages refused because a queue was full", registry=self.registry
        )
        self.lease_age = Gauge(
            "greenroom_lease_age_seconds", "Time since the lease was last renewed", registry=self.registry
        )

    def render(self) -> bytes:
        """The exposition text."""
        return generate_latest(self.registry)


class SlotSeconds(Collector):
    """How long turns and questions took, by shared slot; those of dedicated actors by their kind."""

    def __init__(self, spent_s: Mapping[str, float]) -> None:
        self._spent_s = spent_s

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Read when somebody asks: counting must cost a turn next to nothing."""
        told = CounterMetricFamily(
            "greenroom_slot_seconds", "Time spent in turns and questions, by slot", labels=["slot"]
        )
        seconds: dict[str, float] = {}
        for slot, spent_s in self._spent_s.items():
            label = slot.partition(":")[0] if Placement.is_dedicated(slot) else slot
            seconds[label] = seconds.get(label, 0.0) + spent_s
        for label, spent_s in seconds.items():
            told.add_metric([label], spent_s)
        yield told
