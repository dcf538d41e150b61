"""A game in memory: actors that decide at once and tell each other, and a clock beside them that measures each turn."""

import random
import time
from collections import defaultdict
from functools import cache
from typing import Any

from actors.catalog import Catalog
from actors.content import Content
from actors.core import (
    SYSTEM,
    Actor,
    Address,
    Caller,
    Command,
    Consult,
    Query,
    Remind,
    Reply,
    Tell,
    Turn,
    answer,
    decide,
)
from schemas.problems import Refusal

_FIRST_MS = 1_790_000_000_000
_BAG_TIDY_MAX = 25
_DAY_MS = 86_400_000
_STUDIO = Caller("studio", ("server",))


@cache
def _catalog() -> Catalog:
    return Catalog()


class Table:
    """What is told happens at once and in order; reminders when the clock is moved. Only deciding is measured."""

    def __init__(self, content: Content) -> None:
        self.content = content
        self.at = _FIRST_MS
        self.took_us: defaultdict[str, list[float]] = defaultdict(list)
        """By kind and command."""
        self.dice = random.Random(14)
        self._actors: dict[Address, Actor] = {}
        self._versions: defaultdict[Address, int] = defaultdict(int)
        self._reminders: dict[tuple[Address, str], Remind] = {}
        self._turns = 0

    def actor(self, address: Address) -> Actor:
        """The actor, made when it is met first."""
        if address not in self._actors:
            self._actors[address] = _catalog().kind(address.kind).actor()
        return self._actors[address]

    def player(self, name: str) -> Address:
        """A new player."""
        address = Address("player", name)
        self.say(address, "create", name=name)
        return address

    def say(self, to: Address, command: str, by: str | None = None, /, **fields: Any) -> dict[str, Any]:
        """The reply to a command of a player, or of the studio; an empty one when it is refused."""
        message = _catalog().kind(to.kind).command(command).model_validate(fields)
        return self.send(to, message, SYSTEM if by is None else Caller(by, _STUDIO.roles))

    def send(self, to: Address, command: Command[Any], caller: Caller = SYSTEM) -> dict[str, Any]:
        """Decide, measured, and do what follows."""
        actor, turn = self.actor(to), self._turn(to, caller)
        try:
            # Pure computation: CPU time is its time, whatever else the machine does.
            began = time.thread_time()
            consult = command.consults(actor, turn)
            took_s = time.thread_time() - began
            while consult is not None:
                self._answer(turn, consult)
                consult = consult.then
            began = time.thread_time()
            outcome = decide(command, actor, turn)
            took_s += time.thread_time() - began
        except Refusal:
            return {}
        self.took_us[f"{to.kind} {command.wire_name}"].append(took_s * 1e6)
        self._versions[to] += len(outcome.events)
        reply = dict(outcome.reply)
        for effect in outcome.others:
            if isinstance(effect, Tell):
                told = self.send(effect.to, effect.command)
                reply |= {effect.into: told} if effect.into else {}
            elif isinstance(effect, Remind):
                self._reminders[to, effect.name] = effect
        return reply

    def wait(self, ms: int) -> None:
        """Time passes, and what was due by then has happened."""
        self.at += ms
        for key in [key for key, remind in self._reminders.items() if remind.at <= self.at]:
            remind = self._reminders.pop(key, None)
            if remind is not None:
                self.send(key[0], remind.command)

    def _turn(self, to: Address, caller: Caller) -> Turn:
        self._turns += 1
        return Turn(
            caller,
            self.at,
            self.content,
            f"op-{self._turns}",
            seed=self._turns,
            secret=b"bench",
            key=to.key,
            version=self._versions[to],
        )

    def _answer(self, turn: Turn, consult: Consult) -> None:
        turn.consulted = True
        asked = consult.command
        if isinstance(asked, Query):
            about = self.actor(consult.of)
            turn.answer = Reply(200, 0, answer(asked, about, self._turn(consult.of, SYSTEM)))
        else:
            turn.answer = Reply(200, 0, self.send(consult.of, asked))
        turn.earlier += (turn.answer,) if consult.then else ()


def play_a_day(table: Table, day: int) -> None:
    """Two players do a little of everything, on a day of their own."""
    if day == 0:
        _arrive(table)
    table.at = max(table.at, _FIRST_MS + day * _DAY_MS)
    _earn(table)
    _carry(table)
    _make(table)
    _deal(table, day)
    _belong(table)
    _talk(table, day)
    _tidy(table)
    table.wait(_DAY_MS // 2)


ANN, BEN = Address("player", "ann"), Address("player", "ben")
GUILD = Address("guild", "red-dragons")
ROOM = Address("channel", "lobby")


def _arrive(table: Table) -> None:
    for player in (ANN, BEN):
        table.say(player, "create", name=player.key)
        table.say(player, "grant_currency", currency="gold", amount=1_000_000, reason="bench")
        table.say(player, "award_experience", amount=10_000, reason="bench")
        table.say(player, "award_items", items={"saw": 1, "iron_sword": 2, "bandage": 20}, reason="bench")
        table.say(ROOM, "join", player.key)
    table.say(GUILD, "create", "ann", name="Red Dragons", open=True)
    table.say(GUILD, "join", "ben")


def _earn(table: Table) -> None:
    for quest in ("daily_hunt", "daily_wins", "daily_craft", "weekly_glory", "weekly_habits", "trade_winds"):
        table.say(ANN, "start_quest", "ann", quest=quest)
    for type_ in ("quick_win", "boss_kill", "quick_win", "quick_win", "quick_win", "quick_win"):
        started = table.say(ANN, "start_action", "ann", type=type_)
        # Whoever is as regular as a clock is suspect, and that is dearer.
        table.wait(table.dice.randrange(4_000, 40_000))
        if started:
            done = {"actionId": started["id"], "actionToken": started["actionToken"]}
            table.say(ANN, "complete_action", "ann", **done)
    table.say(ANN, "award_score", "studio", points=3, reason="bench")
    table.say(ANN, "award_experience", "studio", amount=3, reason="bench")
    table.say(ANN, "grant_currency", "studio", currency="gold", amount=500, reason="bench")
    table.say(ANN, "abandon_quest", "ann", quest="weekly_glory")
    inbox = table.actor(ANN).inbox[-3:]  # type: ignore[attr-defined]
    table.say(ANN, "mark_read", "ann", ids=[message.id for message in inbox])
    table.say(ANN, "delete_messages", "ann", ids=[message.id for message in inbox])


def _stack(table: Table, player: Address, item: str) -> str:
    bag: dict[str, Any] = table.actor(player).bag  # type: ignore[attr-defined]
    return next((stack_id for stack_id, stack in bag.items() if stack.item == item), "none")


def _tidy(table: Table) -> None:
    """Throw the small things away before a bag is so full that what is given waits beside it."""
    for player in (ANN, BEN):
        bag: dict[str, Any] = table.actor(player).bag  # type: ignore[attr-defined]
        if len(bag) > _BAG_TIDY_MAX:
            for stack_id in [stack_id for stack_id, stack in bag.items() if stack.quantity > 1]:
                table.say(player, "discard_items", player.key, stackId=stack_id)


def _carry(table: Table) -> None:
    table.say(ANN, "award_items", "studio", items={"herbal_tea": 3, "coal": 5}, reason="bench")
    table.say(ANN, "use_item", "ann", stackId=_stack(table, ANN, "herbal_tea"))
    table.say(ANN, "equip", "ann", stackId=_stack(table, ANN, "iron_sword"))
    coal = _stack(table, ANN, "coal")
    part = table.say(ANN, "split_stack", "ann", stackId=coal, quantity=2)["stackId"]
    table.say(ANN, "lock_stack", "ann", stackId=part)
    table.say(ANN, "lock_stack", "ann", stackId=part, locked=False)
    table.say(ANN, "move_stack", "ann", stackId=part, slot=39)
    table.say(ANN, "merge_stacks", "ann", stackId=part, onto=coal)
    table.say(ANN, "discard_items", "ann", stackId=coal)
    table.say(ANN, "discard_items", "ann", stackId=_stack(table, ANN, "herbal_tea"))
    table.say(ANN, "unequip", "ann", slot="weapon")


def _make(table: Table) -> None:
    table.say(ANN, "award_items", "studio", items={"oak_log": 5}, reason="bench")
    for _ in range(3):
        table.say(ANN, "craft", "ann", recipe="oak_planks")
    last = table.say(ANN, "craft", "ann", recipe="oak_planks")
    if last:
        table.say(ANN, "cancel_craft", "ann", id=last["id"])
    table.wait(60_000)
    table.say(ANN, "discard_items", "ann", stackId=_stack(table, ANN, "oak_plank"))
    table.say(ANN, "discard_items", "ann", stackId=_stack(table, ANN, "oak_log"))


def _deal(table: Table, day: int) -> None:
    trade = Address("trade", f"deal-{day}")
    table.say(trade, "open", "ann", partner="ben")
    sword = _stack(table, ANN, "iron_sword")
    table.say(trade, "offer", "ann", goods={"currencies": {"gold": 5}, "ids": [sword]})
    table.say(trade, "offer", "ben", goods={"items": {"bandage": 1}, "currencies": {"gold": 1}})
    table.say(trade, "confirm", "ann", revision=2)
    table.say(trade, "confirm", "ben", revision=2)
    back = _stack(table, BEN, "iron_sword")
    table.say(Address("trade", f"gift-{day}"), "give", "ben", to="ann", goods={"ids": [back]})
    table.say(ANN, "award_items", "studio", items={"bandage": 1}, reason="bench")


def _belong(table: Table) -> None:
    table.say(GUILD, "deposit", "ben", currency="gold", amount=20)
    table.say(GUILD, "withdraw", "ann", currency="gold", amount=20)
    table.say(BEN, "award_items", "studio", items={"oak_log": 3}, reason="bench")
    table.say(GUILD, "store_items", "ben", items={"oak_log": 3})
    table.say(GUILD, "take_out_items", "ann", items={"oak_log": 3})
    table.say(ANN, "discard_items", "ann", stackId=_stack(table, ANN, "oak_log"))
    table.say(GUILD, "promote", "ann", player="ben")
    table.say(GUILD, "demote", "ann", player="ben")


def _talk(table: Table, day: int) -> None:
    said: dict[str, Any] = {}
    for number in range(3):
        said = table.say(ROOM, "send", "ann", text=f"{day}: hello {number}", mentions=["ben"])
        table.wait(3_000)
    table.say(ROOM, "edit", "ann", message=said["message"], text="hello, all")
    table.say(ROOM, "delete", "ann", message=said["message"])
    table.say(Address("channel", "direct.ann.ben"), "send", "ben", text=f"{day}: are you there?")
    table.say(ANN, "request_friend", "ann", player="ben")
    table.say(BEN, "accept_friend", "ben", player="ann")
    table.say(BEN, "remove_friend", "ben", player="ann")
    table.say(ANN, "mute_player", "ann", player="ben")
    table.say(ANN, "unmute_player", "ann", player="ben")
