"""`greenroom doctor`: every setting with its meaning and value, and whether all is well."""

import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import typer
from dotenv import dotenv_values
from pydantic import SecretStr
from rich.console import Group
from rich.text import Text

from schemas.settings import ENV_FILES, Settings, setting_names
from scripts.checks import Finding, Health, postgres, red, servers, surroundings
from scripts.connect import Running, open_database, read_settings, running
from scripts.terminal import FAILED, AsJson, Failed, Terminal, table

_MARKS = {
    Health.GREEN: ("✓", "green"),
    Health.YELLOW: ("!", "yellow"),
    Health.RED: ("✗", "bold red"),
    Health.OFF: ("-", "dim"),
}
_FROM_DEFAULT = "default"


def doctor(as_json: AsJson = False) -> None:
    """Show every setting, and whether all is well. Exit code 1 when something is red."""
    terminal = Terminal(as_json=as_json)

    async def run() -> None:
        settings = read_settings()
        found = running(settings)
        findings = await _examine(settings, found)
        reds = sum(finding.health is Health.RED for finding in findings)
        yellows = sum(finding.health is Health.YELLOW for finding in findings)
        described = _settings(settings)
        report = {
            "ok": reds == 0,
            "version": _version(),
            "running": found is not None,
            "url": found.url if found else None,
            "dashboardUrl": found.dashboard_url if found else None,
            "settings": described,
            "findings": [finding._asdict() for finding in findings],
        }
        terminal.show(report, Group(_drawn_settings(described), Text(), *_drawn(findings, reds, yellows)))
        if reds:
            raise typer.Exit(FAILED)

    terminal.run(run())


async def _examine(settings: Settings, found: Running | None) -> list[Finding]:
    findings = [
        *surroundings.names(),
        *surroundings.files(settings),
        *surroundings.space(settings),
        *surroundings.process(settings, found),
    ]
    findings += [finding async for finding in servers.gateway(found)]
    findings += await _database(settings, found)
    given = settings.redis_url.get_secret_value() if settings.redis_url else None
    findings += [finding async for finding in servers.redis(given or (found.redis_url if found else None))]
    findings += [finding async for finding in servers.ray(settings, found)]
    findings += surroundings.ports(settings, found)
    return findings


async def _database(settings: Settings, found: Running | None) -> list[Finding]:
    if settings.database_url is None and found is None:
        return [Finding("postgres", Health.OFF, "not running; it starts with `greenroom serve`")]
    try:
        async with open_database(settings) as database:
            return [finding async for finding in postgres.look(database, serving=found is not None)]
    except Failed as failed:
        return [red("postgres", str(failed), "Commands are answered with 503 until it is back.")]


def _settings(settings: Settings) -> list[dict[str, Any]]:
    """Every setting: its name, value, where that comes from, and what it means."""
    in_files = {
        name: str(path)
        for path in map(Path, reversed(ENV_FILES))
        if path.is_file()
        for name, value in dotenv_values(path).items()
        if value
    }
    described = []
    for field, name in setting_names().items():
        source = "environment" if os.environ.get(name) else in_files.get(name, _FROM_DEFAULT)
        described.append(
            {
                "name": name,
                "value": _shown(getattr(settings, field), is_url=field.endswith("_url")),
                "source": source,
                "meaning": Settings.model_fields[field].description or "",
            }
        )
    return described


def _shown(value: Any, *, is_url: bool) -> Any:
    if isinstance(value, SecretStr):
        return _without_password(value.get_secret_value()) if is_url else "********"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value) if isinstance(value, Path) else value


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    if "password" in parts.query.lower():
        parts = parts._replace(query="...")
    if parts.password is None:
        return urlunsplit(parts)
    user, _, place = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}:********@{place}"))


def _drawn_settings(described: list[dict[str, Any]]) -> Any:
    rows = []
    for setting in described:
        value = setting["value"]
        text = "" if value is None else str(value)
        rows.append(
            [
                setting["name"],
                Text(text, style="" if setting["source"] == _FROM_DEFAULT else "bold"),
                setting["meaning"],
            ]
        )
    return table(["setting", "value", "meaning"], rows)


def _drawn(findings: list[Finding], reds: int, yellows: int) -> list[Any]:
    rows = []
    for finding in findings:
        mark, style = _MARKS[finding.health]
        told = Text(finding.found)
        if finding.advice:
            told.append(f"\n{finding.advice}", style="dim")
        rows.append([Text(mark, style=style), finding.about, told])
    if reds:
        verdict = Text(f"{reds} red, {yellows} yellow: what is red needs you now.", "bold red")
    elif yellows:
        verdict = Text(f"{yellows} yellow: it works; look at these when you can.", "yellow")
    elif any(finding.health is Health.OFF for finding in findings):
        verdict = Text("Nothing is wrong, but not everything runs.")
    else:
        verdict = Text("All is well.", "green")
    return [table([" ", "check", "found"], rows), Text(), verdict]


def _version() -> str:
    try:
        return version("greenroom")
    except PackageNotFoundError:
        return "0.0.0"
