"""Checks of what surrounds the servers: settings, files, ports, and whether anything runs at all."""

import os
import shutil
from collections.abc import Iterator
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path

import psutil
from dotenv import dotenv_values

from schemas.settings import ENV_FILES, Settings, exposed_files, setting_names, unknown_names
from scripts.checks import Finding, green, off, red, yellow
from scripts.connect import Running

FREE_BYTES_MIN = 5 << 30
FREE_BYTES_RED = 1 << 30


def names() -> Iterator[Finding]:
    """Misspelt settings, in the environment and in `.env`."""
    places = {"the environment": dict(os.environ)}
    for path in {Path(name).absolute() for name in ENV_FILES}:
        if path.is_file():
            places[str(path)] = {name: value or "" for name, value in dotenv_values(path).items()}
    wrong = [f"{name} in {place}" for place, values in places.items() for name in _unknown(values)]
    if wrong:
        meant = {each for name in wrong for each in get_close_matches(name.split()[0], setting_names().values())}
        hint = f"Is {' or '.join(sorted(meant))} meant?" if meant else "The settings are listed above."
        yield yellow("names of settings", ", ".join(wrong), f"No setting is called so. {hint}")
    else:
        yield green("names of settings", "all known")


def _unknown(values: dict[str, str]) -> list[str]:
    # What the tools take beside the settings, and what serve gives its own processes.
    return [name for name in unknown_names(values) if name not in ("GREENROOM_TOKEN",) and "DASHBOARD_" not in name]


def files(settings: Settings) -> Iterator[Finding]:
    """Files with secrets that others on this machine can read."""
    secrets = [settings.data / name for name in ("run.json", "ray_token")]
    exposed = [path for path in secrets if path.is_file() and path.stat().st_mode & 0o077]
    exposed += exposed_files()
    if exposed:
        listed = ", ".join(map(str, exposed))
        yield red("secrets", f"others can read {listed}", f"chmod 600 {' '.join(map(str, exposed))}")
    else:
        yield green("secrets", "no file with secrets can be read by others")


def space(settings: Settings) -> Iterator[Finding]:
    """Room for the journal, where Postgres is ours."""
    if settings.database_url is not None or not settings.data.is_dir():
        return
    free = shutil.disk_usage(settings.data).free
    found = f"{free / (1 << 30):.1f} GiB free at {settings.data}"
    if free < FREE_BYTES_RED:
        yield red("disk", found, "Make room: when the disk is full, commands are refused.")
    elif free < FREE_BYTES_MIN:
        yield yellow("disk", found, "Make room before the journal fills it.")
    else:
        yield green("disk", found)


def process(settings: Settings, running: Running | None) -> Iterator[Finding]:
    """Whether a Greenroom serves the data folder."""
    if running is not None:
        dashboard = f"; Ray dashboard at {running.dashboard_url}" if running.dashboard_url else ""
        yield green("greenroom", f"serves {running.url} as process {running.pid}{dashboard}")
    elif (settings.data / "run.json").exists():
        advice = "Start it again with `greenroom serve`: it recovers by itself, and nothing acknowledged is lost."
        yield yellow("greenroom", "is not running, and did not stop in order", advice)
    else:
        yield off("greenroom", f"is not running (nothing serves {settings.data}); `greenroom serve` starts it")


def ports(settings: Settings, running: Running | None) -> Iterator[Finding]:
    """Where the processes of this Greenroom listen: nothing but the gateways' port is meant for others."""
    if running is None:
        yield off("ports", "nothing listens")
        return
    try:
        listening = _listening(psutil.Process(running.pid))
    except psutil.Error:
        yield off("ports", "this user cannot see where the processes listen")
        return
    port = int(running.url.rpartition(":")[2])
    public = sorted({(address, at) for address, at in listening if not _is_loopback(address)})
    others = [f"{address}:{at}" for address, at in public if at != port]
    if others:
        advice = "Firewall them: only the gateways' port is meant for others."
        finding = yellow if settings.ray_address is not None else red
        yield finding("ports", f"open to the network: {', '.join(others)}", advice)
    elif public:
        advice = "Put a proxy with TLS in front, and let the firewall pass nothing else."
        yield yellow("ports", f"the gateways are open to the network on port {port}, without TLS", advice)
    else:
        yield green("ports", f"all {len(listening)} listen on loopback only")


def _listening(root: psutil.Process) -> set[tuple[str, int]]:
    found = set()
    for process_ in [root, *root.children(recursive=True)]:
        try:
            connections = process_.net_connections(kind="inet")
        except psutil.Error:
            continue
        found |= {(each.laddr.ip, each.laddr.port) for each in connections if each.status == psutil.CONN_LISTEN}
    return found


def _is_loopback(address: str) -> bool:
    parsed = ip_address(address)
    mapped = getattr(parsed, "ipv4_mapped", None)
    return bool((mapped or parsed).is_loopback)
