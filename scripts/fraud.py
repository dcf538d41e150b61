"""`greenroom fraud`: cases of suspicious players, through the public API, as any moderator could."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

import typer
from rich.console import Group
from rich.text import Text

from greenroom_client import Client, ConnectionLost, Forbidden, GreenroomError, Tokens
from scripts.connect import read_settings, server_url
from scripts.inspect.legible import as_text
from scripts.terminal import USAGE, AsJson, Failed, Terminal, printable, table

app = typer.Typer(no_args_is_help=True, help="Cases of suspicious players: list, show, confirm, dismiss.")

UrlOption = Annotated[str | None, typer.Option(help="server; default: the one of the data folder")]
TokenOption = Annotated[str | None, typer.Option(envvar="GREENROOM_TOKEN", help="access token of a moderator")]
UsernameOption = Annotated[str | None, typer.Option(envvar="GREENROOM_ADMIN_USERNAME", help="account to log in")]
PasswordOption = Annotated[str | None, typer.Option(envvar="GREENROOM_ADMIN_PASSWORD", help="its password")]
CaseArgument = Annotated[str, typer.Argument(metavar="CASE", help="id as `list` shows it")]


class Door:
    """Where the cases are, and who asks."""

    def __init__(self, url: str | None, token: str | None, username: str | None, password: str | None) -> None:
        self.url = url
        self.token = token
        self.username = username
        self.password = password

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """A client that is logged in; what goes wrong becomes Failed."""
        settings = read_settings()
        url = self.url or server_url(settings)
        username = self.username or settings.admin_username
        password = self.password or (settings.admin_password.get_secret_value() if settings.admin_password else None)
        tokens = Tokens(access_token=self.token) if self.token else None
        try:
            async with Client(url, tokens=tokens, deadline_s=10.0) as client:
                if tokens is None:
                    if not username or not password:
                        raise Failed(
                            "Cases need a moderator's account: give --username and --password (or "
                            "GREENROOM_ADMIN_USERNAME and GREENROOM_ADMIN_PASSWORD), or --token.",
                            USAGE,
                        )
                    await client.login(username, password)
                yield client
        except Forbidden as error:
            raise Failed(f"{error}: the account needs the role moderator.") from None
        except ConnectionLost as error:
            raise Failed(f"{error}: is Greenroom running at {url}?") from None
        except GreenroomError as error:
            raise Failed(f"{error} (request {error.request_id})" if error.request_id else str(error)) from None


@app.command("list")
def list_(
    status: Annotated[Literal["open", "confirmed", "dismissed"], typer.Option(help="which cases")] = "open",
    url: UrlOption = None,
    token: TokenOption = None,
    username: UsernameOption = None,
    password: PasswordOption = None,
    as_json: AsJson = False,
) -> None:
    """The cases of a status."""
    terminal, door = Terminal(as_json=as_json), Door(url, token, username, password)

    async def run() -> None:
        async with door.client() as client:
            found = await client.moderation.cases(status)
        cases = found["items"] if isinstance(found, dict) and "items" in found else found
        columns = ["id", "userId", "status", "outcome", "suspicion", "openedAt"]
        drawn = table([*columns, "incidents"], ([*map(case.get, columns), _rules(case)] for case in cases))
        terminal.show(cases, drawn if cases else f"No {status} cases.")

    terminal.run(run())


def _rules(case: dict[str, Any]) -> str:
    rules = [incident["rule"] for incident in case.get("incidents", [])]
    return ", ".join(f"{rule} x{rules.count(rule)}" for rule in dict.fromkeys(rules))


@app.command()
def show(
    case_id: CaseArgument,
    url: UrlOption = None,
    token: TokenOption = None,
    username: UsernameOption = None,
    password: PasswordOption = None,
    as_json: AsJson = False,
) -> None:
    """One case with its evidence."""
    terminal, door = Terminal(as_json=as_json), Door(url, token, username, password)

    async def run() -> None:
        async with door.client() as client:
            case = await client.moderation.case(case_id)
        terminal.show(case, Group(Text(f"case {printable(case_id)}", style="bold"), Text(as_text(case))))

    terminal.run(run())


@app.command()
def confirm(
    case_id: CaseArgument,
    reason: Annotated[str, typer.Option(help="what convinced you; the audit log keeps it")],
    url: UrlOption = None,
    token: TokenOption = None,
    username: UsernameOption = None,
    password: PasswordOption = None,
    as_json: AsJson = False,
) -> None:
    """The case is fraud: what was done stands."""
    terminal, door = Terminal(as_json=as_json), Door(url, token, username, password)

    async def run() -> None:
        async with door.client() as client:
            await client.moderation.confirm(case_id, reason)
        terminal.done(f"Case {case_id} is confirmed.", case=case_id, status="confirmed")

    terminal.run(run())


@app.command()
def dismiss(
    case_id: CaseArgument,
    reason: Annotated[str, typer.Option(help="why it is none; the audit log keeps it")],
    url: UrlOption = None,
    token: TokenOption = None,
    username: UsernameOption = None,
    password: PasswordOption = None,
    as_json: AsJson = False,
) -> None:
    """The case is none: flag and limits are undone."""
    terminal, door = Terminal(as_json=as_json), Door(url, token, username, password)

    async def run() -> None:
        async with door.client() as client:
            await client.moderation.dismiss(case_id, reason)
        terminal.done(f"Case {case_id} is dismissed.", case=case_id, status="dismissed")

    terminal.run(run())
