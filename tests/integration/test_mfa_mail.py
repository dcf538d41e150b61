"""Second factors by mail, with a real mail server, and the mail itself."""

import pytest
import structlog
from pydantic import SecretStr
from structlog.testing import LogCapture

from gateway.mail import Mail
from schemas.problems import Refusal
from schemas.settings import Settings
from tests.integration.phones import box, mailing, nothing_counted, person, with_mail
from tests.integration.place import Gateway, Place, gateway, place, servers
from tests.integration.postbox import PASSWORD as MAIL_PASSWORD
from tests.integration.postbox import USER as MAIL_USER
from tests.integration.postbox import Postbox, postbox

__all__ = ["box", "gateway", "mailing", "nothing_counted", "place", "servers"]


async def test_a_code_comes_by_mail_and_lets_in(mailing: Gateway, box: Postbox) -> None:
    made, address = await with_mail(mailing, box)
    challenge = await made.login()
    assert challenge["methods"] == ["email", "recovery_code"]
    assert box.count(address) == 2
    receiver, mail = box.mails[-1]
    assert (receiver, mail["To"], mail["From"]) == (address, address, "greenroom@localhost")
    code = box.code(address)
    assert code in mail["Subject"]
    status, body = await made.verify(challenge, code)
    assert status == 200
    assert (await mailing.me(body["accessToken"]))[0] == 200
    assert (await mailing.ask("GET", "/auth/mfa", token=made.token))[1]["email"] == f"{address[0]}...@example.com"


async def test_a_mailed_code_is_good_for_its_own_login_only(mailing: Gateway, box: Postbox) -> None:
    made, address = await with_mail(mailing, box)
    one, other = await made.login(), await made.login()
    assert (await made.verify(one, box.code(address)))[0] == 401
    assert (await made.verify(one, box.code(address, -2)))[0] == 200
    assert (await made.verify(other, box.code(address)))[0] == 200


async def test_another_mail_brings_another_code_and_three_are_enough(mailing: Gateway, box: Postbox) -> None:
    made, address = await with_mail(mailing, box)
    challenge = await made.login()
    for _ in range(2):
        assert (await mailing.post("/auth/mfa/email/send", {"mfaToken": challenge["mfaToken"]}))[0] == 200
    assert (await mailing.post("/auth/mfa/email/send", {"mfaToken": challenge["mfaToken"]}))[0] == 429
    assert box.count(address) == 4
    if box.code(address, -2) != box.code(address):
        assert (await made.verify(challenge, box.code(address, -2)))[0] == 401
    assert (await made.verify(challenge, box.code(address)))[0] == 200


async def test_nobodys_mailbox_is_filled(mailing: Gateway, box: Postbox) -> None:
    made = await person(mailing)
    statuses = [(await made.post("email/enrol", {"email": "victim@example.com"}))[0] for _ in range(7)]
    assert sorted(statuses)[:3] == [200] * 3
    assert statuses[-1] == 429
    assert 3 <= box.count("victim@example.com") <= 5
    other = await person(mailing)
    more = {"X-Forwarded-For": "198.51.100.9"}
    for _ in range(7):
        await mailing.post("/auth/mfa/email/enrol", {"email": "victim@example.com"}, other.token, **more)
    assert box.count("victim@example.com") <= 10


async def test_an_app_and_mail_together_ask_for_either(mailing: Gateway, box: Postbox) -> None:
    made, address = await with_mail(mailing, box)
    await made.enrol_app()
    challenge = await made.login()
    assert challenge["methods"] == ["totp", "email", "recovery_code"]
    assert box.count(address) == 1, "no mail is sent when the app can answer"
    assert (await mailing.post("/auth/mfa/email/send", {"mfaToken": challenge["mfaToken"]}))[0] == 200
    assert (await made.verify(challenge, box.code(address)))[0] == 200
    assert (await made.verify(await made.login(), made.code(1)))[0] == 200


async def test_without_a_mail_server_the_code_goes_to_the_log(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = LogCapture()
    monkeypatch.setattr("gateway.mail.log", structlog.wrap_logger(structlog.PrintLogger(), processors=[written]))
    made = await person(gateway, "alice@example.com")
    assert (await made.post("email/enrol"))[0] == 200
    [entry] = written.entries
    assert (entry["event"], entry["to"]) == ("mail_not_sent", "alice@example.com")
    code = entry["text"].partition("Your code is ")[2][:6]
    assert (await made.post("email/confirm", {"code": code}))[0] == 200


async def test_a_mailbox_that_is_not_there_is_told(mailing: Gateway) -> None:
    made = await person(mailing)
    status, body = await made.post("email/enrol", {"email": "nobody@example.com"})
    assert (status, body["code"]) == (409, "address_refused")
    status, body = await made.post("email/enrol")
    assert (status, body["code"]) == (409, "email_missing")


async def test_a_mail_server_that_is_away_is_told(place: Place) -> None:
    gateway = await place.gateway(smtp_url=SecretStr("smtp://127.0.0.1:1"))
    made = await person(gateway, "alice@example.com")
    status, body = await made.post("email/enrol")
    assert (status, body["code"]) == (503, "UNAVAILABLE")


async def test_mail_leaves_with_the_name_and_password_of_the_settings() -> None:
    async with postbox(closed=True) as box:
        await Mail(Settings(smtp_url=SecretStr(f"smtp://{MAIL_USER}:p%40ss%2Fword@127.0.0.1:{box.port}"))).send(
            "a@example.com", "Hello", "Grüße"
        )
        assert box.mails[0][1].get_content().rstrip() == "Grüße"
        for url in (box.url, box.url.replace("//", f"//{MAIL_USER}:wrong@")):
            with pytest.raises(Refusal, match="try again"):
                await Mail(Settings(smtp_url=SecretStr(url))).send("a@example.com", "Hello", "x")
        assert len(box.mails) == 1
    assert MAIL_PASSWORD == "p@ss/word"


async def test_mail_does_not_cross_the_network_in_the_clear(box: Postbox) -> None:
    elsewhere = f"smtp://2130706433:{box.port}"  # 127.0.0.1, in a way that nobody recognises
    with pytest.raises(Refusal, match="try again"):
        await Mail(Settings(smtp_url=SecretStr(elsewhere))).send("a@example.com", "Hello", "x")
    assert box.mails == []
    await Mail(Settings(smtp_url=SecretStr(f"{elsewhere}?tls=never"))).send("a@example.com", "Hello", "x")
    assert len(box.mails) == 1


@pytest.mark.parametrize("to", ["a@example.com\r\nBcc: b@example.com", "a@example.com\nSubject: x"])
async def test_an_address_cannot_bring_headers_along(box: Postbox, to: str) -> None:
    with pytest.raises(Refusal, match="does not take"):
        await Mail(Settings(smtp_url=SecretStr(box.url))).send(to, "Hello", "x")
    assert box.mails == []


@pytest.mark.parametrize("url", ["http://127.0.0.1", "smtp://", "127.0.0.1:25"])
def test_a_mail_server_is_named_by_a_url(url: str) -> None:
    with pytest.raises(ValueError, match="must be smtp://"):
        Settings(smtp_url=SecretStr(url))
