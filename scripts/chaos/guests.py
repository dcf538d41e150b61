"""A player of a chaos run that has a character of its own, and does with it whatever the game has to offer."""

from collections.abc import Awaitable, Callable
from typing import Any

from actors.channel.state import direct_key, guild_channel_key
from schemas.address import Address
from scripts.chaos.game import GUILDS_MAX, Company, Deal, Game
from scripts.chaos.history import Operation
from scripts.chaos.players import LOOKS, Player

ACTIONS_OPEN_MAX = 4
STACKS_MAX = 30
"""Who has more of them throws some away."""
SCORE, TRADE, KEEP, GUILD, CHAT, QUEST = 40, 20, 15, 10, 10, 5
"""How much of what is done, of a hundred things. The game has no payments; quests have their place."""


class Guest(Player):
    """Scores, trades, keeps its bag and crafts, belongs to a guild, talks, and is on quests."""

    def __init__(self, *given: Any, game: Game, company: Company) -> None:
        super().__init__(*given)
        self.game = game
        self.company = company
        self.own = Address("player", self.user)
        self._open: list[dict[str, Any]] = []
        self._stacks: list[dict[str, Any]] = []
        """What lay in the bag when it was looked at last; a part of it may be gone by now."""
        self._worn: list[str] = []
        self._waits = False
        self._guild: str | None = None
        self._leads = False
        self._rooms: set[str] = set()
        self._said = 0
        self._deeds, self._weights = zip(*self._possible(), strict=True)

    def _possible(self) -> list[tuple[Callable[[], Awaitable[None]], int]]:
        game = self.game
        possible: list[tuple[Callable[[], Awaitable[None]], bool, int]] = [
            (self._score, game.action is not None, SCORE),
            (self._trade, game.currency is not None and len(self.company.guests) > 1, TRADE),
            (self._keep, bool(game.goods or game.gear), KEEP),
            (self._belong, game.guild_cost is not None and game.currency is not None, GUILD),
            (self._talk, bool(game.rooms), CHAT),
            (self._quest, game.quests, QUEST),
        ]
        return [(deed, weight) for deed, there, weight in possible if there] or [(self._look, 1)]

    async def act(self) -> None:
        if self.dice.random() < LOOKS:
            await self._look()
            return
        [deed] = self.dice.choices(self._deeds, self._weights)
        await deed()

    async def say(self, name: str, /, **data: Any) -> Operation:
        """Ask one's own character."""
        return await self.command(self.own, name, data)

    # -- scores -----------------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        await self.look(self.own, "profile")

    async def _score(self) -> None:
        if self._open and (self.dice.random() < 0.5 or len(self._open) >= ACTIONS_OPEN_MAX):
            started = self._open.pop(0)
            await self.say("complete_action", actionId=started["id"], actionToken=started["actionToken"])
            return
        started_now = await self.say("start_action", type=self.game.action)
        if started_now.outcome == "ok":
            self._open.append(started_now.attempts[-1].data)

    # -- trades and gifts -------------------------------------------------------------------------------------------

    async def _trade(self) -> None:
        due = self.company.deals[self.user]
        if due:
            await self._bargain(due.popleft())
            return
        partner = self.dice.choice(self.company.others(self.user))
        trade = Address("trade", f"{self.name}-{self._numbers}")
        if self.dice.random() < 0.5:
            await self.command(trade, "give", {"to": partner, "goods": self._goods()})
            return
        if (await self.command(trade, "open", {"partner": partner})).outcome != "ok":
            return
        deal = Deal(trade, (self.user, partner))
        if await self._offer(deal):
            self.company.deals[partner].append(deal)

    async def _bargain(self, deal: Deal) -> None:
        """The next step of a trade that somebody waits with."""
        if self.dice.random() < 0.1:
            await self.command(deal.trade, "cancel", {})
            return
        if not deal.offered and not await self._offer(deal):
            return
        confirmed = await self.command(deal.trade, "confirm", {"revision": deal.revision})
        if confirmed.outcome == "ok" and not deal.offered:
            deal.offered = True
            self.company.deals[deal.sides[0]].append(deal)

    async def _offer(self, deal: Deal) -> bool:
        offered = await self.command(deal.trade, "offer", {"goods": self._goods()})
        if offered.outcome == "ok":
            deal.revision = int(offered.attempts[-1].data["revision"])
        return offered.outcome == "ok"

    def _goods(self) -> dict[str, Any]:
        """A few coins, or things of the bag."""
        draw = self.dice.random()
        loose = self._some(lambda stack: not stack.get("history") and not stack["locked"])
        unique = self._some(lambda stack: bool(stack.get("history")) and not stack["locked"])
        if loose is not None and draw < 0.4:
            return {"items": {loose["item"]: self.dice.randint(1, min(3, loose["quantity"]))}}
        if unique is not None and draw < 0.6:
            return {"ids": [unique["id"]]}
        return {"currencies": {str(self.game.currency): self.dice.randint(1, 5)}}

    def _some(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any] | None:
        """One of the stacks that were seen last."""
        found = [stack for stack in self._stacks if wanted(stack)]
        return self.dice.choice(found) if found else None

    # -- the bag ----------------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        draw = self.dice.random()
        stack = self._some(lambda stack: True)
        if stack is None or draw < 0.25:
            await self._look_into_the_bag()
        elif len(self._stacks) > STACKS_MAX:
            await self.say("discard_items", stackId=stack["id"])
            self._stacks.remove(stack)
        elif self.game.recipes and draw < 0.5:
            await self.say("craft", recipe=self.dice.choice(self.game.recipes))
        elif stack["item"] in self.game.gear and draw < 0.8:
            await self.say("equip", stackId=stack["id"])
            self._stacks = []
        elif self._worn and draw < 0.6:
            await self.say("unequip", slot=self.dice.choice(self._worn))
        elif stack["quantity"] > 1 and draw < 0.7:
            await self.say("split_stack", stackId=stack["id"], quantity=1)
        elif draw < 0.8:
            await self._merge(stack)
        elif draw < 0.85:
            await self.say("lock_stack", stackId=stack["id"], locked=not stack["locked"])
            self._stacks = []
        elif self._waits and draw < 0.9:
            await self.say("claim_items")
            self._waits = False
        else:
            await self.say("use_item", stackId=stack["id"])

    async def _merge(self, stack: dict[str, Any]) -> None:
        like = self._some(lambda other: other["item"] == stack["item"] and other["id"] != stack["id"])
        if like is None:
            # A slot that it is not in: what lies where changes by one's own hand alone.
            await self.say("move_stack", stackId=stack["id"], slot=(stack["slot"] + 1) % STACKS_MAX)
            self._stacks = []
        else:
            await self.say("merge_stacks", stackId=stack["id"], onto=like["id"])

    async def _look_into_the_bag(self) -> None:
        seen = await self.look(self.own, "inventory")
        if seen.ok:
            self._stacks = list(seen.data["stacks"])
            self._worn = sorted(seen.data["equipment"])
            self._waits = bool(seen.data["waiting"])

    # -- the guild --------------------------------------------------------------------------------------------------

    async def _belong(self) -> None:
        if self._guild is None:
            await self._find_a_guild()
            return
        guild, draw = Address("guild", self._guild), self.dice.random()
        loose = self._some(lambda stack: not stack.get("history") and not stack["locked"])
        unique = self._some(lambda stack: bool(stack.get("history")) and not stack["locked"])
        if draw < 0.05:
            await self._part(guild)
        elif loose is not None and draw < 0.25:
            asked = self.command(guild, "store_items", {"items": {loose["item"]: 1}})
            await self._as_a_member(asked)
        elif unique is not None and draw < 0.3:
            await self._as_a_member(self.command(guild, "store_items", {"ids": [unique["id"]]}))
        elif self._leads and draw < 0.6:
            await self._lead(guild)
        else:
            payment = {"currency": self.game.currency, "amount": self.dice.randint(1, 4)}
            await self._as_a_member(self.command(guild, "deposit", payment))

    async def _lead(self, guild: Address) -> None:
        seen = await self.look(guild, "storage")
        stored = seen.data["stored"] if seen.ok else []
        if stored and self.dice.random() < 0.6:
            lot = self.dice.choice(stored)
            what = {"ids": [lot["id"]]} if lot.get("history") else {"items": {lot["item"]: 1}}
            await self._as_a_member(self.command(guild, "take_out_items", what))
            return
        member = self.dice.choice(self.company.guests)
        payment = {"currency": self.game.currency, "amount": 1, "member": member}
        await self._as_a_member(self.command(guild, "withdraw", payment))

    async def _find_a_guild(self) -> None:
        known = self.company.guilds
        if len(known) < GUILDS_MAX and self.dice.random() < 0.5:
            key = f"{self.name}-{self._numbers}"
            founded = await self.command(Address("guild", key), "create", {"name": key})
            if founded.outcome == "ok":
                known.append(key)
                self._guild, self._leads = key, True
                return
        elif known:
            key = self.dice.choice(known)
            joined = await self.command(Address("guild", key), "join", {}, idle_without="membership")
            if joined.outcome == "ok":
                self._guild = key
                return
        await self._look_for_the_own_guild()

    async def _look_for_the_own_guild(self) -> None:
        seen = await self.look(self.own, "own_guild")
        if seen.ok and seen.data["guild"]:
            self._guild = str(seen.data["guild"]["guild"])

    async def _part(self, guild: Address) -> None:
        """Leave; the one who leads ends it, if nothing is left in its storage."""
        left = await self.command(guild, "disband" if self._leads else "leave", {})
        if left.outcome == "ok":
            if self._leads and guild.key in self.company.guilds:
                self.company.guilds.remove(guild.key)
            self._guild, self._leads = None, False

    async def _as_a_member(self, asked: Awaitable[Operation]) -> None:
        """Who is told that it belongs to no such guild believes it."""
        if (await asked).attempts[-1].code in ("not_a_member", "guild_unknown"):
            self._guild, self._leads = None, False

    # -- chat and quests --------------------------------------------------------------------------------------------

    async def _talk(self) -> None:
        self._said += 1
        said: dict[str, Any] = {"text": f"{self.name} says its line {self._said}"}
        others, draw = self.company.others(self.user), self.dice.random()
        if others and draw < 0.2:
            await self.command(Address("channel", direct_key(self.user, self.dice.choice(others))), "send", said)
            return
        if self._guild is not None and draw < 0.4:
            await self.command(Address("channel", guild_channel_key(self._guild)), "send", said)
            return
        room = self.dice.choice(self.game.rooms)
        if room not in self._rooms:
            if (await self.command(Address("channel", room), "join", {})).outcome != "fail":
                self._rooms.add(room)
            return
        if others and draw < 0.6:
            said["mentions"] = [self.dice.choice(others)]
        await self.command(Address("channel", room), "send", said)

    async def _quest(self) -> None:
        seen = await self.look(self.own, "quests")
        if not seen.ok:
            return
        ready = [quest for quest in seen.data["active"] if quest["turnIn"] and quest["state"] == "ready"]
        if ready:
            await self.say("complete_quest", quest=ready[0]["quest"])
        elif seen.data["available"]:
            await self.say("start_quest", quest=self.dice.choice(seen.data["available"])["quest"])
