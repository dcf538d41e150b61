"""Notifications that leave Greenroom: mail and push, for players who chose so and are not there to see them.

Each stands in a table since the commit of the player's event, and is deleted when it has left. Whoever is about to send
one first moves its time, so that another gateway takes over when this one dies: none is lost, and at the worst one goes
out twice, under the same message id.
"""

import asyncio
from importlib import import_module
from typing import NamedTuple, Protocol

import structlog

from actors.runtime.database import Database, Row
from gateway.mail import Mail
from gateway.presence import OFFLINE, Presence
from schemas.problems import Refusal
from schemas.settings import Settings

LOOK_EVERY_S = 2.0
BATCH = 20
ATTEMPTS_MAX = 8

_CLAIM = """
UPDATE notice SET attempts = attempts + 1, due = now() + interval '30 seconds' * (1 << attempts)
FROM (SELECT id FROM notice WHERE due <= now() ORDER BY due LIMIT $1 FOR UPDATE SKIP LOCKED) ready
WHERE notice.id = ready.id
RETURNING notice.id, notice.user_id, notice.way, notice.title, notice.body, notice.attempts
"""
_DONE = "DELETE FROM notice WHERE id = $1"
_ADDRESS = "SELECT email FROM account WHERE id = $1"

log = structlog.get_logger("postman")


class Notice(NamedTuple):
    """What leaves. The id is the same at each attempt."""

    id: str
    user_id: str
    title: str
    body: str
    address: str
    """Where mail goes; empty when the player gave none."""


class Carrier(Protocol):
    """A way out. A push service is a class with this method, named in GREENROOM_PUSH_SERVICE as `module:Class`."""

    async def carry(self, notice: Notice) -> None:
        """Send it. A Refusal of status 503 is tried again later; any other means that it cannot be sent at all."""


class MailCarrier:
    """By mail, to the address of the account."""

    def __init__(self, mail: Mail) -> None:
        self._mail = mail

    async def carry(self, notice: Notice) -> None:
        if notice.address:
            # A line break would end the header.
            await self._mail.send(notice.address, " ".join(notice.title.split()), notice.body, id_=notice.id)


class LoggedPush:
    """No push service: a line in the log stands for the push."""

    async def carry(self, notice: Notice) -> None:
        log.info("push", user=notice.user_id, title=notice.title, id=notice.id)


def carriers(settings: Settings) -> dict[str, Carrier]:
    """The ways out, as the settings have them."""
    push: Carrier = LoggedPush()
    if settings.push_service:
        module, _, name = settings.push_service.partition(":")
        push = getattr(import_module(module), name)()
    return {"mail": MailCarrier(Mail(settings)), "push": push}


class Postman:
    """Takes what is due, and hands it to its carrier."""

    def __init__(self, database: Database, presence: Presence, ways: dict[str, Carrier]) -> None:
        self._database = database
        self._presence = presence
        self._ways = ways

    async def run_forever(self) -> None:
        """Look every two seconds; at once again after a full batch."""
        while True:
            try:
                taken = await self.deliver()
            except Refusal as refusal:
                log.warning("notices_not_read", reason=refusal.message)
                taken = 0
            if taken < BATCH:
                await asyncio.sleep(LOOK_EVERY_S)

    async def deliver(self) -> int:
        """Send what is due, a batch at most; how many that were."""
        rows = await self._database.fetch(_CLAIM, BATCH)
        statuses = await self._presence.statuses([row["user_id"] for row in rows])
        for row in rows:
            # Who is there has been told through the socket.
            if statuses[row["user_id"]] != OFFLINE or await self._left(row["way"], await self._notice(row), row):
                await self._database.execute(_DONE, row["id"])
        return len(rows)

    async def _notice(self, row: Row) -> Notice:
        address = await self._database.fetch_value(_ADDRESS, row["user_id"]) if row["way"] == "mail" else ""
        return Notice(row["id"], row["user_id"], row["title"], row["body"], address or "")

    async def _left(self, way: str, notice: Notice, row: Row) -> bool:
        """Whether there is nothing more to be done about it."""
        try:
            await self._ways[way].carry(notice)
        except Refusal as refusal:
            if refusal.status == 503 and row["attempts"] < ATTEMPTS_MAX:
                return False
            log.error("notice_given_up", id=notice.id, way=way, reason=refusal.code)
        except Exception:
            log.exception("notice_failed", id=notice.id, way=way)
            return bool(row["attempts"] >= ATTEMPTS_MAX)
        return True
