"""`greenroom content`: checks and publishes what designers write."""

from pathlib import Path
from typing import Annotated

import typer

from actors.content import Content
from actors.runtime.content import publish as publish_version
from actors.times import rfc3339
from gateway.accounts import store
from scripts.connect import open_database, operator, read_settings
from scripts.content_files import ContentFaults, load_content
from scripts.terminal import AsJson, Failed, Terminal, table

app = typer.Typer(no_args_is_help=True, help="Check and publish what designers write.")

FolderArgument = Annotated[
    Path | None, typer.Argument(metavar="[FOLDER]", help="folder of content files; default: GREENROOM_CONTENT")
]

_VERSIONS = """
SELECT version, (extract(epoch FROM published_at) * 1000)::bigint AS published_at, published_by, active
FROM content ORDER BY version DESC LIMIT $1
"""


@app.command()
def check(folder: FolderArgument = None, as_json: AsJson = False) -> None:
    """Validate content files as a whole: every fault with its file, line and field."""
    terminal = Terminal(as_json=as_json)

    async def run() -> None:
        place = folder or read_settings().content
        content = _load(terminal, place)
        parts = {name: len(part) for name, part in content if isinstance(part, dict)}
        terminal.done(
            f"{place} is valid: {', '.join(f'{count} {name}' for name, count in parts.items())}.", parts=parts
        )

    terminal.run(run())


@app.command()
def publish(folder: FolderArgument = None, as_json: AsJson = False) -> None:
    """Validate content files, and make them what every turn is decided under from now on."""
    terminal = Terminal(as_json=as_json)

    async def run() -> None:
        settings = read_settings()
        content = _load(terminal, folder or settings.content)
        async with open_database(settings) as database:
            before = await database.fetch_value("SELECT version FROM content WHERE active")
            version = await publish_version(database, content.model_dump(mode="json", exclude={"version"}), operator())
            if version != before:
                details = {"former": before}
                await store.add_audit(database, operator(), "operator", "content.publish", str(version), details, "")
        changed = version != before
        text = f"Version {version} is active." if changed else f"Nothing changed; version {version} stays active."
        terminal.done(text, version=version, changed=changed)

    terminal.run(run())


@app.command()
def versions(
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="at most so many, the newest first")] = 20,
    as_json: AsJson = False,
) -> None:
    """What was published, when and by whom."""
    terminal = Terminal(as_json=as_json)

    async def run() -> None:
        async with open_database(read_settings()) as database:
            rows = [dict(row) for row in await database.fetch(_VERSIONS, limit)]
        listed = [
            {
                "version": row["version"],
                "at": rfc3339(row["published_at"]),
                "by": row["published_by"],
                "active": row["active"],
            }
            for row in rows
        ]
        columns = ["version", "at", "by", "active"]
        terminal.show(listed, table(columns, ([row[name] for name in columns] for row in listed)))

    terminal.run(run())


def _load(terminal: Terminal, folder: Path) -> Content:
    try:
        return load_content(folder)
    except ContentFaults as faults:
        if terminal.as_json:
            listed = [
                {"file": fault.file, "line": fault.line, "field": fault.field, "message": fault.message}
                for fault in faults.faults
            ]
            terminal.show({"ok": False, "faults": listed})
            raise typer.Exit(1) from None
        raise Failed(f"{folder} is not valid:\n{faults}") from None
