"""How somebody comes in: from where, with what, and as whom."""

from typing import Any, NamedTuple

from actors.runtime.database import Row, UniqueConflict
from actors.times import rfc3339
from gateway.accounts import tokens
from gateway.accounts.mfa import Challenge
from gateway.accounts.sessions import Account
from schemas.problems import Refusal

_TAKEN = {
    "account_name_folded": ("username_taken", "This username is taken, or looks like one that is."),
    "account_name_shown": ("username_taken", "This username is taken, or looks like one that is."),
    "account_email": ("email_taken", "An account with this e-mail address exists."),
}


class Origin(NamedTuple):
    """Where a login comes from."""

    address: str
    user_agent: str = ""


class Tokens(NamedTuple):
    """What a login gives."""

    user_id: str
    access: str
    refresh: str


class Entry(NamedTuple):
    """How a login ends: with tokens, or with the question for a second factor; and whose account it is."""

    given: Tokens | Challenge
    user: dict[str, Any]


def described(row: Row) -> dict[str, Any]:
    """What users are told of their own account."""
    last_login_at = row["last_login_at"]
    return {
        "userId": row["id"],
        "username": row["display_name"],
        "email": row["email"],
        "roles": list(row["roles"]),
        "createdAt": rfc3339(row["created_at"]),
        "lastLoginAt": rfc3339(last_login_at) if last_login_at is not None else None,
    }


def taken(conflict: UniqueConflict) -> Refusal:
    """What somebody is told who wants a name or an address that another account has."""
    return Refusal(*_TAKEN[conflict.constraint])


def device_of(device_id: str) -> bytes:
    """What is stored of a device id; nothing of none."""
    return tokens.fingerprint(f"device:{device_id}") if device_id else b""


def account_of(row: Row) -> Account:
    """The account in this row, with its standing."""
    account = Account(row["id"], row["display_name"], tuple(row["roles"]), row["player_made"])
    account.standing, account.until, account.reason = row["standing"], row["until"], row["reason"]
    return account
