"""Second factors are turned on and off: by whom, after which proof, and with what left behind."""

import asyncio

import pytest

from tests.integration.phones import Person, box, mailing, nothing_counted, person, with_app, with_mail
from tests.integration.place import PASSWORD, Gateway, Place, gateway, place, servers, with_role
from tests.integration.postbox import Postbox

__all__ = ["box", "gateway", "mailing", "nothing_counted", "place", "servers"]


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
