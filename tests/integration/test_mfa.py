"""Second factors over HTTP, with real Postgres, Redis and a mail server, at two gateways."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pyotp
import pytest
from pydantic import SecretStr

from gateway.mail import Mail
from schemas.problems import Refusal
from schemas.settings import Settings
from tests.integration.place import PASSWORD, Gateway, Place, gateway, named, place, servers, with_role
from tests.integration.postbox import PASSWORD as MAIL_PASSWORD
from tests.integration.postbox import USER as MAIL_USER
from tests.integration.postbox import Postbox, postbox

__all__ = ["gateway", "place", "servers"]


@pytest.fixture(autouse=True)
async def _nothing_counted_yet(gateway: Gateway) -> None:
    """Redis is shared by all tests, and they all come from one address."""
    await gateway.bus.ask("FLUSHALL")


@pytest.fixture
async def box() -> AsyncIterator[Postbox]:
    async with postbox() as box:
        yield box


@pytest.fixture
async def mailing(place: Place, box: Postbox) -> Gateway:
    """A gateway with a mail server."""
    return await place.gateway(smtp_url=SecretStr(box.url), trusted_proxies="127.0.0.0/8")


class Person:
    """A player with a name, a token and, when enrolled, an authenticator app."""

    def __init__(self, gateway: Gateway, name: str, body: Any) -> None:
        self.gateway, self.name, self.token, self.id = gateway, name, body["accessToken"], body["userId"]
        self.secret = ""
        self.recovery: list[str] = []

    async def post(self, path: str, body: Any = None) -> tuple[int, Any]:
        return await self.gateway.post(f"/auth/mfa/{path}", body or {}, self.token)

    async def login(self, at: Gateway | None = None, home: str = "") -> Any:
        status, body = await (at or self.gateway).post(
            "/auth/login", {"username": self.name, "password": PASSWORD}, **_from(home)
        )
        assert status == 200, body
        return body

    async def verify(self, challenge: Any, code: str, at: Gateway | None = None, home: str = "") -> tuple[int, Any]:
        body = {"mfaToken": challenge["mfaToken"], "code": code}
        return await (at or self.gateway).post("/auth/mfa/verify", body, **_from(home))

    def code(self, steps: int = 0) -> str:
        """The app's code, some steps from now."""
        return pyotp.TOTP(self.secret).at(time.time(), counter_offset=steps)

    def wrong(self) -> str:
        """A code that is not the app's around now."""
        right = {self.code(steps) for steps in range(-3, 4)}
        return next(code for code in (f"{number:06}" for number in range(10)) if code not in right)

    async def enrol_app(self) -> None:
        status, body = await self.post("totp/enrol")
        assert status == 200, body
        self.secret = body["secret"]
        status, body = await self.post("totp/confirm", {"code": self.code(-1)})
        assert status == 200, body
        self.recovery = body["recoveryCodes"]


def _from(home: str) -> dict[str, str]:
    return {"X-Forwarded-For": home} if home else {}


async def person(gateway: Gateway, email: str | None = None) -> Person:
    name = named()
    status, body = await gateway.post("/auth/register", {"username": name, "password": PASSWORD, "email": email})
    assert status == 201
    return Person(gateway, name, body)


async def with_app(gateway: Gateway) -> Person:
    made = await person(gateway)
    await made.enrol_app()
    return made


async def with_mail(gateway: Gateway, box: Postbox) -> tuple[Person, str]:
    address = f"{named()}@example.com"
    made = await person(gateway, address)
    assert (await made.post("email/enrol"))[0] == 200
    status, body = await made.post("email/confirm", {"code": box.code(address)})
    assert status == 200, body
    made.recovery = body["recoveryCodes"]
    return made, address


# An authenticator app


@pytest.mark.parametrize("prefix", ["/api/v1/auth", "/auth", "/api/auth"])
async def test_an_app_is_enrolled_by_a_qr_uri_and_confirmed_by_its_code(gateway: Gateway, prefix: str) -> None:
    made = await person(gateway)
    status, body = await gateway.post(f"{prefix}/mfa/totp/enrol", {}, made.token)
    assert status == 200
    uri = urlsplit(body["qrUri"])
    assert (uri.scheme, uri.netloc, unquote(uri.path)) == ("otpauth", "totp", f"/Greenroom:{made.name}")
    assert parse_qs(uri.query) == {"secret": [body["secret"]], "issuer": ["Greenroom"]}
    assert "accessToken" in await made.login(), "what was not confirmed does not count"
    app = pyotp.parse_uri(body["qrUri"])
    assert isinstance(app, pyotp.TOTP)
    code = app.now()
    status, confirmed = await gateway.post(f"{prefix}/mfa/totp/confirm", {"code": code}, made.token)
    assert status == 200
    assert len(set(confirmed["recoveryCodes"])) == 10
    status, told = await gateway.ask("GET", f"{prefix}/mfa", token=made.token)
    assert told == {"enabled": True, "totp": True, "email": None, "recoveryCodesLeft": 10}
    made.secret = body["secret"]
    challenge = await made.login()
    status, body = await gateway.post(f"{prefix}/mfa/verify", {"mfaToken": challenge["mfaToken"], "code": made.code(1)})
    assert status == 200
    assert set(body) == {"accessToken", "refreshToken", "expiresIn", "user"}
    assert body["user"]["userId"] == made.id
    assert (await gateway.me(body["accessToken"]))[0] == 200


async def test_a_login_with_a_second_factor_tells_nothing_but_that_it_waits(gateway: Gateway) -> None:
    made = await with_app(gateway)
    challenge = await made.login()
    assert set(challenge) == {"mfaRequired", "mfaToken", "methods", "expiresIn"}
    assert (challenge["mfaRequired"], challenge["expiresIn"]) == (True, 300)
    assert challenge["methods"] == ["totp", "recovery_code"]
    assert (await gateway.me(challenge["mfaToken"]))[0] == 401
    assert (await gateway.post("/auth/refresh", {"refreshToken": challenge["mfaToken"]}))[0] == 401


async def test_a_code_of_the_app_works_once_at_all_gateways(place: Place, gateway: Gateway) -> None:
    other = await place.gateway()
    made = await with_app(gateway)
    challenges = [await made.login(at) for at in (gateway, other, gateway, other)]
    code = made.code(1)
    answers = await asyncio.gather(
        *(made.verify(challenge, code, at) for challenge, at in zip(challenges, (gateway, other) * 2, strict=True))
    )
    assert sorted(status for status, _ in answers) == [200, 401, 401, 401]
    assert {body["code"] for status, body in answers if status == 401} == {"MFA_CODE_INVALID"}
    # Nor does an older one, which would still be of its time.
    assert (await made.verify(await made.login(), made.code(0)))[0] == 401


async def test_the_code_that_confirmed_the_app_lets_nobody_in(gateway: Gateway) -> None:
    made = await person(gateway)
    _, body = await made.post("totp/enrol")
    made.secret, code = body["secret"], pyotp.TOTP(body["secret"]).now()
    assert (await made.post("totp/confirm", {"code": code}))[0] == 200
    assert (await made.verify(await made.login(), code))[0] == 401


async def test_a_code_may_be_one_step_off_and_written_with_a_space(gateway: Gateway) -> None:
    made = await with_app(gateway)
    assert (await made.verify(await made.login(), made.code(3)))[0] == 401
    code = made.code(1)
    assert (await made.verify(await made.login(), f" {code[:3]} {code[3:]} "))[0] == 200


async def test_a_used_login_is_over(gateway: Gateway) -> None:
    made = await with_app(gateway)
    challenge = await made.login()
    assert (await made.verify(challenge, made.code(1)))[0] == 200
    status, body = await made.verify(challenge, made.recovery[0])
    assert (status, body["code"]) == (401, "MFA_TOKEN_INVALID")


async def test_a_login_waits_five_minutes(place: Place, gateway: Gateway) -> None:
    made = await with_app(gateway)
    challenge = await made.login()
    database = await place.database()
    moved = "UPDATE mfa_pending SET expires_at = expires_at - interval '299 seconds' WHERE purpose = 'login'"
    await database.execute(moved)
    assert (await made.verify(challenge, made.wrong()))[1]["code"] == "MFA_CODE_INVALID"
    await database.execute(moved)
    status, body = await made.verify(challenge, made.code(1))
    assert (status, body["code"]) == (401, "MFA_TOKEN_INVALID")


# Guessing


async def test_a_login_has_five_tries(place: Place, gateway: Gateway) -> None:
    made = await with_app(gateway)
    challenge = await made.login()
    left = [(await made.verify(challenge, made.wrong()))[1]["triesLeft"] for _ in range(5)]
    assert left == [4, 3, 2, 1, 0]
    await (await place.database()).execute("DELETE FROM mfa_failure")
    status, body = await made.verify(challenge, made.code(1))
    assert (status, body["code"]) == (401, "MFA_TOKEN_INVALID")
    assert (await made.verify(await made.login(), made.code(1)))[0] == 200


async def test_new_logins_are_no_new_tries(place: Place, gateway: Gateway) -> None:
    other = await place.gateway()
    made = await with_app(gateway)
    doors = (gateway, other)
    challenges = [await made.login(doors[at % 2]) for at in range(12)]
    answers = await asyncio.gather(
        *(made.verify(challenge, made.wrong(), doors[at % 2]) for at, challenge in enumerate(challenges))
    )
    assert sorted(status for status, _ in answers) == [401] * 5 + [429] * 7
    status, body = await made.verify(challenges[0], made.code(1))
    assert (status, body["code"]) == (429, "RATE_LIMITED")
    assert 0 < body["retryAfter"] <= 600
    # What nobody guesses still works, so that nobody is locked out by others' guesses.
    assert (await made.verify(challenges[1], made.recovery[0]))[0] == 200


async def test_guesses_elsewhere_do_not_lock_the_owner_out_at_home(mailing: Gateway) -> None:
    at_home, elsewhere = "192.0.2.1", "198.51.100.7"
    made = await with_app(mailing)
    assert (await made.verify(await made.login(home=at_home), made.recovery[0], home=at_home))[0] == 200
    for _ in range(5):
        assert (await made.verify(await made.login(home=elsewhere), made.wrong(), home=elsewhere))[0] == 401
    assert (await made.verify(await made.login(home=elsewhere), made.code(1), home=elsewhere))[0] == 429
    assert (await made.verify(await made.login(home=at_home), made.code(1), home=at_home))[0] == 200


async def test_twenty_wrong_codes_are_enough_for_a_day(place: Place, gateway: Gateway) -> None:
    made = await with_app(gateway)
    database = await place.database()
    for _ in range(4):
        challenge = await made.login()
        for _ in range(5):
            assert (await made.verify(challenge, made.wrong()))[0] == 401
        await database.execute("UPDATE mfa_failure SET at = at - interval '1 hour'")
    status, body = await made.verify(await made.login(), made.code(1))
    assert status == 429
    assert 20 * 3600 - 60 < body["retryAfter"] <= 20 * 3600
    await database.execute("UPDATE mfa_failure SET at = at - interval '21 hours'")
    assert (await made.verify(await made.login(), made.code(1)))[0] == 200


async def test_made_up_tokens_are_refused(gateway: Gateway) -> None:
    made = await with_app(gateway)
    await made.post("email/send")
    for token in ("x", "a" * 43, f"totp:{made.id}", f"change:{made.id}", f"email:{made.id}"):
        status, body = await made.verify({"mfaToken": token}, made.code(1))
        assert (status, body["code"]) == (401, "MFA_TOKEN_INVALID")
    for body in ({}, {"mfaToken": "x"}, {"mfaToken": "x", "code": 123456}, {"mfaToken": "x", "code": "1" * 41}):
        assert (await gateway.post("/auth/mfa/verify", body))[0] == 400


# Recovery codes


async def test_each_recovery_code_lets_in_once(place: Place, gateway: Gateway) -> None:
    made = await with_app(gateway)
    first, second = made.recovery[:2]
    challenges = [await made.login() for _ in range(3)]
    answers = await asyncio.gather(*(made.verify(challenge, first) for challenge in challenges))
    assert sorted(status for status, _ in answers) == [200, 401, 401]
    assert (await made.verify(await made.login(), second.upper().replace("-", " ")))[0] == 200
    assert (await gateway.ask("GET", "/auth/mfa", token=made.token))[1]["recoveryCodesLeft"] == 8
    kept = str(await (await place.database()).fetch("SELECT mfa_recovery::text FROM mfa_recovery"))
    assert not any(code in kept or code.replace("-", "") in kept for code in made.recovery)


async def test_somebody_elses_recovery_code_is_wrong(gateway: Gateway) -> None:
    made, other = await with_app(gateway), await with_app(gateway)
    assert (await made.verify(await made.login(), other.recovery[0]))[0] == 401


async def test_fresh_recovery_codes_replace_the_others(gateway: Gateway) -> None:
    made = await with_app(gateway)
    status, body = await made.post("recovery-codes", {"code": made.wrong()})
    assert (status, body["code"]) == (400, "MFA_CODE_INVALID")
    status, body = await made.post("recovery-codes", {"code": made.code(1)})
    assert (status, len(body["recoveryCodes"])) == (200, 10)
    assert (await made.verify(await made.login(), made.recovery[0]))[0] == 401
    assert (await made.verify(await made.login(), body["recoveryCodes"][9]))[0] == 200


# By mail


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
    gateway: Gateway, capsys: pytest.CaptureFixture[str]
) -> None:
    made = await person(gateway, "alice@example.com")
    assert (await made.post("email/enrol"))[0] == 200
    written = capsys.readouterr().out
    assert "mail_not_sent" in written
    assert "alice@example.com" in written
    code = written.partition("Your code is ")[2][:6]
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


# Changing


async def test_an_old_session_has_to_show_who_it_is(place: Place, gateway: Gateway) -> None:
    made = await person(gateway)
    database = await place.database()
    await database.execute("UPDATE session SET created_at = created_at - interval '11 minutes'")
    status, body = await made.post("totp/enrol")
    assert (status, body["code"]) == (403, "fresh_login_needed")
    status, body = await made.post("totp/enrol", {"password": "wrong password"})
    assert (status, body["code"]) == (403, "CREDENTIALS_INVALID")
    assert (await made.post("totp/enrol", {"password": PASSWORD}))[0] == 200


async def test_with_a_second_factor_the_password_adds_no_third(place: Place, mailing: Gateway) -> None:
    made = await with_app(mailing)
    await (await place.database()).execute("UPDATE session SET created_at = created_at - interval '11 minutes'")
    status, body = await made.post("email/enrol", {"password": PASSWORD, "email": "thief@example.com"})
    assert (status, body["code"]) == (403, "fresh_login_needed")


async def test_an_app_is_turned_off_by_a_code_and_nothing_else(gateway: Gateway) -> None:
    made = await with_app(gateway)
    assert (await made.post("totp/enrol"))[1]["code"] == "mfa_already_enabled"
    assert (await made.post("disable", {}))[0] == 400
    assert (await made.post("disable", {"code": made.wrong()}))[1]["code"] == "MFA_CODE_INVALID"
    waiting = await made.login()
    status, body = await made.post("disable", {"code": made.code(1)})
    assert (status, body["enabled"], body["recoveryCodesLeft"]) == (200, False, 0)
    assert "accessToken" in await made.login()
    assert (await made.verify(waiting, made.recovery[0]))[1]["code"] == "MFA_TOKEN_INVALID"
    assert (await made.post("disable", {"code": made.recovery[0]}))[1]["code"] == "mfa_not_enabled"
    await made.enrol_app()


async def test_guesses_at_turning_it_off_are_counted(gateway: Gateway) -> None:
    made = await with_app(gateway)
    answers = await asyncio.gather(*(made.post("disable", {"code": made.wrong()}) for _ in range(9)))
    assert sorted(status for status, _ in answers) == [400] * 5 + [429] * 4
    assert (await made.post("disable", {"code": made.code(1)}))[0] == 429
    assert (await made.verify(await made.login(), made.code(1)))[0] == 200


async def test_a_mailed_code_turns_mail_off(mailing: Gateway, box: Postbox) -> None:
    made, address = await with_mail(mailing, box)
    assert (await mailing.post("/auth/mfa/email/send", {}))[0] == 401
    assert (await made.post("email/send"))[0] == 200
    status, body = await made.post("disable", {"code": box.code(address), "method": "email"})
    assert (status, body["enabled"]) == (200, False)


async def test_enrolling_needs_a_beginning_and_has_five_tries(place: Place, gateway: Gateway) -> None:
    made = await person(gateway)
    status, body = await made.post("totp/confirm", {"code": "123456"})
    assert (status, body["code"]) == (409, "mfa_not_enrolling")
    _, body = await made.post("totp/enrol")
    made.secret = body["secret"]
    for _ in range(5):
        assert (await made.post("totp/confirm", {"code": made.wrong()}))[0] == 400
    assert (await made.post("totp/confirm", {"code": made.code()}))[0] == 429
    await (await place.database()).execute("DELETE FROM mfa_failure")
    assert (await made.post("totp/confirm", {"code": made.code()}))[1]["code"] == "mfa_not_enrolling"


async def test_a_device_needs_the_second_factor_too(gateway: Gateway) -> None:
    device = {"deviceId": "a-device-id-of-some-length"}
    _, body = await gateway.post("/auth/guest", device)
    made = Person(gateway, "", body)
    await made.enrol_app()
    status, challenge = await gateway.post("/auth/guest", device)
    assert (status, challenge["mfaRequired"]) == (200, True)
    opened: list[tuple[str, str, str]] = []
    gateway.access.on_opened.append(lambda *session: opened.append(session))
    assert (await made.verify(challenge, made.code(1)))[0] == 200
    assert [user for user, _, device in opened if device] == [made.id]


async def test_a_banned_player_is_told_so_before_the_code_is_used(place: Place, gateway: Gateway) -> None:
    moderator, made = await with_role(place, gateway, "moderator"), await with_app(gateway)
    challenge = await made.login()
    ban = f"/api/v1/moderation/users/{made.id}"
    await gateway.post(f"{ban}/ban", {"reason": "cheating"}, moderator["accessToken"])
    status, body = await made.verify(challenge, made.recovery[0])
    assert (status, body["code"]) == (403, "BANNED")
    await gateway.post(f"{ban}/reinstate", {"reason": "mistake"}, moderator["accessToken"])
    assert (await made.verify(challenge, made.recovery[0]))[0] == 200


async def test_an_admin_turns_it_off_for_who_has_lost_it(place: Place, gateway: Gateway) -> None:
    admin, made = await with_role(place, gateway, "admin"), await with_app(gateway)
    path = f"/api/v1/admin/users/{made.id}/mfa/reset"
    for token in (made.token, (await with_role(place, gateway, "moderator"))["accessToken"]):
        assert (await gateway.post(path, {"reason": "mine"}, token))[0] == 403
    assert (await gateway.post(path, {"reason": "lost phone"}, admin["accessToken"]))[0] == 200
    assert "accessToken" in await made.login()
    rows = await (await place.database()).fetch(
        "SELECT actor, role, action, details FROM audit WHERE subject = $1 ORDER BY id", made.id
    )
    assert [tuple(row) for row in rows] == [
        (made.id, "player", "mfa_enable", b'{"method": "totp"}'),
        (admin["userId"], "admin", "reset_mfa", b'{"reason": "lost phone"}'),
    ]
    assert (await gateway.post("/api/v1/admin/users/nobody/mfa/reset", {"reason": "x"}, admin["accessToken"]))[0] == 404


async def test_no_secret_of_a_second_factor_is_in_a_log_line(
    mailing: Gateway, box: Postbox, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    made, address = await with_mail(mailing, box)
    await made.enrol_app()
    challenge = await made.login()
    await made.verify(challenge, made.wrong())
    await made.verify(challenge, made.recovery[0])
    written = "".join(capsys.readouterr()) + caplog.text
    for hidden in (made.secret, *made.recovery, challenge["mfaToken"], box.code(address), address):
        assert hidden not in written


async def test_what_is_over_is_swept(place: Place, gateway: Gateway) -> None:
    made = await with_app(gateway)
    await made.verify(await made.login(), made.wrong())
    database = await place.database()
    await database.execute("UPDATE mfa_pending SET expires_at = now() - interval '1 second'")
    await database.execute("UPDATE mfa_failure SET at = now() - interval '25 hours'")
    await (await place.gateway()).access.sessions.poll()
    async with asyncio.timeout(3):
        while await database.fetch("SELECT FROM mfa_pending") or await database.fetch("SELECT FROM mfa_failure"):
            await asyncio.sleep(0.02)
