"""SPEC AU-10: a second factor, by an authenticator app or by mail."""

from urllib.parse import parse_qs, urlsplit

import pytest

from tests.acceptance.clients import API, PASSWORD, Door, fresh_name
from tests.acceptance.factors import App, challenged, enrolled, mailed_code, verified
from tests.acceptance.server import Server


@pytest.mark.parametrize("base", [f"{API}/auth", "/auth", "/api/auth"])
async def test_au_10_an_app_is_enrolled_and_every_login_asks_for_its_code(door: Door, base: str) -> None:
    user = await door.register()
    begun = await door.post(f"{base}/mfa/totp/enrol", as_=user)
    assert begun.status == 200
    uri = urlsplit(begun.body["qrUri"])
    assert (uri.scheme, uri.netloc) == ("otpauth", "totp")
    app = App(parse_qs(uri.query)["secret"][0])
    assert begun.body["secret"] == app.secret
    door.server.secrets.add(app.secret)
    await door.login(user.name)
    confirmed = await door.post(f"{base}/mfa/totp/confirm", {"code": app.code(-1)}, as_=user)
    assert (confirmed.status, len(set(confirmed.body["recoveryCodes"]))) == (200, 10)
    door.server.secrets |= set(confirmed.body["recoveryCodes"])
    challenge = await challenged(door, user, base)
    assert "accessToken" not in challenge
    done = await verified(door, challenge, app.code(), base)
    assert done.status == 200
    assert set(done.body) == {"accessToken", "refreshToken", "expiresIn", "user"}
    sheet = await door.get(f"{API}/players/me", as_=done.body["accessToken"])
    assert (sheet.status, sheet.body["userId"]) == (200, user.id)


async def test_au_10_each_of_ten_recovery_codes_lets_in_once(door: Door) -> None:
    user = await door.register()
    app = await enrolled(door, user)
    for code in app.recovery[:2]:
        assert (await verified(door, await challenged(door, user), code)).status == 200
        again = await verified(door, await challenged(door, user), code)
        assert (again.status, again.code) == (401, "MFA_CODE_INVALID")
    status = await door.get(f"{API}/auth/mfa", as_=user)
    assert status.body == {"enabled": True, "totp": True, "email": None, "recoveryCodesLeft": 8}


async def test_au_10_without_smtp_the_mailed_code_is_in_the_log(door: Door, server: Server) -> None:
    name = fresh_name()
    address = f"{name}@example.com"
    body = {"username": name, "password": PASSWORD, "email": address}
    made = await door.post(f"{API}/auth/register", body)
    server.secrets |= {made.body["accessToken"], made.body["refreshToken"]}
    token = made.body["accessToken"]
    begun = await door.post(f"{API}/auth/mfa/email/enrol", as_=token)
    assert (begun.status, begun.body["expiresIn"]) == (200, 300)
    confirmed = await door.post(
        f"{API}/auth/mfa/email/confirm", {"code": await mailed_code(server, address)}, as_=token
    )
    assert (confirmed.status, len(confirmed.body["recoveryCodes"])) == (200, 10)
    answer = await door.post(f"{API}/auth/login", {"email": address, "password": PASSWORD})
    assert answer.body["mfaRequired"] is True
    server.secrets.add(answer.body["mfaToken"])
    code = await mailed_code(server, address, 2)
    wrong = "000000" if code != "000000" else "000001"
    refused = await verified(door, answer.body, wrong)
    assert (refused.status, refused.code, refused.body["triesLeft"]) == (401, "MFA_CODE_INVALID", 4)
    assert (await verified(door, answer.body, code)).status == 200


async def test_au_10_a_login_has_five_tries(door: Door) -> None:
    user = await door.register()
    app = await enrolled(door, user)
    challenge = await challenged(door, user)
    for _ in range(5):
        assert (await verified(door, challenge, app.wrong())).code == "MFA_CODE_INVALID"
    over = await verified(door, challenge, app.recovery[0])
    assert (over.status, over.code) == (401, "MFA_TOKEN_INVALID")


async def test_au_10_it_is_turned_off_by_a_code(door: Door) -> None:
    user = await door.register()
    app = await enrolled(door, user)
    refused = await door.post(f"{API}/auth/mfa/disable", {"code": app.wrong()}, as_=user)
    assert (refused.status, refused.code) == (400, "MFA_CODE_INVALID")
    done = await door.post(f"{API}/auth/mfa/disable", {"code": app.code()}, as_=user)
    assert (done.status, done.body["enabled"]) == (200, False)
    assert (await door.login(user.name)).id == user.id
