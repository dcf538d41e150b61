"""Mail and push that leave after a player's commit: none is lost, and what goes out twice has the same message id."""

import asyncio

from pydantic import SecretStr

from actors.runtime.bus import Bus
from actors.runtime.database import Database
from gateway.mail import Mail
from gateway.postman import ATTEMPTS_MAX, BATCH, Carrier, MailCarrier, Notice, Postman
from gateway.presence import Presence
from schemas.problems import Refusal
from schemas.settings import Settings
from tests.integration.place import Place, own_place, servers
from tests.integration.postbox import Postbox, postbox

__all__ = ["own_place", "servers"]

WRITE = "INSERT INTO notice (id, user_id, way, title, body, at) VALUES ($1, $2, $3, 'A title', 'A body', 1)"
ACCOUNT = "INSERT INTO account (id, display_name, email, email_folded) VALUES ($1, $1, $2, $2)"


class Stubborn:
    """A push service that refuses, dies, or takes its time, as it is told."""

    def __init__(self, *troubles: BaseException | None) -> None:
        self.troubles = list(troubles)
        self.carried: list[str] = []

    async def carry(self, notice: Notice) -> None:
        await asyncio.sleep(0)
        trouble = self.troubles.pop(0) if self.troubles else None
        if trouble is not None:
            raise trouble
        self.carried.append(notice.id)


async def office(place: Place, push: Stubborn | None = None, box: Postbox | None = None) -> tuple[Database, Postman]:
    """A postman, and the database that it looks into; nobody is connected."""
    database = await place.database()
    settings = Settings(smtp_url=SecretStr(box.url) if box is not None else None)
    ways: dict[str, Carrier] = {"mail": MailCarrier(Mail(settings)), "push": push or Stubborn()}
    return database, Postman(database, Presence(Bus("redis://127.0.0.1:1")), ways)


async def waiting(database: Database) -> list[str]:
    return [row["id"] for row in await database.fetch("SELECT id FROM notice ORDER BY id")]


async def past_the_pause(database: Database) -> None:
    await database.execute("UPDATE notice SET due = now()")


async def test_mail_goes_to_the_address_of_the_account_and_nowhere_without_one(own_place: Place) -> None:
    async with postbox() as box:
        database, postman = await office(own_place, box=box)
        await database.execute(ACCOUNT, "ann", "ann@example.com")
        await database.execute("INSERT INTO account (id, display_name) VALUES ('bob', 'bob')")
        for user in ("ann", "bob", "nobody"):
            await database.execute(WRITE, f"{user}-1.mail", user, "mail")
        assert await postman.deliver() == 3
        [(receiver, mail)] = box.mails
        assert (receiver, mail["Subject"], mail.get_content().strip()) == ("ann@example.com", "A title", "A body")
        assert mail["Message-ID"] == "<ann-1.mail@localhost>"
        assert await waiting(database) == []


async def test_what_one_has_claimed_and_not_sent_another_sends_under_the_same_id(own_place: Place) -> None:
    async with postbox() as box:
        database, postman = await office(own_place, box=box)
        await database.execute(ACCOUNT, "ann", "ann@example.com")
        await database.execute(WRITE, "1.mail", "ann", "mail")
        carrier = postman._ways["mail"]

        class DiesAfterwards:
            async def carry(self, notice: Notice) -> None:
                await carrier.carry(notice)
                raise asyncio.CancelledError

        postman._ways["mail"] = DiesAfterwards()
        try:
            await postman.deliver()
        except asyncio.CancelledError:
            assert await waiting(database) == ["1.mail"]
        _, other = await office(own_place, box=box)
        assert await other.deliver() == 0, "it is left to the first for a while"
        await past_the_pause(database)
        assert await other.deliver() == 1
        assert [mail["Message-ID"] for _, mail in box.mails] == ["<1.mail@localhost>"] * 2
        assert await waiting(database) == []


async def test_a_service_that_is_away_is_asked_again_later_and_not_for_ever(own_place: Place) -> None:
    push = Stubborn(*(Refusal("UNAVAILABLE") for _ in range(ATTEMPTS_MAX)))
    database, postman = await office(own_place, push)
    await database.execute(WRITE, "1.push", "ann", "push")
    for _ in range(ATTEMPTS_MAX - 1):
        assert await postman.deliver() == 1
        assert await waiting(database) == ["1.push"]
        assert await postman.deliver() == 0
        await past_the_pause(database)
    await postman.deliver()
    assert await waiting(database) == []
    assert push.carried == []


async def test_one_that_cannot_be_sent_holds_up_no_other(own_place: Place) -> None:
    push = Stubborn(Refusal("address_refused"), RuntimeError("a bug"), None)
    database, postman = await office(own_place, push)
    for number in range(3):
        await database.execute(WRITE, f"{number}.push", "ann", "push")
    await postman.deliver()
    assert len(push.carried) == 1
    assert len(await waiting(database)) == 1
    await past_the_pause(database)
    await postman.deliver()
    assert await waiting(database) == []


async def test_two_postmen_send_each_notice_once(own_place: Place) -> None:
    push = Stubborn()
    database, one = await office(own_place, push)
    _, other = await office(own_place, push)
    ids = [f"{number:03}.push" for number in range(3 * BATCH)]
    for id_ in ids:
        await database.execute(WRITE, id_, "ann", "push")
    while await waiting(database):
        await asyncio.gather(one.deliver(), other.deliver())
    assert sorted(push.carried) == ids
