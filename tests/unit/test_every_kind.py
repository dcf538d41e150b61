"""Whatever is said to an actor of any kind, in any order: it decides or refuses, and a replay gives the same state."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json, to_json

from actors.core import SYSTEM, Actor, Command, Outcome, Reply, Tell, Turn, answer, decide, pack_event, play
from schemas import limits
from schemas.messages import pack, unpack
from schemas.problems import Refusal
from tests.unit.stage import START_MS, catalog, starter_content

KINDS = sorted(name for name, kind in catalog().kinds.items() if kind.actor.__module__.startswith("actors."))

KEYS = {"leaderboard": "daily/0", "fraud": "0", "channel": "lobby", "guild": "red-dragons", "guild_directory": "main"}
"""Kinds whose keys must look like something; any other actor has the key `a`."""

WORDS = ["a", "b", "main", "daily", "teams", "gold", "gems", "quick_win", "boss_kill", "practice", "server", "é"]
NUMBERS = [0, 1, 2, 19_675, 20_717, START_MS, limits.INTEGER_MAX, -1]
STACK = {"stackId": "a"}
SLOT = {**STACK, "slot": 7}
ONTO = {**STACK, "onto": "a"}
ENDED = {"until": START_MS + 10**12}


def granted(**items: int) -> dict[str, Any]:
    return {"items": items, "reason": "a"}


TOME = granted(tome_of_frost=1)
CLAIM = {"guild": "a", "founding": "a", "name": "abc"}
FOUND = [
    ("create", {"name": "abc"}),
    ("answer_claim", {"founding": "a"}),
    ("found", {"founding": "a", "player": "a", "username": "a"}),
]
B = {"player": "b"}
ENTRY = {"player": "b", "ticket": "a", "name": "b"}
GOLD = {"currency": "gold", "amount": 1}
STAY = {"guild": "a", "name": "a", "ticket": "a"}
MILL = {"territory": "old_mill"}
WOOD = {"items": {"oak_log": 1}}
STORED = {"move": "a", **B, **WOOD, "lots": []}
OFFER: tuple[str, dict[str, Any]] = ("offer", {"goods": {"items": {}, "ids": [], "currencies": {"gold": 1}}})
OPEN: tuple[str, dict[str, Any]] = ("open", {"partner": "a"})
BARGAIN: list[tuple[str, dict[str, Any]]] = [OPEN, OPEN, OFFER, OFFER]
AGREED = [*BARGAIN, ("confirm", {"revision": 2}), ("confirm", {"revision": 2})]
SCRIPTS: dict[str, list[list[tuple[str, dict[str, Any]]]]] = {
    "player": [
        [("start_action", {"type": "boss_kill"}), ("complete_action", {"actionId": "a", "actionToken": "a"})],
        [("start_quest", {"quest": "daily_wins"}), ("abandon_quest", {"quest": "daily_wins"})],
        [
            ("start_quest", {"quest": "daily_hunt"}),
            ("start_action", {"type": "boss_kill"}),
            ("complete_action", {"actionId": "a", "actionToken": "a"}),
            ("complete_quest", {"quest": "daily_hunt"}),
        ],
        [("request_token", {}), ("increment_score", {"actionToken": "a"})],
        [("generate_action", {}), ("update_score", {"actionId": "a", "hash": "a", "timestamp": 0})],
        [
            ("grant_items", granted(wooden_club=1)),
            ("equip", STACK),
            ("unequip", {"slot": "weapon"}),
            ("move_stack", SLOT),
        ],
        [("grant_items", granted(bread=3)), ("split_stack", {**STACK, "quantity": 1}), ("merge_stacks", ONTO)],
        [("grant_items", granted(herbal_tea=2)), ("use_item", STACK), ("lock_stack", STACK), ("end_effects", ENDED)],
        [("grant_items", granted(hunters_notes=9)), ("use_item", STACK), ("discard_items", STACK), ("claim_items", {})],
        [("grant_items", granted(iron_sword=60)), ("discard_items", STACK), ("claim_items", {})],
        [("grant_items", granted(oak_log=1)), ("craft", {"recipe": "wooden_club"}), ("finish_craft", {"id": "a"})],
        [("grant_items", granted(oak_log=1)), ("craft", {"recipe": "wooden_club"}), ("cancel_craft", {"id": "a"})],
        [("award_experience", {"amount": 30_000, "reason": "a"}), ("grant_items", TOME), ("use_item", STACK)],
        [("notify", {"template": "a"}), ("mark_read", {"ids": ["a"]}), ("delete_messages", {"ids": ["a"]})],
        [("block_player", B), ("unblock_player", B), ("mute_player", B), ("unmute_player", B), ("request_friend", B)],
        [("enter_guild", STAY), ("exit_guild", {**STAY, "because": "left"}), ("credit", {**GOLD, "reason": "a"})],
    ],
    "channel": [
        [("join", {}), ("send", {"text": "a"}), ("report_message", {"message": 1, "reason": "a"})],
        [("join", {}), ("send", {"text": "a"}), ("delete", {"message": 1}), ("leave", {})],
        [("join", {}), ("send", {"text": "a"}), ("edit", {"message": 1, "text": "b"})],
        [("silence", {**B, "minutes": 1, "reason": "a"}), ("shut", {"user": "b", "closed": True, "number": 1})],
        [("pass", {"user": "b", "name": "b", "inside": True, "number": 1})],
    ],
    "guild": [
        [*FOUND, ("join", {}), ("confirm_entry", ENTRY), ("promote", B), ("transfer_leadership", B), ("kick", B)],
        [*FOUND, ("join", {}), ("cancel_entry", ENTRY), ("describe", {"open": False}), ("join", {}), ("join", {})],
        [
            *FOUND,
            ("receive_deposit", {"deposit": "a", **B, "name": "b", **GOLD}),
            ("withdraw", GOLD),
            ("withdraw", GOLD),
        ],
        [*FOUND, ("deposit", GOLD), ("deposit", GOLD), ("invite", B), ("invite", B), ("revoke_invitation", B)],
        [*FOUND, ("claim_territory", MILL), ("contest_territory", {**MILL, "by": "b"}), ("lose_territory", MILL)],
        [*FOUND, ("claim_territory", MILL), ("collect_income", {**MILL, "due": 0}), ("disband", {}), ("disband", {})],
        [*FOUND, ("receive_items", STORED), ("take_out_items", WOOD), ("take_out_items", WOOD)],
        [*FOUND[:2], ("fail_founding", {"founding": "a", "because": "balance_too_low"})],
    ],
    "trade": [
        [*AGREED, ("deliver", {"by": "a", "held": {}}), ("deliver", {"by": "b", "held": {}})],
        [*AGREED, ("deliver", {"by": "a", "held": {}, "because": "a"}), ("deliver", {"by": "b", "held": {}})],
        [*BARGAIN, ("cancel", {}), ("cancel", {})],
    ],
    "guild_directory": [
        [("claim_name", CLAIM), ("list_guild", {**CLAIM, "level": 2, "open": True, "members": 3, "revision": 1})],
        [("claim_name", CLAIM), ("release_name", {"guild": "a", "founding": "a"})],
    ],
}
"""What chance alone would hardly ever say; the fields are filled in with what replies told."""
CALLERS: dict[str, tuple[str, ...]] = {"guild": ("a", "b", "a", "main"), "trade": ("a", "b")}
"""Who says it, one after the other, to kinds that tell their callers apart."""
VERDICT = {"standing": "clear", "suspicion": 0, "warning": None, "halved_until": 0, "refused": False}
INTRODUCTION = {"userId": "a", "username": "a"}
ANSWERS: dict[str, dict[str, Any]] = {
    "guild_standing": {"name": "A", "guild": "", "balances": dict.fromkeys(("gold", "gems"), limits.INTEGER_MAX)},
    "name_standing": {"holder": ""},
    "trade_name": {"name": "A", "room": True},
    "hand_in_standing": {"because": "", "message": ""},
}
"""What is answered to questions that neither a verdict nor an introduction answers, by name."""


class Step(NamedTuple):
    """A command, when after the one before, whether its consult is answered, and whether it repeats what was told."""

    name: str
    fields: dict[str, Any]
    wait_s: int
    answered: bool
    recalls: bool


def _values(schema: dict[str, Any], definitions: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that fit the JSON schema more or less; those that do not are refused by the message."""
    if "$ref" in schema:
        return _values(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in schema:
        return st.one_of([_values(option, definitions) for option in schema["anyOf"]])
    if "enum" in schema or "const" in schema:
        return st.sampled_from(schema.get("enum", [schema.get("const")]))
    kind = schema.get("type")
    if kind == "integer":
        low, high = schema.get("minimum"), schema.get("maximum")
        return st.one_of(
            st.sampled_from(NUMBERS), st.integers(low, high if high is None or low is None else min(high, low + 5))
        )
    if kind == "string":
        return st.sampled_from(WORDS)
    if kind == "boolean":
        return st.booleans()
    if kind == "array":
        return st.lists(_values(schema.get("items", {}), definitions), min_size=schema.get("minItems", 0), max_size=3)
    if kind == "object" and "properties" in schema:
        return _object(schema, definitions)
    if kind == "object":
        return st.dictionaries(
            st.sampled_from(WORDS), _values(_described(schema.get("additionalProperties")), definitions), max_size=3
        )
    if kind == "null":
        return st.none()
    return st.one_of(st.sampled_from(WORDS), st.sampled_from(NUMBERS))


def _described(schema: Any) -> dict[str, Any]:
    """A schema, where `true` may stand for anything."""
    return schema if isinstance(schema, dict) else {}


def _object(schema: dict[str, Any], definitions: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    fields = {name: _values(field, definitions) for name, field in schema.get("properties", {}).items()}
    required = set(schema.get("required", []))
    return st.fixed_dictionaries(
        {name: values for name, values in fields.items() if name in required},
        optional={name: values for name, values in fields.items() if name not in required},
    )


def _messages(kind: str, shelf: str) -> st.SearchStrategy[tuple[str, dict[str, Any]]]:
    found = []
    for name, message in getattr(catalog().kind(kind), shelf).items():
        schema = message.model_json_schema(by_alias=True)
        found.append(st.tuples(st.just(name), _object(schema, schema.get("$defs", {}))))
    return st.one_of(found)


def _scripted(script: list[tuple[str, dict[str, Any]]]) -> list[Step]:
    return [Step(name, fields, 0, True, True) for name, fields in script]


def _steps(kind: str) -> st.SearchStrategy[list[Step]]:
    seconds = st.sampled_from([0, 1, 61, 4_000, 90_000])
    steps = st.tuples(_messages(kind, "commands"), seconds, st.booleans(), st.booleans())
    scripts = [st.just(_scripted(script)) for script in SCRIPTS.get(kind, [])]
    # As likely as all scripts together; one strategy said twice would count once.
    singles = [steps.map(lambda step: [Step(*step[0], *step[1:])]) for _ in range(max(1, len(scripts)))]
    return st.lists(st.one_of([*singles, *scripts]), max_size=30).map(
        lambda parts: [step for part in parts for step in part]
    )


def _turn(kind: str, at: int, number: int) -> Turn:
    callers = CALLERS.get(kind, ("",))
    caller = SYSTEM._replace(user=callers[number % len(callers)])
    return Turn(caller, at, starter_content(), f"op{number}", number, b"secret", KEYS.get(kind, "a"))


class Trial:
    """An actor that exists, what happened to it, and what its replies said."""

    def __init__(self, kind: str) -> None:
        self.kind = catalog().kind(kind)
        self.actor: Actor = self.kind.actor()
        self.journal: list[Any] = []
        self.at = START_MS
        self.turns = 0
        self.told: dict[str, Any] = {}
        for name, command in sorted(self.kind.commands.items()):
            if command.creates and not self.actor.exists():
                required = command.model_json_schema(by_alias=True).get("required", [])
                self.take(Step(name, dict.fromkeys(required, "a"), 0, False, False))

    def turn(self) -> Turn:
        self.turns += 1
        turn = _turn(self.kind.name, self.at, self.turns)
        turn.version = len(self.journal)
        return turn

    def take(self, step: Step) -> None:
        """Decide the step; when it is refused or has no events, nothing may have changed."""
        self.at += step.wait_s * 1_000
        before = self.actor.fingerprint()
        with suppress(ValidationError, Refusal):
            outcome = self._decide(step)
            assert unpack(pack(outcome.reply)) == outcome.reply
            assert outcome.events or self.actor.fingerprint() == before
            for effect in outcome.others:
                if isinstance(effect, Tell):
                    _survives_the_outbox(effect.command)
            assert not _shared(self.actor, outcome.reply)
            for event in outcome.events:
                assert not _shared(self.actor, dict(event))
                assert not _shared(self.actor, event.push())
                to_json(dict(event.push()))
                self.told |= event.model_dump(by_alias=True)
            self.told |= outcome.reply
            self.journal += [pack_event(event) for event in outcome.events]
            return
        assert self.actor.fingerprint() == before

    def _decide(self, step: Step) -> Outcome:
        fields = {name: self._recalled(name, value) if step.recalls else value for name, value in step.fields.items()}
        command = self.kind.command(step.name).model_validate(fields)
        turn = self.turn()
        consult = command.consults(self.actor, turn)
        turn.consulted = consult is not None
        while consult is not None:
            told = ANSWERS.get(consult.command.wire_name, VERDICT | INTRODUCTION)
            turn.answer = Reply(200, 0, told) if step.answered else None
            turn.earlier += (turn.answer,) if consult.then else ()
            consult = consult.then
        return decide(command, self.actor, turn)

    def _recalled(self, name: str, value: Any) -> Any:
        """What a reply or an event said under the field's name, so that tokens and ids find their way back."""
        if name == "ids" and "id" in self.told:
            return [self.told["id"]]
        bag = getattr(self.actor, "bag", None)
        if name in ("stackId", "onto") and bag:
            return list(bag)[-1 if name == "stackId" else 0]
        for known in (name, name.removesuffix("Id"), "id" if name.endswith("Id") else name):
            if known in self.told:
                return self.told[known]
        return value


def _shared(actor: Actor, told: Any) -> set[int]:
    """Lists, maps and models that are a part of the state and of what is told: they would change after they were told,
    before the change is committed."""
    return _changeable(told) & _changeable(actor)


def _changeable(value: Any) -> set[int]:
    if isinstance(value, BaseModel):
        parts = list(value.__dict__.values())
    elif isinstance(value, Mapping):
        parts = list(value.values())
    elif isinstance(value, list | tuple):
        parts = list(value)
    else:
        return set()
    found = set() if isinstance(value, tuple) else {id(value)}
    return found.union(*map(_changeable, parts))


def _survives_the_outbox(command: Command[Any]) -> None:
    assert type(command).model_validate(from_json(to_json(command.model_dump())), strict=False) == command


def _player_is_sound(actor: Any) -> None:
    assert all(0 <= balance <= limits.INTEGER_MAX for balance in actor.wallet.values())
    assert all(0 < tally.score <= limits.INTEGER_MAX for tally in actor.tallies.values())
    assert len(actor.held) <= limits.ACTIONS_HELD_MAX
    assert len(actor.used) <= limits.ACTIONS_USED_MAX
    assert len(actor.inbox) <= limits.INBOX_MAX
    assert len(actor.ledger) <= limits.LEDGER_ENTRIES_MAX
    assert not set(actor.held) & set(actor.used)
    assert len({stack.slot for stack in actor.bag.values()}) == len(actor.bag)
    assert all(stack.quantity > 0 for stack in actor.bag.values())
    assert all(gauge.value >= 0 for gauge in actor.gauges.values())
    assert len(actor.quests) <= limits.QUESTS_ACTIVE_MAX
    for name, errand in actor.quests.items():
        objectives = starter_content().quests[name].objectives
        assert all(0 < progress <= objectives[key].target for key, progress in errand.progress.items())
    for name, feat in actor.achievements.items():
        found = starter_content().achievements[name]
        assert 0 < feat.progress <= found.target
        assert len(feat.unlocked) == sum(tier.target <= feat.progress for tier in found.tiers)
    assert len(actor.waiting) <= limits.ITEMS_WAITING_MAX + limits.UNIQUES_AT_ONCE_MAX
    assert len(actor.jobs) <= limits.CRAFTING_QUEUE_MAX
    here = [*actor.bag, *actor.waiting, *(worn.id for worn in actor.worn.values())]
    assert len(here) == len(set(here))


def _board_is_sound(actor: Any) -> None:
    for ladder in actor.ladders.values():
        rows = ladder.rows()
        sign = -1 if ladder.high_first else 1
        assert rows == sorted(rows, key=lambda row: (sign * row[0], row[1], row[2]))
        assert [ladder.rank(row[2]) for row in rows] == list(range(1, len(rows) + 1))


def _detector_is_sound(actor: Any) -> None:
    assert all(suspect.suspicion >= 0 for suspect in actor.suspects.values())
    assert all(case.status in ("open", "confirmed", "dismissed") for case in actor.cases.values())


def _guild_is_sound(actor: Any) -> None:
    leaders = [member for member in actor.members.values() if member.role == "leader"]
    assert len(leaders) == (1 if actor.exists() else 0)
    assert all(0 <= balance <= limits.INTEGER_MAX for balance in actor.bank.values())
    assert not set(actor.members) & set(actor.entering)
    assert len(actor.ledger) <= limits.GUILD_LOG_MAX


SOUND: dict[str, Callable[[Any], None]] = {
    "player": _player_is_sound,
    "leaderboard": _board_is_sound,
    "fraud": _detector_is_sound,
    "guild": _guild_is_sound,
}


@pytest.mark.parametrize("kind", KINDS)
def test_any_sequence_of_commands_decides_or_refuses_and_replays_the_same(kind: str) -> None:
    seen: set[str] = set()

    @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
    @given(_steps(kind))
    def check(steps: list[Step]) -> None:
        trial = Trial(kind)
        for step in steps:
            trial.take(step)
        if kind in SOUND:
            SOUND[kind](trial.actor)
        stored = from_json(to_json(trial.journal))
        events = [trial.kind.events[name].model_validate(fields) for name, fields in stored]
        assert play(trial.kind.actor(), iter(events)).fingerprint() == trial.actor.fingerprint()
        restored = type(trial.actor).unpack_state(unpack(pack(trial.actor.pack_state())))
        assert restored.fingerprint() == trial.actor.fingerprint()
        assert pack(restored.view()) == pack(trial.actor.view())
        seen.update(name for name, _ in stored)

    for script in SCRIPTS.get(kind, []):
        # Each one once for certain: how much happens is not left to chance.
        check = example(_scripted(script))(check)
    check()
    assert len(seen) > len(catalog().kind(kind).events) // 2, "too little happened for this to mean anything"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if catalog().kind(kind).queries])
def test_any_question_is_answered_or_refused_and_changes_nothing(kind: str) -> None:
    @settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
    @given(_steps(kind), st.lists(_messages(kind, "queries"), min_size=1, max_size=5))
    def check(steps: list[Step], questions: list[tuple[str, dict[str, Any]]]) -> None:
        trial = Trial(kind)
        for step in steps:
            trial.take(step)
        before = trial.actor.fingerprint()
        for name, fields in questions:
            with suppress(ValidationError, Refusal):
                told = answer(trial.kind.queries[name].model_validate(fields), trial.actor, trial.turn())
                assert from_json(to_json(told)) == unpack(pack(told))
                assert not _shared(trial.actor, told)
        assert trial.actor.fingerprint() == before
        assert not _shared(trial.actor, trial.actor.view())

    check()


def _consulted_by(kind: str, name: str) -> set[str]:
    """Kinds that the command consulted in a number of tries."""
    found: set[str] = set()
    command = catalog().kind(kind).command(name)
    schema = command.model_json_schema(by_alias=True)

    @settings(max_examples=20, deadline=None, database=None, derandomize=True)
    @given(_object(schema, schema.get("$defs", {})))
    def ask(fields: dict[str, Any]) -> None:
        trial = Trial(kind)
        with suppress(ValidationError, Refusal):
            asked = command.model_validate(fields).consults(trial.actor, trial.turn())
            if asked is not None:
                found.add(asked.of.kind)

    ask()
    return found


def test_the_graph_of_who_consults_whom_has_no_cycle() -> None:
    consulted = {
        kind: {other for name in catalog().kind(kind).commands for other in _consulted_by(kind, name)} for kind in KINDS
    }

    def reaches(start: str, goal: str, seen: frozenset[str] = frozenset()) -> bool:
        return any(
            other == goal or (other not in seen and reaches(other, goal, seen | {other}))
            for other in consulted.get(start, ())
        )

    assert not [kind for kind in KINDS if reaches(kind, kind)]
    assert consulted["player"] == {"fraud"}
