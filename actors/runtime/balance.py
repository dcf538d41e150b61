"""Who should own which slots: by how many there are while nothing happens, by measured load once there is some."""

from collections.abc import Callable, Collection, Iterable, Mapping

SPREAD_SLOTS_MAX = 32
"""Slots that leave one host in one step, so that evening out never stops the rest."""
LOADED_FROM, LOADED_UNTIL = 0.1, 0.05
"""Mean load of a host (seconds of turns a second) from which slots are weighed, and below which they are counted."""
UNEVEN_FROM = 0.4
"""How far the busiest and the idlest host may be apart, as a share of the mean, before anything moves."""
EVEN_BELOW = 0.05
"""How close they are brought once slots move."""
PATIENCE_S = 10.0
"""How long they must have been that far apart: a burst is over by then. A host with few slots is not kept waiting."""
REST_SHARE = 0.1
"""What an idle slot weighs, as a share of the mean slot: so that empty slots are spread, too."""

Plan = dict[int, dict[str, int]]
"""What each host is to give away: slot and new owner, by the run that owns it now."""


class Balance:
    """Plans moves between hosts. Remembers that it is under way: it begins late and ends even, and so never flaps."""

    def __init__(self) -> None:
        self.weighs = False
        self.under_way = False
        self._uneven_since: float | None = None

    def plan(
        self,
        owned: Mapping[int, Iterable[str]],
        loads: Mapping[str, float],
        *,
        at_s: float,
        busy: Collection[int] = (),
        now: bool = False,
    ) -> Plan:
        """The next moves that even the hosts out, at this monotonic time; nothing while they are even enough. `now`:
        even if they are. Hosts that are `busy` are asked for nothing."""
        slots = {run: list(names) for run, names in owned.items()}
        if len(slots) < 2:
            return {}
        mean = sum(loads.get(slot, 0.0) for names in slots.values() for slot in names) / len(slots)
        self.weighs = mean >= (LOADED_UNTIL if self.weighs else LOADED_FROM)
        if not self.weighs:
            self.under_way = False
            # A difference of one cannot be made smaller.
            counts = {run: float(len(names)) for run, names in slots.items()}
            return _moves(slots, counts, lambda slot: 1.0, least=2.0, busy=busy)
        count = sum(len(names) for names in slots.values()) / len(slots)
        rest = REST_SHARE * mean / max(1.0, count)
        weights = {run: sum(loads.get(slot, 0.0) + rest for slot in names) for run, names in slots.items()}
        few = min(len(names) for names in slots.values()) < count / 2
        self.under_way = self.under_way or now or self._is_uneven(weights, mean, 0.0 if few else PATIENCE_S, at_s)
        if not self.under_way:
            return {}
        plan = _moves(slots, weights, lambda slot: loads.get(slot, 0.0) + rest, least=EVEN_BELOW * mean, busy=busy)
        self.under_way = bool(plan)
        return plan

    def _is_uneven(self, weights: dict[int, float], mean: float, patience_s: float, at_s: float) -> bool:
        if max(weights.values()) - min(weights.values()) <= UNEVEN_FROM * mean:
            self._uneven_since = None
            return False
        if self._uneven_since is None:
            self._uneven_since = at_s
        return at_s - self._uneven_since >= patience_s

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
