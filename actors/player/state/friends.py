"""What a player's state keeps of others: who is a friend or wants to be, and whom it does not want to hear."""

from dataclasses import dataclass


@dataclass(slots=True)
class Tie:
    """What two players want of each other, as one of them knows it.

    `mine` is the number of this player's wish to be friends, `theirs` that of the other's; 0 stands for no such wish.
    Wishes of one player are numbered upwards, whomever they are about.
    """

    name: str
    """The other's, as far as it is known."""
    at: int
    mine: int = 0
    theirs: int = 0

    @property
    def friends(self) -> bool:
        """Whether both wish it."""
        return self.mine > 0 and self.theirs > 0
