"""Tells whose receiver is awake in the same host: both turns are played before the commit, and committed together."""

import functools
import time
from collections.abc import Callable
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import structlog
from pydantic_core import from_json, to_json

from actors.core import Command, Tell
from actors.runtime.answers import Answers
from actors.runtime.cell import Await, Cell, Played
from actors.runtime.commit import GroupCommit
from actors.runtime.group import Group, Near
from actors.runtime.parcels import Parcels, Told
from schemas import limits
from schemas.address import Address
from schemas.messages import PARCEL, SYSTEM, Request

_log = structlog.get_logger("nearby")

ROUNDS_MAX = 4
"""Tells of turns that tells led to are played too, so deep. What goes further travels."""


class Nearby:
    """Plays what a group's turns tell actors of the same host, into that group.

    Sender's and receiver's events are in one transaction then: no outbox, no second commit, and the receiver's answer
    is there before the reply leaves. Whatever cannot be played so becomes a parcel, as for an actor elsewhere: the
    receiver sleeps, is busy, leaves, or was told something that is on its way still, which nothing may overtake.
    """

    def __init__(
        self,
        *,
        awake: Callable[[Address], Cell | None],
        spent: Callable[[Cell, float], None],
        run: int,
        commits: GroupCommit,
        parcels: Parcels,
        answers: Answers,
    ) -> None:
        self.awake = awake
        self.spent = spent
        self.run = run
        self.commits = commits
        self.parcels = parcels
        self.answers = answers
        self._numbers = 0

    def play(self) -> None:
        """Play what the gathering group's turns tell, before it closes."""
        group = self.commits.gathering
        done = 0
        for _ in range(ROUNDS_MAX):
            turns = group.turns[done:]
            done = len(group.turns)
            for to, tells in self._tells(turns).items():
                if not self._play(group, to, tells):
                    # Actors left the group, which is another one now: see what is left to play in that.
                    self.play()
                    return
            if len(group.turns) == done:
                break
        far = {effect.to for turn in group.turns for effect in turn.effects or () if isinstance(effect, Tell)}
        group.far = frozenset(far)
        for near in reversed(group.near):
            self._answer(near)

    def _tells(self, turns: list[Played]) -> dict[Cell, list[tuple[Played, int, Tell]]]:
        """What these turns tell actors that can be told at once: the turn, the number of the effect, the tell."""
        tells: dict[Cell, list[tuple[Played, int, Tell]]] = {}
        for turn in turns:
            for number, effect in enumerate(turn.effects or ()):
                if isinstance(effect, Tell):
                    cell = self._receiver(turn.cell, effect.to)
                    if cell is not None:
                        tells.setdefault(cell, []).append((turn, number, effect))
        return tells

    def _receiver(self, sender: Cell, to: Address) -> Cell | None:
        cell = self.awake(to)
        # What an actor tells itself is for after the commit.
        if cell is None or cell is sender or to in self.answers.delivering or self.commits.sends_to(to):
            return None
        apart = self.commits.apart
        return None if apart and (to in apart or sender.address in apart) else cell

    def _play(self, group: Group, cell: Cell, tells: list[tuple[Played, int, Tell]]) -> bool:
        """Let the actor have the turn of these tells; False when it failed, and left the group."""
        for start in range(0, len(tells), limits.PARCEL_TELLS_MAX):
            part = tells[start : start + limits.PARCEL_TELLS_MAX]
            self._numbers += 1
            op = f"near:{self.run}:{self._numbers}"
            to = cell.address
            request = Request(PARCEL, to.kind, to.key, "", op, SYSTEM, b"", 0, "", False)
            began = time.perf_counter()
            try:
                played = self.parcels.play(cell, request, [_told(turn, number, tell) for turn, number, tell in part])
            except Exception:
                _log.exception("tells_failed", actor=str(to))
                self.commits.apart[to] = None
                self.commits.forget(cell)
                return False
            finally:
                self.spent(cell, time.perf_counter() - began)
            asked: list[tuple[Played, Await] | None] = []
            for turn, number, tell in part:
                turn.effects[number] = None
                if not tell.into:
                    asked.append(None)
                    continue
                awaited = Await(tell.into, to, op, len(asked), tell.then)
                turn.near = [*(turn.near or ()), awaited]
                asked.append((turn, awaited))
            group.near.append(Near({turn.cell for turn, _, _ in part}, played, asked))
        return True

    def _answer(self, near: Near) -> None:
        """Put the answers into the senders' replies, which the journal keeps so; what is not known yet comes later."""
        played, asked = near.played, near.asked
        whole = not played.near and not any(isinstance(effect, Tell) and effect.into for effect in played.effects)
        for index, waiting in enumerate(asked):
            if waiting is None:
                continue
            turn, awaited = waiting
            status, _, data = played.reply.data[index]
            if whole and (awaited.then is None or status != 200):
                awaited.fill(turn.reply.data, data if status == 200 else None)
                turn.near.remove(awaited)  # type: ignore[union-attr]
                asked[index] = None
        if any(asked):
            played.answered = functools.partial(self.answers.tells_answered, asked)
        else:
            # The senders' turns have the answers, and nobody will ask for them here.
            played.turn["reply"] = [part[:2] for part in played.reply.data]
            played.reply = played.reply._replace(data=None)


def _told(turn: Played, number: int, tell: Tell) -> Told:
    command = tell.command
    if not _only_values(type(command)):
        # As if it had been on the way: two actors must not share what one of them may change.
        command = type(command).model_validate(from_json(to_json(command.model_dump(mode="python"))), strict=False)
    return Told(f"{turn.cell.address}/{turn.version}/{number}", command.wire_name, command)


@functools.cache
def _only_values(command: type[Command[Any]]) -> bool:
    """Whether all fields are such as nobody can change."""
    return all(_is_value(field.annotation) for field in command.model_fields.values())


def _is_value(annotation: Any) -> bool:
    if get_origin(annotation) in (Union, UnionType):
        return all(map(_is_value, get_args(annotation)))
    return annotation in (int, str, bool, NoneType) or get_origin(annotation) is Literal
