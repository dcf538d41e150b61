"""Who should own which slots: by how many there are while nothing happens, by measured load once there is some."""

from collections.abc import Callable, Collection, Iterable, Mapping

SPREAD_SLOTS_MAX = 32
"""Slots that leave one host in one step, so that evening out never stops the rest."""
LOADED_FROM, LOADED_UNTIL = 0.03, 0.01
"""Mean load of a host (seconds of turns a second) from which slots are weighed, and below which they are counted."""
UNEVEN_FROM = 0.25
"""How far the busiest and the idlest host may be apart, as a share of the mean, before anything moves."""
REST_SHARE = 0.1
"""What an idle slot weighs, as a share of the mean slot: so that empty slots are spread, too."""

Plan = dict[int, dict[str, int]]
"""What each host is to give away: slot and new owner, by the run that owns it now."""


class Balance:
    """Plans moves between hosts. Remembers that it is under way: it begins late and ends even, and so never flaps."""

    def __init__(self) -> None:
        self.weighs = False
        self.under_way = False

    def plan(
        self,
        owned: Mapping[int, Iterable[str]],
        loads: Mapping[str, float],
        *,
        busy: Collection[int] = (),
        now: bool = False,
    ) -> Plan:
        """The next moves that even the hosts out; nothing while they are even enough. `now`: even if they are. Hosts
        that are `busy` are asked for nothing."""
        slots = {run: list(names) for run, names in owned.items()}
        if len(slots) < 2:
            return {}
        mean = sum(loads.get(slot, 0.0) for names in slots.values() for slot in names) / len(slots)
        self.weighs = mean >= (LOADED_UNTIL if self.weighs else LOADED_FROM)
        if not self.weighs:
            return self._by_count(slots, busy)
        return self._by_load(slots, loads, mean, busy, now)

    def _by_count(self, slots: dict[int, list[str]], busy: Collection[int]) -> Plan:
        self.under_way = False
        weights = {run: float(len(names)) for run, names in slots.items()}
        # A difference of one cannot be made smaller.
        return _moves(slots, weights, lambda slot: 1.0, least=2.0, busy=busy)

    def _by_load(
        self, slots: dict[int, list[str]], loads: Mapping[str, float], mean: float, busy: Collection[int], now: bool
    ) -> Plan:
        count = sum(len(names) for names in slots.values())
        rest = REST_SHARE * mean * len(slots) / max(1, count)
        weights = {run: sum(loads.get(slot, 0.0) + rest for slot in names) for run, names in slots.items()}
        uneven = max(weights.values()) - min(weights.values())
        self.under_way = self.under_way or now or uneven > UNEVEN_FROM * mean
        if not self.under_way:
            return {}
        plan = _moves(slots, weights, lambda slot: loads.get(slot, 0.0) + rest, least=UNEVEN_FROM / 5 * mean, busy=busy)
        self.under_way = bool(plan)
        return plan

    @staticmethod
    def share(orphans: Iterable[str], owned: Mapping[int, Iterable[str]], loads: Mapping[str, float]) -> dict[str, int]:
        """New owners for slots that have none: each goes to whoever carries least."""
        rest = max(REST_SHARE * sum(loads.values()) / max(1, len(loads)), 1e-9)
        weights = {run: sum(loads.get(slot, 0.0) + rest for slot in names) for run, names in owned.items()}
        given: dict[str, int] = {}
        for slot in sorted(orphans, key=lambda slot: loads.get(slot, 0.0), reverse=True):
            run = min(weights, key=lambda run: weights[run])
            weights[run] += loads.get(slot, 0.0) + rest
            given[slot] = run
        return given


def _moves(
    slots: dict[int, list[str]],
    weights: dict[int, float],
    weigh: Callable[[str], float],
    *,
    least: float,
    busy: Collection[int],
) -> Plan:
    """Heaviest to lightest, the heaviest slot that fits first, until they differ by less than `least`."""
    plan: Plan = {}
    queues = {run: sorted(names, key=weigh, reverse=True) for run, names in slots.items()}
    given = dict.fromkeys(slots, 0)
    full = set(busy)
    while givers := [run for run in weights if run not in full]:
        source = max(givers, key=lambda run: weights[run])
        target = min(weights, key=lambda run: weights[run])
        gap = weights[source] - weights[target]
        fits = next((slot for slot in queues[source] if weigh(slot) <= gap / 2), None)
        if gap < least or fits is None or given[source] >= SPREAD_SLOTS_MAX:
            full.add(source)
            continue
        queues[source].remove(fits)
        weights[source] -= weigh(fits)
        weights[target] += weigh(fits)
        given[source] += 1
        plan.setdefault(source, {})[fits] = target
    return plan
