"""Second factors over HTTP, with real Postgres and Redis, at two gateways: apps, guesses, recovery codes."""

import asyncio
from urllib.parse import parse_qs, unquote, urlsplit

import pyotp
import pytest

from tests.integration.phones import box, mailing, nothing_counted, person, with_app
from tests.integration.place import Gateway, Place, gateway, place, servers

__all__ = ["box", "gateway", "mailing", "nothing_counted", "place", "servers"]


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
