"""`greenroom migrate`: brings the database's schema up to date, without starting anything else."""

from typing import Annotated

import typer

from actors.runtime.database import Database
from actors.runtime.migrations import SchemaUnknown, migrations
from actors.runtime.migrations import migrate as run_migrations
from scripts.connect import open_database, read_settings, running
from scripts.embedded.folder import DataFolder
from scripts.embedded.postgres import EmbeddedPostgres
from scripts.embedded.processes import ServerFailed
from scripts.terminal import AsJson, Failed, Terminal

_RAN = "SELECT number FROM migration"
_THERE = "SELECT to_regclass('migration') IS NOT NULL"


def migrate(
    check: Annotated[bool, typer.Option("--check", help="change nothing; code 1 when something is due")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring the database's schema up to date; `serve` does it by itself. Needs nothing else to run."""
    terminal = Terminal(as_json=as_json)

    async def run() -> None:
        settings = read_settings()
        if settings.database_url is not None or running(settings) is not None:
            async with open_database(settings) as database:
                await _migrate(database, terminal, check=check)
            return
        terminal.remark(f"No Greenroom serves {settings.data}: its Postgres is started for this.")
        try:
            async with DataFolder(settings.data) as folder:
                postgres = EmbeddedPostgres(folder, unsafe=settings.unsafe)
                database = Database(await postgres.start())
                try:
                    await database.open()
                    await _migrate(database, terminal, check=check)
                finally:
                    await database.close()
                    await postgres.stop()
        except ServerFailed as failure:
            raise Failed(str(failure)) from None

    terminal.run(run())


async def _migrate(database: Database, terminal: Terminal, *, check: bool) -> None:
    if check:
        there = await database.fetch_value(_THERE)
        ran = {row["number"] for row in await database.fetch(_RAN)} if there else set()
        due = [f"{one.number:04}_{one.name}" for one in migrations() if one.number not in ran]
        terminal.show({"ok": not due, "due": due}, f"Due: {', '.join(due)}" if due else "The schema is up to date.")
        if due:
            raise typer.Exit(1)
        return
    try:
        done = await run_migrations(database)
    except SchemaUnknown as unknown:
        raise Failed(str(unknown)) from None
    terminal.done(f"Ran {', '.join(done)}." if done else "The schema was up to date.", ran=done)
