"""A player's condition: stats, effects that end by themselves, and resources that come back with time."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from actors.content import Content
from actors.core import Command, Effect, Effects, Event, Forget, Rejected, Remind, Turn
from actors.player.state import Gauge, Player
from actors.times import SECOND_MS
from schemas import limits
from schemas.shape import Count

REMINDER = "effects"


def stats_by_source(content: Content, level: int, worn: Iterable[str], effects: Iterable[str]) -> dict[str, list[int]]:
    """Each stat as [base, from equipment, from effects] of a player who wears these items under these effects."""
    stats = {name: [stat.base + stat.per_level * (level - 1), 0, 0] for name, stat in content.character.stats.items()}
    for item_name in worn:
        item = content.items.get(item_name)
        for name, change in item.stats.items() if item else ():
            stats[name][1] += change
    for effect_name in effects:
        effect = content.effects.get(effect_name)
        for name, change in effect.stats.items() if effect else ():
            stats[name][2] += change
    return stats


class Condition:
    """A player's condition at a time, found by following what was stored through every effect that has ended since.

    Resources come back in whole portions, so it makes no difference how often one looks. What a command changes here is
    committed by what `changes` yields.
    """

    def __init__(self, player: Player, content: Content, at: int) -> None:
        self._content = content
        self._player = player
        self._level = player.level
        self._worn = [worn.item for worn in player.worn.values()]
        self._most: dict[str, int] | None = None
        self.effects = dict(player.effects)
        self.at = at
        resources = content.character.resources
        self._gauges = {n: Gauge(g.value, g.at) for n, g in player.gauges.items() if n in resources}
        for end in sorted({until for until in self.effects.values() if until <= at}):
            self._regain(end)
            self._become(self._worn, {name: until for name, until in self.effects.items() if until > end}, end)
        self._regain(at)

    def stats(self) -> dict[str, list[int]]:
        """Each stat as [base, from equipment, from effects]."""
        return stats_by_source(self._content, self._level, self._worn, self.effects)

    def most(self) -> dict[str, int]:
        """The maximum of each resource."""
        if self._most is None:
            stats = self.stats()
            self._most = {}
            for name, resource in self._content.character.resources.items():
                by_stat = resource.per_stat * sum(stats[resource.stat]) if resource.stat else 0
                self._most[name] = max(1, resource.base + resource.per_level * (self._level - 1) + by_stat)
        return self._most

    def values(self) -> dict[str, int]:
        """How much of each resource there is."""
        gauges = self._gauges
        return {name: min(gauges[name].value, most) if name in gauges else most for name, most in self.most().items()}

    def full_at(self, name: str) -> int | None:
        """When the resource will be full if nothing else happens; None when it is, or never will be."""
        resource, missing = self._content.character.resources[name], self.most()[name] - self.values()[name]
        if missing <= 0 or not resource.regains:
            return None
        return self._gauges[name].at + -(-missing // resource.regains) * resource.every_s * SECOND_MS

    def _regain(self, at: int) -> None:
        if not self._gauges:
            return
        most = self.most()
        for name, gauge in self._gauges.items():
            resource = self._content.character.resources[name]
            portions = max(0, at - gauge.at) // (resource.every_s * SECOND_MS)
            gauge.value = min(most[name], gauge.value + portions * resource.regains)
            gauge.at += portions * resource.every_s * SECOND_MS
            if gauge.value == most[name]:
                gauge.at = max(gauge.at, at)

    def _become(self, worn: list[str], effects: dict[str, int], at: int) -> None:
        """What there is stays, as far as the new maximum allows; nothing is gained by a change."""
        most_before, values = self.most(), self.values()
        self._worn, self.effects, self._most = worn, effects, None
        for name, most in self.most().items():
            if most != most_before[name]:
                gauge = self._gauges.setdefault(name, Gauge(values[name], at))
                gauge.value = min(values[name], most)

    def wear(self, worn: Iterable[str]) -> None:
        """The player wears these items now."""
        self._become(list(worn), self.effects, self.at)

    def begin(self, name: str) -> None:
        """The effect begins, or lasts longer; refused when there is no such effect, or too many are at work."""
        effect = self._content.effects.get(name)
        if effect is None:
            raise Rejected("effect_unknown", f"There is no effect {name!r}.")
        if name not in self.effects and len(self.effects) >= limits.EFFECTS_MAX:
            raise Rejected("effects_too_many", f"No more than {limits.EFFECTS_MAX} effects work at a time.")
        until = max(self.at + effect.lasts_s * SECOND_MS, self.effects.get(name, 0))
        self._become(self._worn, {**self.effects, name: until}, self.at)

    def restore(self, name: str, amount: int) -> int:
        """So much of the resource comes back, as far as there is room; what did."""
        value, most = self.values().get(name, 0), self.most().get(name, 0)
        restored = min(amount, most - value)
        if restored:
            self._gauges[name].value = value + restored
        return restored

    def spend(self, name: str, amount: int) -> None:
        """So much of the resource is used up; refused as `resource_too_low` when there is less."""
        value = self.values().get(name, 0)
        if value < amount:
            raise Rejected("resource_too_low", f"There is not enough {name}: {value} of {amount}.")
        self._gauges.setdefault(name, Gauge(value, self.at)).value = value - amount

    def refill(self, level: int) -> None:
        """A new level: everything is full."""
        self._level, self._most = level, None
        self._gauges = {}

    def changes(self) -> Iterator[Effect]:
        """What commits the condition as it is now, if it is another than the stored one; at most once in a turn."""
        most = self.most()
        gauges = {n: g for n, g in sorted(self._gauges.items()) if g.value < most[n]}
        if gauges == self._player.gauges and self.effects == self._player.effects:
            return
        packed = {name: [gauge.value, gauge.at] for name, gauge in gauges.items()}
        yield ConditionChanged(gauges=packed, effects=dict(self.effects), at=self.at)
        if self.effects == self._player.effects:
            return
        if not self.effects:
            yield Forget(REMINDER)
            return
        until = min(self.effects.values())
        yield Remind(REMINDER, until, EndEffects(until=until))


class ConditionChanged(Event[Player]):
    """Resources or effects are others now. `gauges` are [value, at] of resources that are not full, `effects` when each
    one ends."""

    gauges: dict[str, list[int]]
    effects: dict[str, int]
    at: int

    def apply(self, player: Player) -> None:
        player.gauges = {name: Gauge(value, at) for name, (value, at) in self.gauges.items()}
        player.effects = dict(self.effects)

    def push(self) -> Mapping[str, Any]:
        return {"condition": {"gauges": dict(self.gauges), "effects": sorted(self.effects)}}


class EndEffects(Command[Player]):
    """Effects whose time is over go. Whoever looked before has not seen them any more."""

    until: Count

    def decide(self, player: Player, turn: Turn) -> Effects:
        # The alarm's clock may be ahead of the host's.
        condition = Condition(player, turn.content, max(turn.at, self.until))
        if condition.effects != player.effects:
            yield from condition.changes()
        return {"ended": sorted(set(player.effects) - set(condition.effects))}
