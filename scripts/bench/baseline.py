"""The plain programs that Greenroom is compared with, each a process of its own."""

import asyncio
import json
import secrets
import sys
import time
from array import array
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import uvloop
from aiohttp import WSMsgType as AioMsgType
from aiohttp import web
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

_TABLE = """
CREATE SCHEMA IF NOT EXISTS bench;
CREATE TABLE IF NOT EXISTS bench.row (LIKE journal INCLUDING ALL)
"""
"""The journal's columns, keys and checks: what is compared is a command with one INSERT of the row that it writes."""
_INSERT = """
INSERT INTO bench.row (kind, key, version, length, op, at, run, turn, events)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""
_USER = "00000000-0000-4000-8000-000000000000"
_TURN = json.dumps(
    {
        "command": "award_score",
        "caller": _USER,
        "data": {"points": 1, "board": "practice", "reason": "bench", "attributes": None, "at": None},
        "content": 1,
        "reply": {"score": {"previous": 897, "current": 898}, "rank": {"previous": 195, "current": 195}},
        "fingerprint": 231885578577635,
        "role": "server",
    },
    separators=(",", ":"),
)
_AWARDED = {
    "board": "practice",
    "points": 1,
    "at": 1763730000000,
    "reason": "bench",
    "by": _USER,
    "attributes": {},
    "scores": {"practice": 898},
    "periods": {},
}
_EVENTS = json.dumps([["score_awarded", _AWARDED]], separators=(",", ":"))


async def inserts(job: dict[str, Any]) -> dict[str, Any]:
    """Single-row durable transactions, one connection for each client, statements prepared."""
    dsn, clients, seconds = job["database_url"], job["clients"], job["seconds"]
    run = "00000000-0000-4000-8000-" + secrets.token_hex(6)
    try:
        connections = [await asyncpg.connect(dsn) for _ in range(clients)]
    except asyncpg.TooManyConnectionsError as full:
        return {"error": f"Postgres has no room for {clients} more clients, raise its max_connections: {full}"}
    await connections[0].execute(_TABLE)
    durable = await connections[0].fetchval("SHOW synchronous_commit") == "on"
    latencies_ns = array("q")
    until = time.perf_counter() + job["warmup_s"] + seconds
    measured_from = until - seconds

    async def client(number: int) -> None:
        statement = await connections[number].prepare(_INSERT)
        key, version = f"{run}-{number}", 0
        while (began := time.perf_counter()) < until:
            version += 1
            op, at = f"{_USER}:{number:016x}{version:010x}", time.time_ns() // 1_000_000
            await statement.fetch("player", key, version, 1, op, at, 1, _TURN, _EVENTS)
            if began >= measured_from:
                latencies_ns.append(int((time.perf_counter() - began) * 1e9))

    await asyncio.gather(*(client(number) for number in range(clients)))
    await connections[0].execute("DROP SCHEMA bench CASCADE")
    for connection in connections:
        await connection.close()
    ordered = sorted(latencies_ns)
    return {
        "perSecond": len(ordered) / seconds,
        "p50Ms": ordered[len(ordered) // 2] / 1e6,
        "p99Ms": ordered[len(ordered) * 99 // 100] / 1e6,
        "durable": durable,
    }


async def echo(job: dict[str, Any]) -> dict[str, Any]:
    """A bare aiohttp WebSocket that decodes JSON and answers in the shape of a reply, in one process."""

    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False, autoping=False)
        await socket.prepare(request)
        async for message in socket:
            if message.type is AioMsgType.TEXT:
                frame = json.loads(message.data)
                meta = {"code": 200, "id": frame["id"], "version": 1}
                await socket.send_str(json.dumps({"meta": meta, "type": "reply", "data": job["data"]}))
        return socket

    await _serve_until_told(serve)
    return {}


async def broadcast(job: dict[str, Any]) -> dict[str, Any]:
    """A plain loop of awaited sends to all sockets, so many times a second: of the message (`once` false: aiohttp makes
    its text for each), or of a text made once."""
    sockets: set[web.WebSocketResponse] = set()

    async def serve(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        async for message in socket:
            if message.type is AioMsgType.TEXT:
                frame = json.loads(message.data)
                await socket.send_json({"meta": {"code": 200, "id": frame["id"]}, "type": "welcome"})
                sockets.add(socket)
        return socket

    async def tell_all() -> None:
        rows: list[dict[str, Any]] = [{"rank": rank, "userId": "", "username": "", "score": 0} for rank in range(1, 11)]
        push: dict[str, Any] = {"meta": {"code": 200, "topic": "board", "seq": 0}, "type": "update", "data": rows}
        rows[0]["username"] = "x" * max(0, job["bytes"] - len(json.dumps(push)))
        due = time.perf_counter()
        while True:
            push["meta"]["seq"] += 1
            if job["once"]:
                text = json.dumps(push)
                for socket in list(sockets):
                    await socket.send_str(text)
            else:
                for socket in list(sockets):
                    await socket.send_json(push)
            due += 1 / job["per_second"]
            await asyncio.sleep(max(0.0, due - time.perf_counter()))

    await _serve_until_told(serve, tell_all)
    return {}


async def ceiling(job: dict[str, Any]) -> dict[str, Any]:
    """The lightest server there is, to see what the load client itself can do."""
    reply = {"meta": {"code": 200, "id": "auth"}, "type": "reply", "data": {}}

    class Echo(WSListener):
        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            if frame.msg_type is WSMsgType.TEXT:
                asked = json.loads(frame.get_payload_as_bytes())
                answer = reply | {"meta": {"code": 200, "id": asked["id"]}}
                transport.send(WSMsgType.TEXT, json.dumps(answer).encode())

    def listener(request: WSUpgradeRequest) -> WSListener:
        return Echo()

    server = await ws_create_server(listener, "127.0.0.1", 0)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    await _told()
    server.close()
    return {}


async def _serve_until_told(
    serve: Callable[[web.Request], Awaitable[web.StreamResponse]], beside: Callable[[], Awaitable[None]] | None = None
) -> None:
    app = web.Application()
    app.router.add_get("/api/v1/ws", serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=2048)
    await site.start()
    print(json.dumps({"port": runner.addresses[0][1]}), flush=True)
    task = asyncio.ensure_future(beside()) if beside else None
    await _told()
    if task is not None:
        task.cancel()
    await runner.cleanup()


async def _told() -> None:
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


PROGRAMS = {"inserts": inserts, "echo": echo, "broadcast": broadcast, "ceiling": ceiling}


async def main() -> None:
    """Read the job from the input, do it, and print what came of it."""
    job = json.loads(await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline))
    print(json.dumps(await PROGRAMS[job.pop("program")](job)), flush=True)


if __name__ == "__main__":
    uvloop.run(main())
