"""What the tools show: tables for people, JSON for programs, and errors that say what to do next."""

import asyncio
import json
import logging
import sys
from collections.abc import Coroutine, Iterable, Sequence
from typing import Annotated, Any, NoReturn

import structlog
import typer
from rich.console import Console, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from schemas.problems import Refusal

AsJson = Annotated[bool, typer.Option("--json", help="print JSON for programs")]

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
"""Exit codes of every command."""

PIPED_WIDTH = 240

# The parts that the tools share with the server log to its files; here only what is wrong is of interest.
structlog.configure(
    wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
    logger_factory=structlog.PrintLoggerFactory(sys.stderr),
)


class Failed(Exception):
    """What was asked for cannot be done; the message says why, and what to do."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


class Terminal:
    """Where a command prints: JSON goes to stdout alone, remarks and errors for people to stderr."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        # What is piped into another program or a file is not cut to the width of a screen that is not there.
        self.console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
        self.remarks = Console(stderr=True, highlight=False, soft_wrap=True)

    def show(self, value: Any, rendered: RenderableType | None = None) -> None:
        """The value as JSON, or rendered for people."""
        if self.as_json:
            print(json.dumps(value, ensure_ascii=False, default=str), flush=True)
        elif rendered is not None:
            self.console.print(Text(rendered) if isinstance(rendered, str) else rendered)

    def remark(self, text: str) -> None:
        """Something beside the answer, for people."""
        if not self.as_json:
            self.remarks.print(Text(text, style="dim"))

    def done(self, text: str, **facts: Any) -> None:
        """What was changed."""
        self.show({"ok": True, **facts}, text)

    def fail(self, message: str, code: int = FAILED) -> NoReturn:
        """Say what went wrong where the caller looks for it, and end."""
        if self.as_json:
            print(json.dumps({"ok": False, "error": message}, ensure_ascii=False))
        else:
            self.remarks.print(Text.assemble(("error: ", "red"), message))
        raise typer.Exit(code)

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run the command; what is expected to go wrong becomes a message and an exit code, never a traceback."""
        try:
            asyncio.run(work)
        except Failed as failed:
            self.fail(str(failed), failed.code)
        except Refusal as refusal:
            self.fail(f"{refusal.message} ({refusal.code})")
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            # Whoever read our output has had enough; Python would complain once more when it flushes.
            sys.stdout = None
            raise typer.Exit(OK) from None


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Iterable[str] = ()) -> Table:
    """A table whose cells are never read as markup; columns in `right` hold numbers."""
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    numbers = set(right)
    for column in columns:
        justify: JustifyMethod = "right" if column in numbers else "left"
        # The first column is what one copies from the table.
        drawn.add_column(column, justify=justify, overflow="fold", no_wrap=column == columns[0])
    for row in rows:
        drawn.add_row(*(cell if isinstance(cell, Text) else Text(_cell(cell)) for cell in row))
    return drawn


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return printable(str(value))


def printable(text: str) -> str:
    """The text without what could steer a terminal."""
    return "".join(
        character if character.isprintable() or character in "\n\t" else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )
