"""The states of a player's action tokens: created, active, consumed, expired, invalid."""

from typing import Any

from actors.player.state import Player
from actors.times import rfc3339


def token_states(player: Player, now_ms: int, action_types: set[str]) -> list[dict[str, Any]]:
    """Every token that the player's state remembers; used ones stay for an hour, and for ever in the history.

    A token is active from its creation on. `invalid`: its action type is no longer in the content, so that it cannot
    be completed. A token that is not listed is invalid to the server, too.
    """
    listed = [
        {
            "id": action_id,
            "state": _state(held.type, held.expires_at, now_ms, action_types),
            "type": held.type,
            "family": held.family,
            "createdAt": rfc3339(held.at),
            "expiresAt": rfc3339(held.expires_at),
        }
        for action_id, held in player.held.items()
    ]
    listed += [
        {"id": action_id, "state": "consumed", "consumedAt": rfc3339(used.at)}
        for action_id, used in player.used.items()
    ]
    return listed


def _state(action_type: str, expires_at: int, now_ms: int, action_types: set[str]) -> str:
    if expires_at <= now_ms:
        return "expired"
    return "active" if action_type in action_types else "invalid"
