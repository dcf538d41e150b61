"""Bags against a plain model that only counts: nothing appears or is lost, no unique item is in two places."""

from collections import Counter
from contextlib import suppress
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from actors.player.inventory import GrantItems, ItemsTaken, TakeItems
from actors.player.state import Player
from schemas import limits
from schemas.problems import Refusal
from tests.unit.crafted_world import Hero, small_stage, world
from tests.unit.test_player_machine import code_of

LOOSE = ["wood", "stone", "bread"]
UNIQUE = ["sword", "crown"]
PEOPLE = st.integers(0, 1)


class Bags(RuleBasedStateMachine):
    """Two players who get, keep, wear, make and hand on. The model knows how many of which item each one owns."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = small_stage()
        self.heroes = [Hero(self.stage, name) for name in ("alice", "bob")]
        self.owned: list[Counter[str]] = [Counter(), Counter()]
        for who, hero in enumerate(self.heroes):
            hero.given(wood=6, sword=1)
            self.owned[who].update({"wood": 6, "sword": 1})
        self.gone: set[str] = set()
        """Ids of unique items that were thrown away or used up."""

    def player(self, who: int) -> Player:
        player = self.stage.actor(self.heroes[who].address)
        assert isinstance(player, Player)
        return player

    def everywhere(self, who: int) -> list[tuple[str, str, int, bool]]:
        """All that the player has, as (id, item, quantity, unique); ingredients of work under way too."""
        player = self.player(who)
        found = [(i, stack.item, stack.quantity, stack.unique) for i, stack in player.bag.items()]
        found += [(worn.id, worn.item, 1, True) for worn in player.worn.values()]
        found += [(lot.id, lot.item, lot.quantity, bool(lot.history)) for lot in player.waiting.values()]
        for job in player.jobs.values():
            found += [(lot.id, lot.item, lot.quantity, bool(lot.history)) for lot in job.lots]
        return found

    def pick(self, who: int, number: int, least: int = 1, items: list[str] | None = None) -> str | None:
        """One of the player's stacks: of so many at least, and of these items."""
        bag = self.player(who).bag
        fitting = {i for i, stack in bag.items() if stack.quantity >= least and (not items or stack.item in items)}
        ids = sorted(fitting)
        return ids[number % len(ids)] if ids else None

    def told(self, who: int, command: str, **fields: Any) -> dict[str, Any] | None:
        """The reply, None when refused; then nothing has changed."""
        before = self.player(who).fingerprint()
        with suppress(Refusal):
            return self.heroes[who].say(command, **fields)
        assert self.player(who).fingerprint() == before
        return None

    @rule(who=PEOPLE, item=st.sampled_from(LOOSE + UNIQUE), count=st.sampled_from([1, 2, 3, 4, 5, 21]))
    def receive(self, who: int, item: str, count: int) -> None:
        grant = GrantItems(items={item: count}, reason="found")
        told = code_of(lambda: self.stage.send(self.heroes[who].address, grant))
        assert told in ("done", "bag_full")
        if told == "done":
            self.owned[who][item] += count

    @rule(who=PEOPLE, number=st.integers(0, 9), part=st.sampled_from([None, 1, 2, 7]))
    def discard(self, who: int, number: int, part: int | None) -> None:
        stack_id = self.pick(who, number)
        if stack_id is None:
            return
        stack = self.player(who).bag[stack_id]
        item, locked, quantity, unique = stack.item, stack.locked, stack.quantity, stack.unique
        told = self.told(who, "discard_items", stackId=stack_id, quantity=part)
        assert (told is None) == (locked or (part or 1) > quantity)
        if told is not None:
            self.owned[who][item] -= part or quantity
            if unique:
                self.gone.add(stack_id)

    @rule(who=PEOPLE, number=st.integers(0, 9), locked=st.booleans())
    def lock(self, who: int, number: int, locked: bool) -> None:
        if stack_id := self.pick(who, number):
            self.told(who, "lock_stack", stackId=stack_id, locked=locked)

    @rule(who=PEOPLE, number=st.integers(0, 9), slot=st.integers(0, 4))
    def move(self, who: int, number: int, slot: int) -> None:
        if stack_id := self.pick(who, number):
            assert (self.told(who, "move_stack", stackId=stack_id, slot=slot) is None) == (slot == 4)

    @rule(who=PEOPLE, number=st.integers(0, 9), quantity=st.integers(1, 4))
    def split(self, who: int, number: int, quantity: int) -> None:
        if stack_id := self.pick(who, number, least=2):
            self.told(who, "split_stack", stackId=stack_id, quantity=quantity)

    @rule(who=PEOPLE, number=st.integers(0, 9), other=st.integers(0, 9))
    def merge(self, who: int, number: int, other: int) -> None:
        stack_id = self.pick(who, number, items=LOOSE)
        if stack_id is None:
            return
        onto = self.pick(who, other, items=[self.player(who).bag[stack_id].item])
        if onto is not None:
            self.told(who, "merge_stacks", stackId=stack_id, onto=onto)

    @rule(who=PEOPLE, number=st.integers(0, 9), slot=st.sampled_from([None, "hand", "other_hand"]))
    def equip(self, who: int, number: int, slot: str | None) -> None:
        if stack_id := self.pick(who, number, items=UNIQUE):
            self.told(who, "equip", stackId=stack_id, slot=slot)

    @rule(who=PEOPLE, slot=st.sampled_from(["hand", "other_hand"]))
    def unequip(self, who: int, slot: str) -> None:
        worn = slot in self.player(who).worn
        assert self.told(who, "unequip", slot=slot) is None or worn

    @rule(who=PEOPLE)
    def claim(self, who: int) -> None:
        self.told(who, "claim_items")

    @rule(who=PEOPLE, item=st.sampled_from(LOOSE), count=st.integers(1, 12), number=st.integers(0, 9))
    def hand_on(self, who: int, item: str, count: int, number: int) -> None:
        """So many of an item, and one stack whole, go to the other player."""
        stack_id = self.pick(who, number)
        take = TakeItems(items={item: count}, ids=[stack_id] if stack_id else [], reason="gift")
        told = code_of(lambda: self.stage.send(self.heroes[who].address, take))
        assert told in ("done", "items_missing", "item_locked")
        if told != "done":
            return
        event = ItemsTaken.model_validate(self.stage.journal[self.heroes[who].address][-1][1])
        self.owned[who] -= Counter(event.items)
        gift = GrantItems(items=event.loose, lots=event.uniques, reason="gift", by=self.heroes[who].user)
        told = code_of(lambda: self.stage.send(self.heroes[1 - who].address, gift))
        assert told in ("done", "bag_full")
        if told == "done":
            self.owned[1 - who] += Counter(event.items)
            return
        self.gone.update(lot.id for lot in event.uniques)

    @rule(who=PEOPLE, recipe=st.sampled_from(["stone", "gamble"]))
    def craft(self, who: int, recipe: str) -> None:
        self.told(who, "craft", recipe=recipe)

    @precondition(lambda self: any(self.player(who).jobs for who in (0, 1)))
    @rule(who=PEOPLE, number=st.integers(0, 9))
    def cancel(self, who: int, number: int) -> None:
        jobs = sorted(self.player(who).jobs)
        if jobs:
            self.told(who, "cancel_craft", id=jobs[number % len(jobs)])

    @rule(seconds=st.sampled_from([1, 5, 10]))
    def wait(self, seconds: int) -> None:
        done = [len(self.stage.journal[hero.address]) for hero in self.heroes]
        self.stage.wait(seconds)
        for who, hero in enumerate(self.heroes):
            for name, fields in self.stage.journal[hero.address][done[who] :]:
                if name in ("crafted", "craft_failed"):
                    self.owned[who] -= Counter(world().recipes[fields["recipe"]].ingredients)
                    self.owned[who] += Counter(fields["items"])

    @invariant()
    def each_has_what_the_model_says(self) -> None:
        for who in (0, 1):
            counts: Counter[str] = Counter()
            for _, item, quantity, _ in self.everywhere(who):
                assert quantity > 0
                counts[item] += quantity
            assert counts == +self.owned[who]

    @invariant()
    def no_unique_item_is_in_two_places(self) -> None:
        ids = [lot_id for who in (0, 1) for lot_id, _, _, unique in self.everywhere(who) if unique]
        assert len(ids) == len(set(ids))
        assert not self.gone & set(ids)

    @invariant()
    def bags_keep_their_bounds(self) -> None:
        for who in (0, 1):
            stacks = list(self.player(who).bag.values())
            slots = [stack.slot for stack in stacks]
            assert len(slots) == len(set(slots))
            assert all(0 <= slot < world().character.bag_slots for slot in slots)
            assert all(stack.quantity <= world().items[stack.item].stack for stack in stacks)
            assert len(self.player(who).waiting) <= limits.ITEMS_WAITING_MAX + 20

    def teardown(self) -> None:
        self.stage.check()


TestBags = Bags.TestCase
TestBags.settings = settings(max_examples=40, stateful_step_count=50, deadline=None)
