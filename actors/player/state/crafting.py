"""What a player's state keeps of its crafting."""

from actors.player.state.facet import Facet
from actors.player.state.items import Lot


class Job(Facet):
    """A piece of work under way, or in line at its station. `lots` are the ingredients that it used up."""

    recipe: str
    station: str
    starts_at: int
    ready_at: int
    lots: list[Lot]
