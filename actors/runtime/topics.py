"""What clients subscribe to: pushes leave through the bus after the commit, one message for each kind and group."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any

import structlog
from pydantic_core import from_json

from actors.catalog import Kind
from actors.runtime import faults
from actors.runtime.bus import Bus
from actors.runtime.cell import Cell, Played
from actors.runtime.database import Row
from schemas.address import Address
from schemas.messages import pack, unpack

_log = structlog.get_logger("topics")

VIEW_EVERY_S = 0.1
HEARTBEAT_EVERY_S = 5.0
INTEREST_S = 15.0
INTEREST_CHANNEL = "interest"
"""Gateways name here, every 5 s, the kinds that their clients listen to: msgpack of a list."""
RECENT_MAX = 10_000

Push = tuple[str, int, Any] | tuple[str, int, Any, int]
"""Key, sequence number, data (None: a heartbeat), and the number of the push before it, where none may be missed."""


def channel(kind: str) -> str:
    return f"push:{kind}"


def merged_push(events: Iterable[Any]) -> dict[str, Any]:
    """What one turn tells subscribers: what its events changed, and the events' names. In maps later facts stand over
    earlier ones; lists are one after the other."""
    data: dict[str, Any] = {"events": []}
    for event in events:
        data["events"].append(event.wire_name)
        for field, value in event.push().items():
            before = data.get(field)
            if isinstance(before, dict) and isinstance(value, dict):
                value = {**before, **value}
            elif isinstance(before, list) and isinstance(value, list):
                value = [*before, *value]
            data[field] = value
    return data


class Topics:
    """Publishes turns as they are committed, and views at most ten times a second."""

    REPLAY_EVENTS_MAX = 1_000

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self._interest: dict[str, float] = {}
        self._everything_until = time.monotonic() + INTEREST_S
        self._changed: dict[Address, Cell] = {}
        self._recent: OrderedDict[tuple[str, str], int] = OrderedDict()

    def open(self) -> None:
        self.bus.subscribe(INTEREST_CHANNEL, self._on_interest)

    def _on_interest(self, message: bytes) -> None:
        for kind in unpack(message):
            self.interested(kind)

    def interested(self, kind: str) -> None:
        """Someone listens to actors of this kind: publish them for a while."""
        self._interest[kind] = time.monotonic() + INTEREST_S

    def wanted(self, kind: str) -> bool:
        """Whether anyone may listen to actors of this kind."""
        now = time.monotonic()
        return now < self._everything_until or now < self._interest.get(kind, 0.0)

    def committed(self, turns: list[Played]) -> None:
        """Publish what these committed turns changed."""
        batches: dict[str, list[Push]] = {}
        for played in turns:
            cell = played.cell
            actor = cell.actor
            if actor is None or not actor.pushes or not played.length:
                continue
            kind = cell.address.kind
            if actor.pushes == "view":
                self._changed[cell.address] = cell
            elif played.push:
                sequence = played.version + played.length - 1
                batches.setdefault(kind, []).append((cell.address.key, sequence, played.push, played.version - 1))
        for kind, pushes in batches.items():
            self._publish(kind, pushes)

    def _publish(self, kind: str, pushes: Sequence[Push]) -> None:
        self.bus.publish(channel(kind), pack(pushes))
        if faults.armed and faults.point("publish_before_version_mark"):
            return
        for key, sequence, *_ in pushes:
            self._recent[kind, key] = sequence
        while len(self._recent) > RECENT_MAX:
            self._recent.popitem(last=False)

    def publish_view(self, cell: Cell, version: int, view: Any) -> None:
        """Publish a view that has been committed, if it differs from the last."""
        if view != cell.published:
            cell.published = view
            self._publish(cell.address.kind, [(cell.address.key, version, view)])
            self.bus.publish("cache:invalidate", pack([cell.address.kind, cell.address.key, version]))

    async def run_forever(self) -> None:
        """Publish changed views ten times a second, and heartbeats of recent topics every five seconds."""
        beat_at = time.monotonic() + HEARTBEAT_EVERY_S
        while True:
            await asyncio.sleep(VIEW_EVERY_S)
            now = time.monotonic()
            changed, self._changed = self._changed, {}
            for cell in changed.values():
                try:
                    self._show(cell)
                except Exception:
                    _log.exception("view_not_shown", actor=str(cell.address))
            if now >= beat_at:
                beat_at = now + HEARTBEAT_EVERY_S
                self._beat()

    def _show(self, cell: Cell) -> None:
        if cell.actor is None or not cell.awake:
            return
        if cell.pending:
            # The state in memory is ahead of the journal: show it once its newest group is committed.
            cell.last_group.views.append((cell, cell.version, cell.actor.view()))
        else:
            self.publish_view(cell, cell.version, cell.actor.view())

    def _beat(self) -> None:
        beats: dict[str, list[tuple[str, int, None]]] = {}
        for (kind, key), sequence in self._recent.items():
            beats.setdefault(kind, []).append((key, sequence, None))
        self._recent.clear()
        for kind, pushes in beats.items():
            self.bus.publish(channel(kind), pack(pushes))

    def replay(self, kind: Kind, after: int, turns: list[Row]) -> dict[str, Any]:
        """The pushes of stored turns, for a subscriber that has seen everything up to `after`."""
        pushes = []
        sequence = after
        for turn in turns:
            sequence = turn["version"] + turn["length"] - 1
            events = [
                kind.events[name].model_validate(fields, strict=False)
                for name, fields in from_json(turn["events"])
                if name in kind.events
            ]
            pushes.append([sequence, merged_push(events)])
        return {"seq": sequence, "view": None, "pushes": pushes}
