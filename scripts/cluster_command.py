"""`greenroom cluster`: the nodes, hosts and gateways of a running Greenroom, and what operators do with them."""

import asyncio
import time
from typing import Annotated, Any

import typer
from pydantic_core import from_json
from rich.console import Group, RenderableType
from rich.text import Text

from actors.runtime.database import Database
from gateway.accounts import store
from scripts.connect import open_database, operator, read_settings
from scripts.terminal import AsJson, Failed, Terminal, table

app = typer.Typer(
    no_args_is_help=True, help="Nodes, hosts and gateways: status, drain, undrain, rebalance, restart without a pause."
)

LOOK_EVERY_S = 0.25
FRESH_S = 15.0
"""A report that is older comes from a driver that does not run any more."""
WAIT_S = 300.0

_REPORT = "SELECT report, extract(epoch FROM now() - at)::float8 AS age_s FROM cluster_report"
_DRAIN = "INSERT INTO drained_node (node, by) VALUES ($1, $2) ON CONFLICT (node) DO NOTHING"
_UNDRAIN = "DELETE FROM drained_node WHERE node = $1"
_ORDER = "INSERT INTO cluster_order (what, asked_by) VALUES ($1, $2) RETURNING id"
_OUTCOME = "SELECT outcome FROM cluster_order WHERE id = $1 AND done_at IS NOT NULL"

NodeArgument = Annotated[str, typer.Argument(metavar="NODE", help="its name, its address, or the beginning of its id")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="do not wait until it is done")]


@app.command()
def status(as_json: AsJson = False) -> None:
    """Which nodes there are, what runs on them, and how busy it is."""
    terminal = Terminal(as_json=as_json)

    async def run() -> None:
        async with open_database(read_settings()) as database:
            report = await _report(database)
        terminal.show(report, _drawn(report))

    terminal.run(run())


@app.command()
def drain(node: NodeArgument, no_wait: NoWait = False, as_json: AsJson = False) -> None:
    """Move everything away from a node, so that it can be taken down: players notice a reconnect at most."""
    terminal = Terminal(as_json=as_json)

    async def run() -> None:
        async with open_database(read_settings()) as database:
            report = await _report(database)
            found = _node(report, node)
            if not any(one["state"] == "serving" for one in report["nodes"] if one["id"] != found["id"]):
                raise Failed(f"{found['name']} is the only node that serves: add another one first.")
            await _audited(database, _DRAIN, "drain_node", found["name"], found["id"], operator())
            if not no_wait:
                await _until_drained(database, found, terminal)
        terminal.done(
            f"{found['name']} is {'being drained' if no_wait else 'drained; it can be taken down'}.", node=found["id"]
        )

    terminal.run(run())


@app.command()
def undrain(node: NodeArgument, as_json: AsJson = False) -> None:
    """Let a drained node serve again."""
    terminal = Terminal(as_json=as_json)

    async def run() -> None:
        async with open_database(read_settings()) as database:
            found = _node(await _report(database), node)
            await _audited(database, _UNDRAIN, "undrain_node", found["name"], found["id"])
        terminal.done(f"{found['name']} serves again.", node=found["id"])

    terminal.run(run())


@app.command()
def rebalance(as_json: AsJson = False) -> None:
    """Even out the load of hosts now, even if they are even enough."""
    _order("rebalance", no_wait=False, as_json=as_json)


@app.command()
def restart(no_wait: NoWait = False, as_json: AsJson = False) -> None:
    """Replace every gateway and host by a fresh process, one after the other, without a failed command."""
    _order("restart", no_wait=no_wait, as_json=as_json)


def _order(what: str, *, no_wait: bool, as_json: bool) -> None:
    terminal = Terminal(as_json=as_json)

    async def run() -> None:
        async with open_database(read_settings()) as database:
            await _report(database)
            async with database.transaction() as connection:
                number = await connection.fetch_value(_ORDER, what, operator())
                await store.add_audit(connection, operator(), "operator", f"{what}_cluster", "", {}, "")
            outcome = "ordered" if no_wait else await _outcome(database, number)
        terminal.done(f"{what}: {outcome}.", outcome=outcome)

    terminal.run(run())


async def _audited(database: Database, sql: str, action: str, node: str, *arguments: Any) -> None:
    async with database.transaction() as connection:
        await connection.execute(sql, *arguments)
        await store.add_audit(connection, operator(), "operator", action, node, {}, "")


async def _report(database: Database) -> dict[str, Any]:
    row = await database.fetch_row(_REPORT)
    if row is None or row["age_s"] > FRESH_S:
        raise Failed("No driver has reported of late: is `greenroom serve` running? `greenroom doctor` looks.")
    report: dict[str, Any] = from_json(row["report"])
    return report


def _node(report: dict[str, Any], wanted: str) -> dict[str, Any]:
    found = [
        node for node in report["nodes"] if wanted in (node["name"], node["address"]) or node["id"].startswith(wanted)
    ]
    if len(found) != 1:
        names = ", ".join(f"{node['name']} ({node['id'][:12]})" for node in report["nodes"])
        raise Failed(f"{wanted} names {len(found)} nodes; there are {names}.")
    return dict(found[0])


async def _until_drained(database: Database, node: dict[str, Any], terminal: Terminal) -> None:
    terminal.remark(f"Draining {node['name']} ...")
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        now = next((one for one in (await _report(database))["nodes"] if one["id"] == node["id"]), None)
        if now is None or now["state"] == "drained":
            return
        await asyncio.sleep(LOOK_EVERY_S)
    raise Failed(f"{node['name']} was not drained within {WAIT_S:g} s; `greenroom cluster status` shows what is left.")


async def _outcome(database: Database, number: int) -> str:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        outcome = await database.fetch_value(_OUTCOME, number)
        if outcome is not None:
            return str(outcome)
        await asyncio.sleep(LOOK_EVERY_S)
    raise Failed(f"It was not done within {WAIT_S:g} s; `greenroom cluster status` shows how far it is.")


def _drawn(report: dict[str, Any]) -> RenderableType:
    names = {node["id"]: node["name"] for node in report["nodes"]}
    gateways = [gateway["node"] for gateway in report["gateways"]]
    nodes = (
        (node["name"], node["id"][:12], node["address"], node["state"], gateways.count(node["id"]))
        for node in report["nodes"]
    )
    hosts = (
        (
            host["name"] + (" (leaving)" if host["leaving"] else ""),
            names.get(host["node"], host["node"][:12]),
            host["slots"],
            f"{host['turns']:.1%}",
            f"{host['cpu']:.0%}",
        )
        for host in report["hosts"]
    )
    busiest = ", ".join(f"{one['slot']} {one['turns']:.1%}" for one in report["busiest"][:5])
    return Group(
        table(["node", "id", "address", "state", "gateways"], nodes, right=["gateways"]),
        Text(),
        table(["host", "node", "slots", "turns", "cpu"], hosts, right=["slots", "turns", "cpu"]),
        Text(f"\nBusiest slots (time spent in turns): {busiest}" if busiest else "\nNothing happens.", style="dim"),
    )
