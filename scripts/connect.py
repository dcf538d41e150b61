"""Finds the Greenroom that the tools are about: the one of the data folder, or the database that settings name."""

import getpass
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from pydantic import ValidationError

from actors.runtime.database import Database
from schemas.problems import Refusal
from schemas.settings import Settings, setting_names
from scripts.terminal import USAGE, Failed

STATEMENT_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Running:
    """A Greenroom that serves at this moment."""

    pid: int
    url: str
    database_url: str
    redis_url: str
    ray_address: str
    dashboard_url: str | None


def read_settings() -> Settings:
    """The settings of the environment; what is wrong with them is told by the names of the variables."""
    try:
        return Settings()
    except ValidationError as error:
        names = setting_names()
        faults = []
        for item in error.errors(include_input=False, include_url=False):
            field = str(item["loc"][0]) if item["loc"] else ""
            message = item["msg"].removeprefix("Value error, ")
            faults.append(f"{names.get(field, field)}: {message}" if field else message)
        raise Failed("The settings are wrong. " + "; ".join(faults), USAGE) from None


def running(settings: Settings) -> Running | None:
    """The Greenroom that serves the data folder; None when there is none."""
    described = _described(settings.data / "run.json")
    if described is None or not psutil.pid_exists(described["pid"]):
        return None
    return Running(**described)


def _described(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:
        raise Failed(f"{path} belongs to another user: run this as the user that runs `greenroom serve`.") from None
    except ValueError:
        return None
    fields = Running.__dataclass_fields__
    return {name: found.get(name) for name in fields} if isinstance(found.get("pid"), int) else None


def database_url(settings: Settings) -> str:
    """Where the journal is; raises Failed when nothing runs that could say so."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    found = running(settings)
    if found is None:
        raise Failed(
            f"No Greenroom serves {settings.data}. Start one with `greenroom serve`, "
            "or set GREENROOM_DATA to the folder of one that runs, or DATABASE_URL to its database."
        )
    return found.database_url


def server_url(settings: Settings) -> str:
    """Where the gateways listen."""
    found = running(settings)
    return found.url if found is not None else f"http://{settings.bind}"


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """The database of the Greenroom that the settings are about."""
    database = Database(database_url(settings), size=2, acquire_timeout_s=5.0, statement_timeout_s=STATEMENT_TIMEOUT_S)
    try:
        await database.open()
    except Refusal as refusal:
        raise Failed(f"{refusal.message} Is it running? `greenroom doctor` looks.") from None
    try:
        yield database
    finally:
        await database.close()


def operator() -> str:
    """Who works at this terminal, as the audit log names it."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return f"cli:{os.getuid()}"
