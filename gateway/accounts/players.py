"""The players behind accounts: each is made by a command to its actor, once, before its account is let in."""

import asyncio
import hashlib
from typing import Any

import structlog

from actors.catalog import Catalog
from actors.core import Command
from actors.runtime.database import Database
from actors.runtime.router import Router
from gateway.accounts import store
from gateway.accounts.sessions import Account
from schemas.address import player
from schemas.messages import SYSTEM

PLAYER_WITHIN_S = 5.0

log = structlog.get_logger(__name__)


class Players:
    """Where hosts are out of reach, the account's next request tries again."""

    def __init__(self, database: Database, router: Router) -> None:
        self._database = database
        self._router = router
        self._player_create: type[Command[Any]] | None = None

    def open(self) -> None:
        self._player_create = Catalog().kind("player").command("create")

    async def make(self, account: Account) -> None:
        """Make the player of an account, unless that is not possible now."""
        if await self.create(account.user_id, account.display_name):
            await store.players_made(self._database, [account.user_id])
            account.player_made = True

    async def create(self, user_id: str, name: str) -> bool:
        """Whether the player is there and has this name. The command is idempotent, under one op for each name."""
        if self._player_create is None:
            return False
        command = self._player_create.model_validate({"name": name})
        op = f"create:{user_id}:{hashlib.blake2b(name.encode(), digest_size=8).hexdigest()}"
        try:
            async with asyncio.timeout(PLAYER_WITHIN_S):
                reply = await self._router.command(player(user_id), command, SYSTEM, op=op)
        except TimeoutError:
            return False
        if reply.status != 200:
            log.warning("player_not_made", user_id=user_id, status=reply.status)
        return reply.status == 200
