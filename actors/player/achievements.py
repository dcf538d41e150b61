"""The achievements of a player: brought forward by its own events, unlocked tier by tier."""

from collections.abc import Iterator, Mapping
from typing import Any

from actors.achievement import CountHolder
from actors.content import Achievement
from actors.core import Address, Effect, Event, Query, Tell, Turn
from actors.player.inbox import Notify
from actors.player.rewards import GrantRewards
from actors.player.state import Feat, Player
from actors.times import rfc3339
from schemas.address import player as player_address


class AchievementsProgressed(Event[Player]):
    """Achievements came closer. `progress` is how far they are now."""

    public = True

    progress: dict[str, int]

    def apply(self, player: Player) -> None:
        feats = player.achievements
        for name, progress in self.progress.items():
            feat = feats.get(name)
            if feat is None:
                feats[name] = Feat(progress)
                continue
            feat.progress = progress

    def push(self) -> Mapping[str, Any]:
        return {"achievements": dict(self.progress)}


class AchievementUnlocked(Event[Player]):
    """A tier of an achievement was reached; the lowest tier is 1."""

    public = True

    achievement: str
    tier: int
    at: int

    def apply(self, player: Player) -> None:
        player.achievements[self.achievement].unlocked.append(self.at)

    def push(self) -> Mapping[str, Any]:
        return {"unlocked": {self.achievement: self.tier}}


def consequences(player: Player, unlocked: AchievementUnlocked, achievement: Achievement) -> Iterator[Effect]:
    """What follows an unlocked tier by commands of its own, after it is committed."""
    name, number = unlocked.achievement, unlocked.tier
    tier = achievement.tiers[number - 1]
    myself = player_address(player.id)
    if not tier.rewards.nothing:
        yield Tell(myself, GrantRewards(rewards=tier.rewards, reason=f"achievement:{name}:{number}"))
    title = tier.title or achievement.title
    told = Notify(template="achievement_unlocked", data={"achievement": name, "tier": number, "title": title})
    yield Tell(myself, told)
    yield Tell(Address("achievement", name), CountHolder(tier=number))


class Achievements(Query[Player]):
    """How far the player is with each achievement, and which tiers it has."""

    public = True

    def answer(self, player: Player, turn: Turn) -> dict[str, Any]:
        shown = []
        for name, achievement in turn.content.achievements.items():
            feat = player.achievements.get(name) or Feat()
            if feat.unlocked or not achievement.hidden:
                shown.append(_shown(name, achievement, feat))
        unlocked = sum(tier["unlockedAt"] is not None for feat in shown for tier in feat["tiers"])
        return {"unlocked": unlocked, "achievements": shown}


def _shown(name: str, achievement: Achievement, feat: Feat) -> dict[str, Any]:
    times: list[str | None] = [rfc3339(at) for at in feat.unlocked[: len(achievement.tiers)]]
    times += [None] * (len(achievement.tiers) - len(times))
    return {
        "achievement": name,
        "title": achievement.title,
        "text": achievement.text,
        "progress": min(feat.progress, achievement.target),
        "tiers": [
            {
                "title": tier.title or achievement.title,
                "target": tier.target,
                "unlockedAt": at,
                "rewards": tier.rewards.model_dump(),
            }
            for tier, at in zip(achievement.tiers, times, strict=True)
        ],
    }
