"""What a player's state keeps of its score and its actions."""

from dataclasses import dataclass

from actors.player.state.facet import Facet


@dataclass(slots=True)
class Tally:
    """What the player earned on one board in its present period."""

    score: int = 0
    period: int = 0


class Held(Facet):
    """An action that was started and not completed. `proof` is what the token's signature must hash to."""

    type: str
    family: str
    at: int
    expires_at: int
    proof: str
    attributes: dict[str, str | int | bool] = {}


class Used(Facet):
    """An action that was completed. The proof tells a forged token from one that is used twice."""

    at: int
    proof: str
