"""What a player can do, as clients show it."""

from typing import Any

from actors.core import Query, Turn
from actors.player.character import known_skills
from actors.player.state import Player


class Skills(Query[Player]):
    """The skills that the player knows: what each is called, what using it takes, and how long it rests afterwards."""

    public = True

    def answer(self, player: Player, turn: Turn) -> dict[str, Any]:
        skills = turn.content.skills
        known = [(name, skills[name]) for name in known_skills(player, turn) if name in skills]
        return {
            "skills": [
                {
                    "skill": name,
                    "title": skill.title,
                    "text": skill.text,
                    "costs": dict(skill.costs),
                    "cooldownMs": skill.cooldown_ms,
                }
                for name, skill in known
            ]
        }
