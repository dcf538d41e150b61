"""A checkpoint that is not what was stored counts as none: the actor is the same by its journal alone (RT-12)."""

import hashlib
import random
from functools import cache

import pytest
from pydantic_core import to_json

from actors.core import Actor, play
from actors.runtime.journal import Checkpoint, StoredTurn
from actors.runtime.waker import HistoryBroken, play_tail, restore
from schemas.address import Address, player
from schemas.messages import pack
from tests.unit.stage import Person, Stage, catalog

ADDRESSES = (player("alice"), Address("leaderboard", "main/0"), Address("fraud", "0"))
FLIPS = 200


@cache
def played() -> Stage:
    stage = Stage()
    people = [Person(stage, name) for name in ("alice", "bob")]
    for number in range(12):
        people[number % 2].award(1 + number, attributes={"team": "reds"})
        people[0].do("boss_kill", took_s=0.01 if number == 3 else 3.0 + number)
        stage.wait(30)
    return stage


@cache
def turns(address: Address) -> tuple[StoredTurn, ...]:
    """The journal of the actor, a turn for each event."""
    journal = played().journal[address]
    return tuple(
        StoredTurn(version, 1, f"op{version}", 1, b"{}", to_json([event])) for version, event in enumerate(journal, 1)
    )


def at(address: Address, version: int) -> Actor:
    kind = catalog().kind(address.kind)
    events = [kind.events[name].model_validate(fields) for name, fields in played().journal[address][:version]]
    return play(kind.actor(), iter(events))


def checkpoint(address: Address, version: int) -> Checkpoint:
    actor = at(address, version)
    state = pack(actor.pack_state())
    return Checkpoint(version, actor.state_version, hashlib.blake2b(state, digest_size=16).digest(), state)


def woken(address: Address, stored: Checkpoint | None) -> tuple[Actor, int]:
    """The actor as a host wakes it, and from which version on its journal was read."""
    kind = catalog().kind(address.kind)
    actor, version = restore(kind, stored, address)
    play_tail(kind, actor, version, list(turns(address)[version:]), address)
    return actor, version


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.mark.parametrize("address", ADDRESSES, ids=str)
def test_a_checkpoint_at_any_version_gives_the_same_actor(address: Address) -> None:
    whole = played().actors[address].fingerprint()
    for version in range(1, len(turns(address)) + 1):
        actor, since = woken(address, checkpoint(address, version))
        assert (actor.fingerprint(), since) == (whole, version)


@pytest.mark.parametrize("address", ADDRESSES, ids=str)
def test_a_flipped_bit_is_noticed_wherever_it_is(address: Address) -> None:
    whole = played().actors[address].fingerprint()
    dice = random.Random(f"{address}")
    stored = checkpoint(address, len(turns(address)) // 2)
    bits = range(8 * len(stored.state))
    for bit in dice.sample(bits, min(FLIPS, len(bits))):
        actor, since = woken(address, stored._replace(state=flipped(stored.state, bit)))
        assert (actor.fingerprint(), since) == (whole, 0)
    for bit in range(8 * len(stored.checksum)):
        actor, since = woken(address, stored._replace(checksum=flipped(stored.checksum, bit)))
        assert (actor.fingerprint(), since) == (whole, 0)


@pytest.mark.parametrize("address", ADDRESSES, ids=str)
def test_a_checkpoint_that_is_cut_off_is_noticed_at_any_length(address: Address) -> None:
    whole = played().actors[address].fingerprint()
    stored = checkpoint(address, len(turns(address)))
    dice = random.Random(f"cut {address}")
    for length in {0, len(stored.state) - 1, *dice.sample(range(len(stored.state)), 50)}:
        actor, since = woken(address, stored._replace(state=stored.state[:length]))
        assert (actor.fingerprint(), since) == (whole, 0)


@pytest.mark.parametrize("address", ADDRESSES, ids=str)
def test_a_checkpoint_of_another_shape_is_not_read(address: Address) -> None:
    whole = played().actors[address].fingerprint()
    stored = checkpoint(address, 3)
    for shape in (stored.state_version - 1, stored.state_version + 1):
        assert woken(address, stored._replace(state_version=shape))[1] == 0
    strange = pack({"nothing": "that", "is": "known"})
    for state in (strange, pack([]), pack(None), b"\xc1"):
        checksum = hashlib.blake2b(state, digest_size=16).digest()
        actor, since = woken(address, stored._replace(state=state, checksum=checksum))
        assert (actor.fingerprint(), since) == (whole, 0)


def test_a_journal_that_is_damaged_is_refused_and_never_guessed() -> None:
    address = player("alice")
    kind = catalog().kind("player")
    good = list(turns(address))
    torn = good[3]._replace(events=good[3].events[:-2])
    longer = good[3]._replace(length=2)
    renamed = good[3]._replace(events=to_json([["never_heard_of", {}]]))
    for damaged in (
        [*good[:3], *good[4:]],
        [*good[:4], good[3], *good[4:]],
        [*good[:3], longer, *good[4:]],
        [*good[:3], renamed, *good[4:]],
        good[1:],
    ):
        with pytest.raises(HistoryBroken):
            play_tail(kind, kind.actor(), 0, damaged, address)
    with pytest.raises((HistoryBroken, ValueError)):
        play_tail(kind, kind.actor(), 0, [*good[:3], torn, *good[4:]], address)
