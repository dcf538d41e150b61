"""The load client, a program of its own: sockets in closed loops, frames made from templates, latencies recorded.

It reads one job as JSON from its input, says `{"ready": true}`, waits for a line, runs, says when the measured time
begins, and ends with one line of result.
"""

import asyncio
import json
import secrets
import sys
import time
from array import array
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgpack
import uvloop
from hdrh.histogram import HdrHistogram
from picows import WSFrame, WSInvalidStatusError, WSListener, WSMsgType, WSTransport, ws_connect

_NANOSECONDS_MAX = 60_000_000_000
_RETRY_AFTER_S = 0.05
_CONNECTS_AT_ONCE = 64
_CONNECT_AGAIN_S = 0.5
_JOB_BYTES_MAX = 1 << 26
OP_MARK = "#" * 26
"""Where the op id of the command goes."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to do. `tokens` and `keys` are one for each socket; `keys` names the actors its slots ask, in turn."""

    url: str
    mode: str
    tokens: list[str]
    keys: list[list[str]]
    outstanding: int = 1
    seconds: float = 3.0
    warmup_s: float = 1.0
    form: str = "msgpack"
    data: dict[str, Any] = field(default_factory=dict)
    kind: str = "player"
    name: str = ""
    action: str = "practice"
    topic: str = ""
    scripts: list[list[dict[str, Any]]] = field(default_factory=list)
    """For each socket the commands that its slots send in a circle, each slot from a place of its own."""


class Load:
    """What all sockets share: the clock of the run and what was counted in its measured part."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.text = job.form == "json"
        self.running = False
        self.measuring = False
        self.latencies_ns = array("q")
        self.errors: Counter[str] = Counter()
        self.received_bytes = 0
        self.op_prefix = secrets.token_hex(8)
        self.op_count = 0

    def pack(self, frame: dict[str, Any]) -> bytes:
        if self.text:
            return json.dumps(frame, ensure_ascii=False, separators=(",", ":")).encode()
        packed: bytes = msgpack.packb(frame)
        return packed

    def unpack(self, frame: WSFrame) -> dict[str, Any]:
        payload = frame.get_payload_as_bytes()
        self.received_bytes += len(payload) if self.measuring else 0
        unpacked: dict[str, Any] = json.loads(payload) if self.text else msgpack.unpackb(payload)
        return unpacked

    def new_op(self) -> bytes:
        self.op_count += 1
        return b"%s%010d" % (self.op_prefix.encode(), self.op_count)

    def count(self, began_ns: int) -> None:
        if self.measuring:
            self.latencies_ns.append(time.perf_counter_ns() - began_ns)


class Socket(WSListener):
    """One connection; subclasses say what to do once it is welcome, and with what arrives."""

    def __init__(self, load: Load, index: int) -> None:
        self.load = load
        self.index = index
        self.welcome = asyncio.get_running_loop().create_future()
        self.kind = WSMsgType.TEXT if load.text else WSMsgType.BINARY
        self.transport: WSTransport

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        token = self.load.job.tokens[self.index]
        self.send(self.load.pack({"type": "auth", "id": "auth", "auth": f"Bearer {token}"}))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type not in (WSMsgType.TEXT, WSMsgType.BINARY):
            return
        message = self.load.unpack(frame)
        meta = message.get("meta") or {}
        if not self.welcome.done():
            if meta.get("code") == 200:
                self.welcome.set_result(None)
            else:
                self.welcome.set_exception(RuntimeError(f"not welcome: {message}"))
        elif message["type"] == "ping":
            self.send(self.load.pack({"type": "pong", "timestamp": message.get("timestamp")}))
        else:
            self.arrived(meta, message)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if not self.welcome.done():
            self.welcome.set_exception(RuntimeError("disconnected before the welcome"))
        elif self.load.running:
            self.load.errors["disconnected"] += 1

    def send(self, packed: bytes) -> None:
        self.transport.send(self.kind, packed)

    def begin(self) -> None:
        """The run begins."""

    def arrived(self, meta: dict[str, Any], message: dict[str, Any]) -> None:
        """A frame that is neither welcome nor ping."""


class Asking(Socket):
    """Each slot asks one question, waits for its answer, and asks again; slot and id are the same number."""

    def __init__(self, load: Load, index: int) -> None:
        super().__init__(load, index)
        job = load.job
        self.began_ns = [0] * job.outstanding
        keys = job.keys[index % len(job.keys)]
        self.templates = [self.template(slot, keys[slot % len(keys)]) for slot in range(job.outstanding)]

    def template(self, slot: int, key: str) -> list[bytes]:
        job = self.load.job
        if job.mode == "ping":
            return [self.load.pack({"type": "ping", "id": f"{slot}"})]
        frame = {"type": job.mode, "id": f"{slot}", "kind": job.kind, "key": key, "name": job.name, "data": job.data}
        return self.load.pack(frame | ({"op": OP_MARK} if job.mode == "command" else {})).split(OP_MARK.encode())

    def begin(self) -> None:
        for slot in range(self.load.job.outstanding):
            self.ask(slot)

    def ask(self, slot: int) -> None:
        if not self.load.running:
            return
        self.began_ns[slot] = time.perf_counter_ns()
        template = self.templates[slot]
        self.send(template[0] + self.load.new_op() + template[1] if len(template) == 2 else template[0])

    def arrived(self, meta: dict[str, Any], message: dict[str, Any]) -> None:
        if "id" not in meta:
            return
        slot = int(meta["id"])
        if message["type"] == "error":
            self.failed(message)
            asyncio.get_running_loop().call_later(_RETRY_AFTER_S, self.ask, slot)
        else:
            self.answered(slot, message)

    def answered(self, slot: int, message: dict[str, Any]) -> None:
        self.load.count(self.began_ns[slot])
        self.ask(slot)

    def failed(self, message: dict[str, Any]) -> None:
        error = message.get("error") or {}
        self.load.errors[f"{(message.get('meta') or {}).get('code')} {error.get('code')}"] += 1


class Flow(Asking):
    """Each slot starts an action, completes it, and starts the next; a flow counts when it is completed."""

    def template(self, slot: int, key: str) -> list[bytes]:
        frame = {"type": "command", "id": f"{slot}", "op": OP_MARK, "kind": "player", "key": "me"}
        action = {"name": "start_action", "data": {"type": self.load.job.action}}
        return self.load.pack(frame | action).split(OP_MARK.encode())

    def answered(self, slot: int, message: dict[str, Any]) -> None:
        data = message["data"]
        if "actionToken" not in data:
            super().answered(slot, message)
            return
        frame = {"type": "command", "id": f"{slot}", "op": self.load.new_op().decode(), "kind": "player", "key": "me"}
        action = {"actionId": data["id"], "actionToken": data["actionToken"]}
        self.send(self.load.pack(frame | {"name": "complete_action", "data": action}))


class Mixed(Asking):
    """Each slot goes through the socket's script, again and again."""

    def __init__(self, load: Load, index: int) -> None:
        super().__init__(load, index)
        script = load.job.scripts[index % len(load.job.scripts)]
        outstanding = load.job.outstanding
        self.scripts = [[self.parts(slot, command) for command in script] for slot in range(outstanding)]
        self.places = [(index * outstanding + slot) % len(script) for slot in range(outstanding)]

    def parts(self, slot: int, command: dict[str, Any]) -> list[bytes]:
        frame = {"type": "command", "id": f"{slot}", "op": OP_MARK, **command}
        return self.load.pack(frame).split(OP_MARK.encode())

    def ask(self, slot: int) -> None:
        if not self.load.running:
            return
        script = self.scripts[slot]
        self.places[slot] = (self.places[slot] + 1) % len(script)
        self.began_ns[slot] = time.perf_counter_ns()
        self.send(self.load.new_op().join(script[self.places[slot]]))


class Listening(Socket):
    """Subscribes and counts what it is told."""

    def __init__(self, load: Load, index: int) -> None:
        super().__init__(load, index)
        self.subscribed = False

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        # Decoding a thousand copies of each push would measure this program, not the server.
        if self.subscribed and frame.payload_size > 100:
            if self.load.measuring:
                self.load.latencies_ns.append(0)
                self.load.received_bytes += frame.payload_size
            return
        super().on_ws_frame(transport, frame)
        if self.welcome.done() and not self.subscribed:
            self.subscribed = True
            self.send(self.load.pack({"type": "subscribe", "id": "1", "topic": self.load.job.topic}))


class Holding(Socket):
    """Wakes its player with one question and stays."""

    def begin(self) -> None:
        self.send(self.load.pack({"type": "query", "id": "1", "kind": "player", "key": "me", "name": "profile"}))

    def arrived(self, meta: dict[str, Any], message: dict[str, Any]) -> None:
        if message["type"] == "error":
            self.load.errors[f"{meta.get('code')} {message['error'].get('code')}"] += 1


_SOCKETS: dict[str, type[Socket]] = {
    "command": Asking,
    "query": Asking,
    "ping": Asking,
    "flow": Flow,
    "mixed": Mixed,
    "listen": Listening,
    "hold": Holding,
}


async def _connected(load: Load, index: int) -> Socket:
    """One socket. Many from one address are too much at once: who is refused for that comes back."""
    while True:
        try:
            _, socket = await ws_connect(
                lambda: _SOCKETS[load.job.mode](load, index), load.job.url, enable_auto_pong=True
            )
        except WSInvalidStatusError as refused:
            if refused.response is None or refused.response.status != HTTPStatus.TOO_MANY_REQUESTS:
                raise
            await asyncio.sleep(_CONNECT_AGAIN_S)
        else:
            assert isinstance(socket, Socket)  # noqa: S101  (for the type checker)
            return socket


async def run(job: Job, begin: asyncio.Event) -> dict[str, Any]:
    """Connect, wait for the word, load the server, and say what came of it."""
    load = Load(job)
    sockets: list[Socket] = []
    gate = asyncio.Semaphore(_CONNECTS_AT_ONCE)

    async def connect(index: int) -> None:
        async with gate:
            socket = await _connected(load, index)
            sockets.append(socket)
            await socket.welcome

    async with asyncio.TaskGroup() as group:
        for index in range(len(job.tokens)):
            group.create_task(connect(index))
    print(json.dumps({"ready": True}), flush=True)
    await begin.wait()
    load.running = True
    for socket in sockets:
        socket.begin()
    await asyncio.sleep(job.warmup_s)
    print(json.dumps({"measuring": True}), flush=True)
    load.errors.clear()
    load.measuring = True
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    await asyncio.sleep(job.seconds)
    load.measuring = False
    seconds, cpu_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
    load.running = False
    return _result(load, seconds, cpu_s)


def _result(load: Load, seconds: float, cpu_s: float) -> dict[str, Any]:
    histogram = HdrHistogram(1, _NANOSECONDS_MAX, 3)
    for latency_ns in load.latencies_ns:
        histogram.record_value(max(1, latency_ns))
    count = len(load.latencies_ns)
    return {
        "count": count,
        "seconds": seconds,
        "perSecond": count / seconds,
        "p50Ms": histogram.get_value_at_percentile(50) / 1e6,
        "p99Ms": histogram.get_value_at_percentile(99) / 1e6,
        "maxMs": histogram.get_max_value() / 1e6 if count else 0,
        "bytesPerFrame": load.received_bytes / count if count else 0,
        "clientCpuS": cpu_s,
        "errors": dict(load.errors),
    }


async def main() -> None:
    """Read the job, do it, and stay until the input ends when the job is to hold."""
    # Not through a thread: one that waits for a line would keep a program alive whose sockets were refused.
    lines = asyncio.StreamReader(limit=_JOB_BYTES_MAX)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    job = Job(**json.loads(await lines.readline()))
    begin = asyncio.Event()

    async def wait_for_the_word() -> None:
        await lines.readline()
        begin.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(wait_for_the_word())
        result = await run(job, begin)
    print(json.dumps(result), flush=True)
    if job.mode == "hold":
        await lines.readline()


if __name__ == "__main__":
    uvloop.run(main())
