"""`greenroom admin`: what only who runs the server may do. All of it is audited, and holds within a second."""

import sys
from typing import Annotated, Literal

import typer
from pydantic import SecretStr

from actors.runtime.database import Database, Row
from actors.times import milliseconds, rfc3339
from gateway.accounts import names, store
from gateway.accounts.first import ensure_admin
from gateway.accounts.passwords import checked
from gateway.accounts.tokens import rotate_keys
from scripts.connect import open_database, operator, read_settings
from scripts.terminal import USAGE, AsJson, Failed, Terminal

app = typer.Typer(no_args_is_help=True, help="Administrators, roles, bans and keys.")

ROLE = "operator"
"""By which right the audit log says these things were done."""

Role = Literal["player", "server", "moderator", "designer", "operator", "admin"]
UserArgument = Annotated[str, typer.Argument(metavar="USER", help="username, e-mail address or user id")]
ReasonOption = Annotated[str, typer.Option(help="why; the user is told, and the audit log keeps it")]


@app.command("create-admin")
def create_admin(
    username: Annotated[str, typer.Argument(metavar="USERNAME")],
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="read the password from the first line of the input")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make an administrator; asks for the password."""
    terminal = Terminal(as_json=as_json)
    password = _password(terminal, password_stdin)

    async def run() -> None:
        async with open_database(read_settings()) as database:
            try:
                made = await ensure_admin(database, username, password)
            except ValueError as problem:
                advice = f"`greenroom admin roles {username} admin --grant` makes an account that exists one."
                raise Failed(
                    f"{problem}. {advice}" if "belongs to" in str(problem) else f"The username {problem}."
                ) from None
        text = f"{username} is an administrator now." if made else f"{username} was an administrator already."
        terminal.done(text if made else f"{text} The password was not changed.", username=username, created=made)

    terminal.run(run())


def _password(terminal: Terminal, from_stdin: bool) -> SecretStr:
    if from_stdin:
        text = sys.stdin.readline().rstrip("\r\n")
    elif sys.stdin.isatty():
        text = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        terminal.fail("There is no terminal to ask for the password: give --password-stdin.", USAGE)
    try:
        return checked(SecretStr(text))
    except ValueError as problem:
        terminal.fail(f"The password {problem}.")


@app.command()
def roles(
    user: UserArgument,
    role: Annotated[Role | None, typer.Argument(metavar="[ROLE]", help="player, server, moderator, ...")] = None,
    grant: Annotated[bool | None, typer.Option("--grant/--revoke", help="give the role, or take it back")] = None,
    as_json: AsJson = False,
) -> None:
    """Show a user's roles; with a role, grant or revoke it."""
    terminal = Terminal(as_json=as_json)

    async def run() -> None:
        if (role is None) != (grant is None):
            raise Failed("A role needs --grant or --revoke, and these need a role.", USAGE)
        async with open_database(read_settings()) as database:
            account = await _account(database, user)
            held = list(account["roles"])
            if role is not None and grant is not None:
                async with database.transaction() as connection:
                    held = await store.set_role(connection, account["id"], role, grant) or []
                    details = {"role": role, "grant": grant}
                    await store.add_audit(connection, operator(), ROLE, "set_role", account["id"], details, "")
        facts = {"userId": account["id"], "username": account["display_name"], "roles": held}
        terminal.done(f"{account['display_name']}: {', '.join(held) or 'no roles'}", **facts)

    terminal.run(run())


@app.command()
def ban(
    user: UserArgument,
    reason: ReasonOption,
    until: Annotated[
        str | None, typer.Option(help="when it ends, such as 2026-12-31T00:00:00Z; default: never")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Refuse a user everything, and close their sockets."""
    _sanction(Terminal(as_json=as_json), user, "banned", reason, until)


@app.command()
def suspend(
    user: UserArgument,
    reason: ReasonOption,
    until: Annotated[str, typer.Option(help="when it ends, such as 2026-12-31T00:00:00Z")],
    as_json: AsJson = False,
) -> None:
    """Refuse a user everything for a while."""
    _sanction(Terminal(as_json=as_json), user, "suspended", reason, until)


@app.command()
def reinstate(user: UserArgument, reason: ReasonOption = "reinstated by an operator", as_json: AsJson = False) -> None:
    """Lift bans and suspensions."""
    _sanction(Terminal(as_json=as_json), user, "clear", reason, None)


def _sanction(terminal: Terminal, user: str, standing: str, reason: str, until: str | None) -> None:
    async def run() -> None:
        async with open_database(read_settings()) as database:
            until_ms = await _future(database, until)
            account = await _account(database, user)
            action = {"banned": "ban", "suspended": "suspend", "clear": "reinstate"}[standing]
            end = rfc3339(until_ms) if until_ms is not None else None
            details = {"reason": reason, **({"until": end} if end else {})}
            async with database.transaction() as connection:
                await store.add_sanction(connection, account["id"], standing, until_ms, reason, operator())
                await store.add_audit(connection, operator(), ROLE, action, account["id"], details, "")
        shown = "reinstated" if standing == "clear" else standing
        text = f"{account['display_name']} is {shown}{f' until {end}' if end else ''}."
        terminal.done(text, userId=account["id"], username=account["display_name"], standing=standing, until=end)

    terminal.run(run())


async def _future(database: Database, until: str | None) -> int | None:
    if until is None:
        return None
    try:
        until_ms = milliseconds(until)
    except ValueError as problem:
        raise Failed(f"--until: {until!r} {problem}", USAGE) from None
    if until_ms <= await store.now_ms(database):
        raise Failed(f"--until: {until} is over already.", USAGE)
    return until_ms


@app.command("rotate-keys")
def rotate_keys_(as_json: AsJson = False) -> None:
    """Sign access tokens with a new key from now on; tokens of the old ones stay valid until they expire."""
    terminal = Terminal(as_json=as_json)

    async def run() -> None:
        async with open_database(read_settings()) as database, database.transaction() as connection:
            kid = await rotate_keys(connection)
            await store.add_audit(connection, operator(), ROLE, "rotate_keys", kid, {}, "")
        terminal.done(f"Key {kid} signs from now on; the former ones verify for another 15 minutes.", kid=kid)

    terminal.run(run())


async def _account(database: Database, user: str) -> Row:
    """The account by id, username or e-mail address."""
    row = await store.account_by_id(database, user)
    if row is None and "@" in user:
        row = await store.account_by_email(database, user)
    if row is None:
        row = await store.account_by_name(database, names.folded(user))
    if row is None:
        raise Failed(f"There is no user {user!r}, neither by id nor by name.")
    return row
