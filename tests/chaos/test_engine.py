"""The engine itself: schedules follow from their seed, and costs are what the history says."""

import random
from pathlib import Path
from typing import cast

import pytest
import typer
from typer.testing import CliRunner, Result

from actors.runtime.placement import Placement
from schemas.address import Address
from schemas.settings import PROJECT
from scripts.chaos.command import chaos
from scripts.chaos.faults import FAULTS, USUAL, Struck
from scripts.chaos.game import Company, Game
from scripts.chaos.guests import Guest
from scripts.chaos.history import Attempt, History, Operation
from scripts.chaos.measure import measure, survived
from scripts.chaos.nemesis import FIRST_S, LAST_S, schedule
from scripts.chaos.wires import Wire
from scripts.content_files import load_content
from scripts.terminal import FAILED, USAGE
from tests.chaos.summary import Summary

HERE, THERE = Address("player", "here"), Address("player", "there")


def operation(sent: float, took: float, *, actor: Address = HERE, status: int | None = 200) -> Operation:
    answered = None if status is None else sent + took
    return Operation(actor, "award_score", f"op-{sent}", "user", [Attempt(sent, answered, status, "", 1, {})])


def slots_of(actor: Address) -> frozenset[str]:
    return frozenset({str(Placement.bucket(actor))})


def test_a_schedule_follows_from_its_seed() -> None:
    faults = sorted(FAULTS)
    assert schedule(7, 300, faults) == schedule(7, 300, faults)
    assert schedule(7, 300, faults) != schedule(8, 300, faults)


@pytest.mark.parametrize("seed", range(20))
def test_every_kind_of_fault_comes_once_at_least_and_none_too_late(seed: int) -> None:
    strokes = schedule(seed, 30, USUAL)
    assert {stroke.fault for stroke in strokes} == set(USUAL)
    assert all(FIRST_S <= stroke.at_s <= 30 - LAST_S for stroke in strokes)


def test_a_fault_costs_what_waited_for_it_and_nothing_else() -> None:
    struck = Struck("host", "host-1", at=10.0, over_at=10.0, slots=slots_of(HERE))
    quick = [operation(at / 10, 0.01) for at in range(80)]
    waiting = [operation(9.9, 0.7), operation(10.2, 0.3), operation(10.3, 0.5)]
    elsewhere = [operation(10.1, 3.0, actor=THERE)]
    after = [operation(11.0, 0.01), operation(11.2, 0.01)]
    measured = measure([*quick, *waiting, *elsewhere, *after], [struck])
    [cost] = measured.costs
    assert cost.affected == 3
    assert cost.first_s == pytest.approx(0.5)
    assert cost.all_s == pytest.approx(0.8)
    assert (cost.late, cost.errors) == (0, 0)


def test_what_was_never_answered_is_an_error_of_the_fault_that_it_met() -> None:
    struck = Struck("gateway", "gateway-1", at=10.0, over_at=10.0)
    measured = measure([operation(9.9, 0.0, status=None), operation(1.0, 0.0, status=None)], [struck])
    assert [one.outcome for one in measured.errors] == ["info", "info"]
    assert (measured.costs[0].errors, measured.costs[0].late) == (1, 1)


@pytest.mark.parametrize(("kills", "said"), [(2, "too few"), (20, "below 15 %"), (300, "below 1 %")])
def test_kills_survived_bound_the_failure_rate(kills: int, said: str) -> None:
    assert said in survived(kills)


def test_an_unknown_fault_is_refused_with_those_that_there_are() -> None:
    said = called("--faults", "volcano")
    assert said.exit_code == USAGE
    assert "volcano" in said.output
    assert "host-pause" in said.output


def test_without_a_greenroom_nothing_is_struck(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREENROOM_DATA", str(tmp_path))
    said = called("--yes", "--json")
    assert said.exit_code == FAILED
    assert "No Greenroom serves" in said.output


def test_players_play_what_the_content_has() -> None:
    content = load_content(PROJECT / "content").model_dump(mode="json")
    game = Game.of(content)
    assert (game.action, game.currency, game.guild_cost, game.quests) == ("practice", "gold", 100, True)
    assert not [name for name in game.goods if content["items"][name]["bound"] or content["items"][name]["unique"]]
    assert all(content["items"][name]["unique"] for name in game.gear)
    made = {name for recipe in game.recipes for name in content["recipes"][recipe]["ingredients"]}
    assert made
    assert made <= set(game.goods)
    assert "lobby" in game.rooms


def test_a_game_without_items_guilds_and_rooms_is_played_without_them() -> None:
    game = Game.of({"actions": {}, "currencies": {}})
    assert game == Game(guild_cost=0)
    given = ("name", "user", cast(Wire, None), cast(History, None), random.Random(1), 1.0)
    guest = Guest(*given, game=game, company=Company(guests=["user", "another"]))
    assert [deed.__name__ for deed in guest._deeds] == ["_look"]


def test_what_the_game_refuses_is_no_fault_of_the_server() -> None:
    refused = [Attempt(1.0, 1.1, status, code) for status, code in ((409, "items_missing"), (403, "not_a_member"))]
    assert all(attempt.by_the_game for attempt in refused)
    others = [Attempt(1.0, 1.1, status, code) for status, code in ((503, "UNAVAILABLE"), (422, "OP_REUSED"), (200, ""))]
    assert not any(attempt.by_the_game for attempt in others)


def test_a_session_writes_what_it_measured() -> None:
    summary = Summary(tests=[("test_x.py::test_that_it_holds", "passed", 12.3)])
    summary.note("RT-14", "p99 1.2 s")
    told = summary.written()
    assert "| RT-14 | p99 1.2 s |" in told
    assert "| `test_x.py::test_that_it_holds` | passed | 12 |" in told


def called(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(chaos)
    return CliRunner().invoke(app, list(arguments))
