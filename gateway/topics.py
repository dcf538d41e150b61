"""What a topic knows and tells: every turn of an actor in order, or the latest view of its parts."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from actors.core import Actor
from gateway.forms import Shared
from gateway.limits import PUSHES_HELD_MAX
from schemas import frames
from schemas.address import Address
from schemas.problems import Refusal

if TYPE_CHECKING:
    from gateway.socket import FrameId, Socket

VIEW_EVERY_S = 0.1
DEPARTED, ONLY_FOR = "departed", "onlyFor"
"""Fields of a push that say who may not listen any more, and who alone is told it (see actors.core.Event.push)."""


class State(NamedTuple):
    """An actor's answer to SUBSCRIBE: its number, and its view or what happened since."""

    seq: int
    view: Any
    pushes: list[list[Any]] | None


class Listener:
    """One socket's interest in one topic, under the name that the client gave it."""

    __slots__ = ("held", "name", "overtaken", "seq", "socket", "topic")

    def __init__(self, socket: "Socket", topic: "Topic", name: str) -> None:
        self.socket = socket
        self.topic = topic
        self.name = name
        self.seq = -1
        self.held: list[tuple[int, Shared]] | None = []
        """Pushes that arrived before the answer to the subscription, which goes first."""
        self.overtaken = False
        """Whether more arrived before the answer than can be held: some are missing, so it must be read again."""

    def tell(self, seq: int, push: Shared, *, conflate: bool = False) -> None:
        """Send the push unless this client had it before."""
        if self.held is not None:
            if conflate:
                self.held.clear()
            if len(self.held) < PUSHES_HELD_MAX:
                self.held.append((seq, push))
            else:
                self.overtaken = True
            return
        if seq > self.seq:
            self.seq = seq
            data = push.bytes_for(self.socket.form, self.name)
            self.socket.outlet.push(data, self.name if conflate else "")

    def begin(self, seq: int) -> None:
        """The subscription is answered as of this number: what came later follows now."""
        held, self.held = self.held or [], None
        self.seq = seq
        for number, push in held:
            self.tell(number, push)

    def restart(self, seq: int, push: Shared) -> None:
        """Send the present state anew, whatever this client had."""
        self.seq = -1
        self.tell(seq, push)


class Topic(ABC):
    """A topic with at least one listener, or one to be."""

    def __init__(self, address: Address, actor: type[Actor], parts: list[Address]) -> None:
        self.address = address
        self.actor = actor
        self.parts = parts
        self.listeners: set[Listener] = set()
        self.stale = False
        """Whether pushes may have been missed since its last one."""
        self.on_departed: Callable[[Listener], None] = lambda listener: None
        """Called when the user of a listener may not listen any more."""

    @abstractmethod
    def pushed(self, part: str, seq: int, data: Any, previous: int | None) -> None:
        """Redis brought a push of this part; data None is a heartbeat. Sets `stale` when one before it is missing."""

    @abstractmethod
    def after(self) -> int | None:
        """From where to read again when pushes may have been missed; None for the present state."""

    @abstractmethod
    def caught_up(self, states: list[State]) -> None:
        """The parts were read again: tell the listeners what they missed."""

    @abstractmethod
    def answer(self, listener: Listener, id_: "FrameId", after: int | None, states: list[State]) -> None:
        """Answer a subscription with what the parts say, and begin to push."""

    def missed(self) -> None:
        """Pushes may have been missed: hold what comes until the parts were read again."""
        self.stale = True


class TurnTopic(Topic):
    """Every turn of one actor, in order, each once."""

    def __init__(self, address: Address, actor: type[Actor], parts: list[Address]) -> None:
        super().__init__(address, actor, parts)
        self.seq: int | None = None
        self._held: list[tuple[int, Any]] = []

    def pushed(self, part: str, seq: int, data: Any, previous: int | None) -> None:
        if self.seq is not None and seq <= self.seq:
            return
        if data is None:
            self.stale = self.stale or self.seq is not None
            return
        if previous is not None and self.seq is not None and previous > self.seq:
            self.stale = True
        if self.stale:
            # What is dropped here is in the journal, from where the topic is about to catch up.
            if len(self._held) < PUSHES_HELD_MAX:
                self._held.append((seq, data))
            return
        self._tell(seq, data)

    def after(self) -> int | None:
        return self.seq

    def caught_up(self, states: list[State]) -> None:
        state = states[0]
        self.stale = False
        if state.pushes is None:
            frame = frames.push("", f"{self.address.kind}.reset", state.seq, state.view)
            frame["meta"]["reset"] = True
            push = Shared(frame)
            for listener in tuple(self.listeners):
                listener.restart(state.seq, push)
        else:
            for pushed in state.pushes:
                if self.seq is None or pushed[0] > self.seq:
                    self._tell(pushed[0], pushed[-1])
        self.seq = max(self.seq or 0, state.seq)
        held, self._held = self._held, []
        for seq, data in held:
            if seq > self.seq:
                self._tell(seq, data)

    def answer(self, listener: Listener, id_: "FrameId", after: int | None, states: list[State]) -> None:
        state = states[0]
        kind = self.address.kind
        socket = listener.socket
        if state.pushes is None:
            reset = after is not None
            type_ = f"{kind}.reset" if reset else f"{kind}.initial"
            socket.send(
                frames.answer(id_, type_, state.view, topic=listener.name, seq=state.seq, reset=True if reset else None)
            )
        else:
            socket.send(frames.answer(id_, f"{kind}.resumed", topic=listener.name, seq=state.seq))
            for pushed in state.pushes:
                if _is_for(pushed[-1], socket):
                    socket.send(frames.push(listener.name, f"{kind}.update", pushed[0], pushed[-1]))
        if self.seq is None:
            self.seq = state.seq
        listener.begin(state.seq)

    def _tell(self, seq: int, data: Any) -> None:
        self.seq = seq
        push = Shared(frames.push("", f"{self.address.kind}.update", seq, data))
        departed = data.get(DEPARTED, ())
        for listener in tuple(self.listeners):
            is_new = listener.seq < seq
            if _is_for(data, listener.socket):
                listener.tell(seq, push)
            if is_new and listener.socket.caller.user in departed:
                self.on_departed(listener)


def _is_for(data: dict[str, Any], socket: "Socket") -> bool:
    """Whether the push may be told to this socket."""
    return data.get(ONLY_FOR) in (None, socket.caller.user)


class ViewTopic(Topic):
    """The latest view of all parts together, when it changed, at most ten times a second."""

    def __init__(self, address: Address, actor: type[Actor], parts: list[Address]) -> None:
        super().__init__(address, actor, parts)
        self._seqs: dict[str, int] = {}
        self._views: dict[str, Any] = {}
        self._told: Any = None
        self._told_at = 0.0
        self._telling: asyncio.TimerHandle | None = None

    @property
    def seq(self) -> int:
        """Grows with each change of any part."""
        return sum(self._seqs.values())

    def pushed(self, part: str, seq: int, data: Any, previous: int | None) -> None:
        known = self._seqs.get(part)
        if known is not None and seq <= known:
            return
        if data is None:
            self.stale = True
            return
        self._seqs[part] = seq
        self._views[part] = data
        self._tell_soon()

    def after(self) -> int | None:
        return None

    def caught_up(self, states: list[State]) -> None:
        self.stale = False
        for part, state in zip(self.parts, states, strict=True):
            if state.seq > self._seqs.get(part.key, -1):
                self._seqs[part.key] = state.seq
                self._views[part.key] = state.view
        self._tell_soon()

    def answer(self, listener: Listener, id_: "FrameId", after: int | None, states: list[State]) -> None:
        self.caught_up(states)
        seq, view = self.seq, self.view()
        if self._told is None:
            self._told = view
        type_ = f"{self.address.kind}.initial"
        listener.socket.send(frames.answer(id_, type_, view, topic=listener.name, seq=seq))
        listener.begin(seq)

    def view(self) -> Any:
        """The parts' views as one; an empty list while no part has told anything."""
        merged = self.actor.merge_views([self._views[part.key] for part in self.parts if part.key in self._views])
        return [] if merged is None else merged

    def _tell_soon(self) -> None:
        if self._telling is None:
            loop = asyncio.get_running_loop()
            wait_s = self._told_at + VIEW_EVERY_S - loop.time()
            self._telling = loop.call_later(max(0.0, wait_s), self._tell)

    def _tell(self) -> None:
        self._telling = None
        if len(self._views) < len(self.parts):
            return
        view = self.view()
        before, self._told = self._told, view
        if view == before:
            return
        self._told_at = asyncio.get_running_loop().time()
        seq = self.seq
        changes = self.actor.changes(before, view) if before is not None else []
        push = Shared(frames.push("", f"{self.address.kind}.update", seq, view, changes))
        for listener in tuple(self.listeners):
            listener.tell(seq, push, conflate=True)


def topic_of(address: Address, actor: type[Actor], parts: list[Address]) -> Topic:
    """The topic of this actor; refused as NOT_FOUND when the kind has none."""
    if actor.pushes == "turn":
        return TurnTopic(address, actor, parts)
    if actor.pushes == "view":
        return ViewTopic(address, actor, parts)
    raise Refusal("NOT_FOUND", f"{actor.kind} has no topics.")
