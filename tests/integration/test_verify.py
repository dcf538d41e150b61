"""`greenroom verify` finds every corruption that is planted in a real journal, and nothing in one that is whole."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from actors.runtime.database import Connection
from schemas.address import player
from schemas.messages import pack, unpack
from scripts.verify import tells
from tests.harness import Greenroom, Servers
from tests.integration.played import (
    CUP,
    DAILY,
    MAIN,
    TEAMS,
    again,
    forget_checkpoint,
    insert,
    newest,
    play,
    remove_turn,
    rewrite,
    tampered,
    verified,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANN, BEA, CLEO = player("ann"), player("bea"), player("cleo")
AWARDED, PLACED, CHANGED = '%["score_awarded"%"board":"main"%', '%["placed"%', '%["wallet_changed"%'
Corruption = Callable[[Connection], Awaitable[None]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def greenroom(servers: Servers) -> AsyncIterator[Greenroom]:
    async with Greenroom(servers, tell_attempts_max=2) as greenroom:
        await play(greenroom)
        await greenroom.stop_host(greenroom.homes[0])
        yield greenroom


async def test_a_world_that_is_whole_gives_no_finding(greenroom: Greenroom) -> None:
    async with greenroom.database.transaction() as connection:
        report = await verified(connection, strict=True)
    assert report.findings == []
    assert report.remarks == []
    assert set(report.looked) == {"K1", "K4", "K5", "K6", "K7", "K8", "K9", "K14", "P8"}
    assert "1 in the dead letters" in report.looked["K9"]


# -- histories (K4) and what they come to (K5) ------------------------------------------------------------------------


async def gap(connection: Connection) -> None:
    await remove_turn(connection, await newest(connection, ANN, '%"points":4%'))


async def two_writers_in_one_turn(connection: Connection) -> None:
    long = await newest(connection, CUP, '%["part_closed"%["period_rewarded"%')
    assert long["length"] == 2
    await insert(connection, {**long, "version": long["version"] + 1, "length": 1, "op": "zombie", "events": []})


async def unknown_run(connection: Connection) -> None:
    await rewrite(connection, await newest(connection, BEA), lambda turn: turn.update(run=4711))


async def run_without_a_lease(connection: Connection) -> None:
    await connection.execute("UPDATE host SET retired = true, lease = lease - interval '1 day'")


async def wrong_length(connection: Connection) -> None:
    await rewrite(connection, await newest(connection, BEA), lambda turn: turn["events"].append(turn["events"][0]))


async def unknown_event(connection: Connection) -> None:
    await rewrite(connection, await newest(connection, BEA), lambda turn: turn["events"][0].__setitem__(0, "exploded"))


async def turn_that_is_none(connection: Connection) -> None:
    turn = await newest(connection, BEA)
    await rewrite(connection, {**turn, "turn": [], "events": [[]]}, lambda turn: None)


async def no_unique_ops(connection: Connection) -> None:
    await connection.execute("ALTER TABLE journal DROP CONSTRAINT journal_op")


async def corrupt_checkpoint(connection: Connection) -> None:
    sql = "UPDATE checkpoint SET state = set_byte(state, 9, get_byte(state, 9) # 1) WHERE kind = $1 AND key = $2"
    assert await connection.execute(sql, *ANN) == "UPDATE 1"


async def checkpoint_of_another_state(connection: Connection) -> None:
    state = unpack(await connection.fetch_value("SELECT state FROM checkpoint WHERE kind = $1 AND key = $2", *ANN))
    state["wallet"]["gold"] += 1
    packed = pack(state)
    sql = "UPDATE checkpoint SET state = $3, checksum = $4 WHERE kind = $1 AND key = $2"
    await connection.execute(sql, *ANN, packed, hashlib.blake2b(packed, digest_size=16).digest())


async def checkpoint_that_is_no_state(connection: Connection) -> None:
    packed = pack([1, 2, 3])
    sql = "UPDATE checkpoint SET state = $3, checksum = $4 WHERE kind = $1 AND key = $2"
    await connection.execute(sql, *MAIN, packed, hashlib.blake2b(packed, digest_size=16).digest())


async def checkpoint_ahead_of_the_journal(connection: Connection) -> None:
    await connection.execute("UPDATE checkpoint SET version = version + 1 WHERE kind = $1 AND key = $2", *ANN)


async def checkpoint_within_a_turn(connection: Connection) -> None:
    long = await newest(connection, CUP, '%["part_closed"%["period_rewarded"%')
    sql = "UPDATE checkpoint SET version = $3 WHERE kind = $1 AND key = $2"
    assert await connection.execute(sql, *CUP, long["version"]) == "UPDATE 1"


async def checkpoint_without_a_history(connection: Connection) -> None:
    await connection.execute("UPDATE checkpoint SET key = 'annabel' WHERE kind = $1 AND key = $2", *ANN)


async def lost_incident(connection: Connection) -> None:
    await connection.execute("DELETE FROM incident WHERE player = 'cleo'")


HISTORIES: list[tuple[Corruption, str, object, str]] = [
    (gap, "K4", ANN, " missing"),
    (two_writers_in_one_turn, "K4", CUP, "two writers in one turn"),
    (unknown_run, "K4", BEA, "run 4711, which no host ever had"),
    (run_without_a_lease, "K4", "fraud:0", "had lost its lease"),
    (wrong_length, "K4", BEA, "holds 2 events instead of 1"),
    (unknown_event, "K4", BEA, "no code knows its event 'exploded'"),
    (turn_that_is_none, "K4", BEA, "is not what a turn looks like"),
    (no_unique_ops, "K4", "journal", "lost its constraint journal_op"),
    (corrupt_checkpoint, "K5", ANN, "its checksum is another"),
    (checkpoint_of_another_state, "K5", ANN, "differs from its history in wallet"),
    (checkpoint_that_is_no_state, "K5", MAIN, "cannot be read"),
    (checkpoint_ahead_of_the_journal, "K5", ANN, "ahead of its journal"),
    (checkpoint_within_a_turn, "K5", CUP, "within the turn that ends"),
    (checkpoint_without_a_history, "K5", "player:annabel", "no history at all"),
    (lost_incident, "K5", "fraud:0", "is not in the table"),
]


# -- sums (K6, K8) and tokens (K14) -----------------------------------------------------------------------------------


async def changed_event_amount(connection: Connection) -> None:
    turn = await newest(connection, ANN, AWARDED)
    await rewrite(connection, turn, lambda turn: turn["events"][0][1].update(points=70))


async def turn_doubled_under_another_op(connection: Connection) -> None:
    await again(connection, await newest(connection, BEA, AWARDED), "another-op")


async def missing_board_entry(connection: Connection) -> None:
    turn = await newest(connection, TEAMS, '%"subject":"reds"%')
    await rewrite(connection, turn, lambda turn: turn["events"][-1][1].update(subject="greens"))


async def wrong_wallet_sum(connection: Connection) -> None:
    turn = await newest(connection, ANN, '%"a hat"%')
    await rewrite(connection, turn, lambda turn: turn["events"][0][1].update(change=-3))


async def wrong_credit_with_a_right_balance(connection: Connection) -> None:
    turn = await newest(connection, ANN, "%cup, rank%")
    credited = next(fields for name, fields in turn["events"] if name == "wallet_changed")
    credited.update(change=credited["change"] + 5, balance=credited["balance"] + 5)
    await rewrite(connection, turn, lambda turn: None)


async def token_used_twice(connection: Connection) -> None:
    await again(connection, await newest(connection, CLEO, '%["action_completed"%'), "another-op")


async def token_of_nobody(connection: Connection) -> None:
    started = await newest(connection, CLEO, '%["action_started"%')
    await rewrite(connection, started, lambda turn: turn["events"][0][1].update(id="another"))


async def score_beyond_its_bound(connection: Connection) -> None:
    turn = await newest(connection, BEA, AWARDED)
    await rewrite(connection, turn, lambda turn: turn["events"][0][1].update(scores={"main": 2**53}))


SUMS: list[tuple[Corruption, str, object, str]] = [
    (changed_event_amount, "K8", ANN, "5 + 70 on main became 12 instead of 75"),
    (changed_event_amount, "K8", MAIN, "ann has 12 on main, the score events of player:ann give it 75"),
    (turn_doubled_under_another_op, "K8", BEA, "7 + 5 on main became 7 instead of 12"),
    (missing_board_entry, "K8", TEAMS, "greens has 7 on teams (period 0), which no score event explains"),
    (wrong_wallet_sum, "K6", ANN, "100 -3 gold became 70 instead of 97"),
    (wrong_credit_with_a_right_balance, "K6", "currency gold", "25 arrived and 0 are under way or dead: +5"),
    (token_used_twice, "K14", CLEO, "was used at version"),
    (token_of_nobody, "K14", CLEO, "never given to this player"),
    (score_beyond_its_bound, "P8", BEA, "points on main, 9,007,199,254,740,991 at most"),
]


# -- messages (K9) and accounts (K1) ----------------------------------------------------------------------------------


async def lost_outbox_row(connection: Connection) -> None:
    """What the database would be if the row had gone before its parcel was played."""
    await remove_turn(connection, await newest(connection, MAIN, PLACED))
    await forget_checkpoint(connection, MAIN)


async def doubled_placement(connection: Connection) -> None:
    await again(connection, await newest(connection, MAIN, PLACED), "parcel:1:999999")


async def placement_that_nobody_sent(connection: Connection) -> None:
    turn = await newest(connection, MAIN, PLACED)
    turn["turn"]["tells"] = [[f"player:ann/1/{number}", name] for number, (_, name) in enumerate(turn["turn"]["tells"])]
    await again(connection, turn, "parcel:1:999999")


async def changed_placement(connection: Connection) -> None:
    turn = await newest(connection, DAILY, PLACED)
    await rewrite(connection, turn, lambda turn: turn["events"][-1][1].update(points=1_000))


async def dead_letter_of_a_played_message(connection: Connection) -> None:
    turn = await newest(connection, MAIN, PLACED)
    sql = """
        INSERT INTO dead_letter (id, kind, key, tell, reason, attempts)
        VALUES ($1, $2, $3, jsonb_build_array($1::text, 'place', '{}'::jsonb), 'closed', 6)
    """
    await connection.execute(sql, turn["turn"]["tells"][0][0], *MAIN)


async def outbox_row_of_a_played_message(connection: Connection) -> None:
    turn = await newest(connection, MAIN, PLACED)
    sql = """
        INSERT INTO outbox (id, slot, kind, key, tells)
        VALUES ('parcel:1:999999', 0, $2, $3, json_build_array(json_build_array($1::text, 'place', '{}'::json)))
    """
    await connection.execute(sql, turn["turn"]["tells"][0][0], *MAIN)


async def outbox_row_that_is_none(connection: Connection) -> None:
    sql = "INSERT INTO outbox (id, slot, kind, key, tells) VALUES ('parcel:1:999999', 0, $1, $2, '[[1]]')"
    await connection.execute(sql, *MAIN)


async def lost_dead_letter(connection: Connection) -> None:
    assert await connection.execute("DELETE FROM dead_letter") == "DELETE 1"


async def lost_reward(connection: Connection) -> None:
    await remove_turn(connection, await newest(connection, ANN, "%cup, rank%"))
    await forget_checkpoint(connection, ANN)


async def lost_reminder(connection: Connection) -> None:
    assert await connection.execute("DELETE FROM reminder WHERE kind = $1 AND key = $2", *DAILY) == "DELETE 1"


async def account_without_its_player(connection: Connection) -> None:
    await connection.execute("DELETE FROM journal WHERE kind = $1 AND key = $2", *BEA)
    await forget_checkpoint(connection, BEA)


MESSAGES: list[tuple[Corruption, str, object, str]] = [
    (lost_outbox_row, "K9", CLEO, "was sent, and is neither played, nor in the outbox or the dead letters"),
    (lost_outbox_row, "K8", MAIN, "cleo has 9 on main, the score events of player:cleo give it 59"),
    (doubled_placement, "K9", MAIN, "was played 2 times"),
    (doubled_placement, "K8", MAIN, "cleo has 109 on main"),
    (placement_that_nobody_sent, "K9", MAIN, "its sender is player:ann, whose turn does not send it"),
    (changed_placement, "K9", DAILY, "as another than was sent"),
    (dead_letter_of_a_played_message, "K9", MAIN, "is in the dead letters"),
    (outbox_row_of_a_played_message, "K9", MAIN, "is in the outbox"),
    (outbox_row_that_is_none, "K9", MAIN, "a row of the outbox for it cannot be read"),
    (lost_dead_letter, "K9", "fraud:0", "(notify) to player:nobody was sent"),
    (lost_reward, "K9", CUP, "(credit) to player:ann was sent"),
    (lost_reminder, "K9", DAILY, "is gone before it was due"),
    (account_without_its_player, "K1", BEA, "has no history"),
]


@pytest.mark.parametrize(
    ("corrupt", "invariant", "actor", "says"),
    [pytest.param(*case, id=f"{case[0].__name__}-{case[1]}-{case[2]}") for case in (*HISTORIES, *SUMS, *MESSAGES)],
)
async def test_what_is_wrong_is_found_and_named(
    greenroom: Greenroom, corrupt: Corruption, invariant: str, actor: object, says: str
) -> None:
    async with tampered(greenroom) as connection:
        await corrupt(connection)
        report = await verified(connection)
    told = [one.what for one in report.findings if (one.invariant, one.actor) == (invariant, str(actor))]
    assert any(says in what for what in told), report.findings
    assert not report.ok
    assert report.verdict(invariant) == "broken"
    assert all(one.todo for one in report.findings)


# -- what is right though it looks odd --------------------------------------------------------------------------------


async def test_a_dead_letter_that_an_operator_gave_up_is_accounted_for(greenroom: Greenroom) -> None:
    async with tampered(greenroom) as connection:
        row = await connection.fetch_row("DELETE FROM dead_letter RETURNING kind, key, tell")
        assert row is not None
        details = b'{"tell": ' + row["tell"] + b"}"
        sql = "INSERT INTO audit (actor, role, action, subject, details) VALUES ('x', 'x', $1, $2, $3)"
        await connection.execute(sql, "dead_letter.discard", f"{row['kind']}:{row['key']}", details)
        report = await verified(connection)
    assert report.findings == []
    assert "1 in what operators gave up" in report.looked["K9"]


async def test_an_assessment_that_came_late_and_found_nothing_leaves_no_trace(greenroom: Greenroom) -> None:
    """An unassessed completion tells the detector afterwards; what the detector then thinks is nowhere written."""
    async with tampered(greenroom) as connection:
        turn = await newest(connection, CLEO, '%["action_completed"%')
        turn["turn"]["consulted"] = None
        turn["events"][0][1]["unassessed"] = True
        await rewrite(connection, turn, lambda turn: None)
        await forget_checkpoint(connection, CLEO)
        report = await verified(connection)
    assert report.findings == []
    assert "1 assessments that came late" in report.unjudged["K9"]


async def test_turns_under_content_that_is_gone_are_not_decided_again(greenroom: Greenroom) -> None:
    async with tampered(greenroom) as connection:
        await connection.execute("UPDATE journal SET turn = jsonb_set(turn::jsonb, '{content}', '999')::json")
        report = await verified(connection)
    assert report.findings == []
    assert "messages of turns that today's rules do not explain" in report.unjudged["K9"]
    assert "teams" in report.unjudged["K8"]


async def test_when_much_is_wrong_a_part_of_it_is_looked_at(
    greenroom: Greenroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tells, "LOOKED_INTO_MAX", 2)
    async with tampered(greenroom) as connection:
        await connection.execute("DELETE FROM journal WHERE kind = $1 AND key = $2", *MAIN)
        await forget_checkpoint(connection, MAIN)
        report = await verified(connection)
    # Eight placements are lost, and one that was rightly without effect must be looked at as well.
    assert 1 <= report.counts["K9"] <= 2
    assert "22% of it was looked at" in report.unjudged["K9"]
