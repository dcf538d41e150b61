"""What every part of a player's state has in common."""

from pydantic import BaseModel, ConfigDict


class Facet(BaseModel):
    """A part of the player's state."""

    model_config = ConfigDict(extra="forbid")
