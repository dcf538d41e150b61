"""The game in nouns, typed: the same over REST (`Client`) and over WebSocket (`Connection`)."""

from greenroom_client.game.character import Character
from greenroom_client.game.chat import Channel
from greenroom_client.game.crafting import Crafting
from greenroom_client.game.friends import Friends
from greenroom_client.game.guild import Guild, Guilds
from greenroom_client.game.inbox import Inbox
from greenroom_client.game.items import Bag, Equipment
from greenroom_client.game.noun import Asker
from greenroom_client.game.quests import Achievements, Quests
from greenroom_client.game.studio import Studio
from greenroom_client.game.trades import Trade


class Game:
    """All that a player has and does; mixed into whoever reaches actors."""

    @property
    def character(self: Asker) -> Character:
        """Level, stats, resources, wallet."""
        return Character(self)

    @property
    def bag(self: Asker) -> Bag:
        """Items."""
        return Bag(self)

    @property
    def equipment(self: Asker) -> Equipment:
        """What is worn."""
        return Equipment(self)

    @property
    def crafting(self: Asker) -> Crafting:
        """Recipes and work."""
        return Crafting(self)

    @property
    def quests(self: Asker) -> Quests:
        """What the player is asked to do."""
        return Quests(self)

    @property
    def achievements(self: Asker) -> Achievements:
        """What the player has achieved."""
        return Achievements(self)

    @property
    def inbox(self: Asker) -> Inbox:
        """Notifications."""
        return Inbox(self)

    @property
    def friends(self: Asker) -> Friends:
        """Friends, and the contrary."""
        return Friends(self)

    @property
    def guilds(self: Asker) -> Guilds:
        """Guilds to be found, and one's own."""
        return Guilds(self)

    @property
    def studio(self: Asker) -> Studio:
        """What a studio's own game server gives."""
        return Studio(self)

    def guild(self: Asker, key: str) -> Guild:
        """A guild."""
        return Guild(self, key)

    def channel(self: Asker, key: str) -> Channel:
        """A place where players talk."""
        return Channel(self, key)

    def trade(self: Asker, key: str) -> Trade:
        """A trade or a gift; a new one has a key of the caller's choice."""
        return Trade(self, key)
