"""Figures 11 and 12: a fresh Greenroom each round: until it is ready, what it weighs, and a history imported."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from scripts.bench.figures import Results
from scripts.bench.harness import BenchFailed, Server, own_server, settled

KEYS = frozenset({"11a", "11b", "12"})
_IMPORT = "from scripts.import_scores import import_scores; import typer; typer.run(import_scores)"


async def measure(results: Results, wanted: set[str], *, football: Path | None, idle_s: float) -> None:
    """One round."""
    async with own_server() as server:
        if "11a" in wanted:
            results.add("11a", server.ready_s)
        if "11b" in wanted:
            await settled(server)
            await asyncio.sleep(idle_s)
            memory = server.pss_bytes()
            details = {f"{part} MB": used / 1e6 for part, used in memory.by_part.items()}
            results.add("11b", memory.total / 1e9, **details)
        if "12" in wanted and football is not None:
            await _import(server, results, football)


async def _import(server: Server, results: Results, football: Path) -> None:
    before = server.cpu_seconds()
    report = await _imported(server, football)
    used = server.cpu_seconds().since(before)
    if report["acknowledged"] != report["goals"]:
        raise BenchFailed(f"not every goal was acknowledged: {report}")
    details = {"goals a second": report["goals"] / report["seconds"], "server CPU s": used.total}
    results.add("12", report["seconds"], **details, **{f"{part} CPU s": used[part] for part in used.by_part})
    again = await _imported(server, football)
    results.add_detail("12", "the same again s", again["seconds"])


async def _imported(server: Server, football: Path) -> dict[str, Any]:
    arguments = [str(football), "--url", server.url, "--username", server.username, "--json"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _IMPORT, *arguments),
        env={**server.environment, "GREENROOM_ADMIN_PASSWORD": server.password},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise BenchFailed(f"the import ended with code {process.returncode}: {output.decode()[-500:]}")
    report: dict[str, Any] = json.loads(output)
    return report
