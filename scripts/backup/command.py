"""`greenroom backup` and `greenroom restore`: the commands, their progress bars and what they print."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from scripts.backup.archive import SUFFIX, read_manifest
from scripts.backup.dump import take
from scripts.backup.load import load
from scripts.connect import database_url, read_settings, running
from scripts.embedded.folder import DataFolder
from scripts.embedded.postgres import EmbeddedPostgres
from scripts.embedded.processes import ServerFailed
from scripts.terminal import AsJson, Failed, Terminal


def backup(
    to: Annotated[Path, typer.Argument(metavar="FILE-OR-FOLDER", help="a new file, or a folder that gets one")],
    as_json: AsJson = False,
) -> None:
    """Write everything that the Greenroom holds into one file, while it serves. The file holds secrets."""
    terminal = Terminal(as_json=as_json)

    async def run() -> None:
        path = to / f"greenroom-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}{SUFFIX}" if to.is_dir() else to
        started = time.monotonic()
        with _bar("backing up", as_json) as (bar, task):
            manifest, size = await take(
                database_url(read_settings()),
                path.absolute(),
                lambda done, expected: bar.update(task, completed=done, total=max(done, expected)),
            )
        took_s = round(time.monotonic() - started, 2)
        terminal.done(
            f"{path}: {manifest.turns:,} turns as of {manifest.at}, {size / 1e6:,.1f} MB in {took_s} s. "
            "It holds secrets: keep it where only operators can read it.",
            file=str(path.absolute()),
            fileBytes=size,
            seconds=took_s,
            **manifest.facts(),
        )

    terminal.run(run())


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="a backup")],
    check: Annotated[bool, typer.Option("--check", help="only say what the backup is, and whether it fits")] = False,
    as_json: AsJson = False,
) -> None:
    """Fill an empty Postgres from a backup: of the data folder, or the one that DATABASE_URL names.

    Nothing may serve it meanwhile, and nothing may be in it. All is restored, or nothing.
    """
    terminal = Terminal(as_json=as_json)

    async def run() -> None:
        manifest = read_manifest(file)
        manifest.check()
        if check:
            terminal.done(f"{file}: {manifest.turns:,} turns as of {manifest.at}; it fits.", **manifest.facts())
            return
        settings = read_settings()
        if running(settings) is not None:
            raise Failed(f"A Greenroom serves {settings.data}. Stop it, or restore into another folder.")
        started = time.monotonic()
        with _bar("restoring", as_json) as (bar, task):
            bar.update(task, total=manifest.table_bytes)

            async def fill(url: str) -> list[str]:
                return await load(
                    url,
                    file,
                    manifest,
                    lambda done: bar.update(task, completed=done, total=max(done, manifest.table_bytes)),
                )

            if settings.database_url is not None:
                ran = await fill(settings.database_url.get_secret_value())
            else:
                try:
                    async with DataFolder(settings.data) as folder:
                        postgres = EmbeddedPostgres(folder, unsafe=settings.unsafe)
                        try:
                            ran = await fill(await postgres.start())
                        finally:
                            await postgres.stop()
                except ServerFailed as failure:
                    raise Failed(str(failure)) from None
        took_s = round(time.monotonic() - started, 2)
        terminal.done(
            f"Restored {manifest.turns:,} turns as of {manifest.at} in {took_s} s"
            + (f", and migrated: {', '.join(ran)}" if ran else "")
            + ". `greenroom serve` starts on it; `greenroom verify` proves it.",
            seconds=took_s,
            migrated=ran,
            **manifest.facts(),
        )

    terminal.run(run())


@contextmanager
def _bar(what: str, as_json: bool) -> Iterator[tuple[Progress, TaskID]]:
    """How far it is, for people who watch; and its task."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn(what), BarColumn(bar_width=None), DownloadColumn(), TimeElapsedColumn())
    visible = console.is_terminal and not as_json
    with Progress(*columns, console=console, transient=True, disable=not visible) as progress:
        yield progress, progress.add_task(what, total=None)
