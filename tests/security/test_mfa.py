"""SE-04, SE-05 and SE-21 for second factors: codes that are guessed, used twice, kept, or asked of the wrong one."""

import asyncio
import statistics

import aiohttp

from tests.acceptance.clients import API, Door, User
from tests.acceptance.factors import challenged, enrolled, verified
from tests.acceptance.fixtures import secrets_in_logs
from tests.acceptance.server import Server


async def test_se_05_of_many_guesses_in_many_logins_five_are_looked_at(door: Door) -> None:
    """The server has several gateways, and each login asks another; they count together."""
    user = await door.register()
    app = await enrolled(door, user)
    challenges = [await challenged(door, user) for _ in range(10)]
    answers = await asyncio.gather(*(verified(door, challenge, app.wrong()) for challenge in challenges))
    assert sorted(answer.status for answer in answers) == [401] * 5 + [429] * 5
    assert (await verified(door, challenges[0], app.code())).status == 429
    assert (await verified(door, challenges[0], app.recovery[0])).status == 200


async def test_se_05_one_code_is_one_login(door: Door) -> None:
    user = await door.register()
    app = await enrolled(door, user)
    challenges = [await challenged(door, user) for _ in range(4)]
    code = app.code()
    answers = await asyncio.gather(*(verified(door, challenge, code) for challenge in challenges))
    assert sorted(answer.status for answer in answers) == [200, 401, 401, 401]


async def test_se_05_a_wrong_password_does_not_tell_who_has_a_second_factor(door: Door) -> None:
    with_one, without = await door.register(), await door.register()
    await enrolled(door, with_one)
    seconds: dict[str, list[float]] = {with_one.name: [], without.name: []}
    bodies = []
    # Failures count by address, and other tests fail from theirs.
    connector = aiohttp.TCPConnector(local_addr=("127.0.10.1", 0))
    async with aiohttp.ClientSession(connector=connector) as elsewhere:
        for name in [with_one.name, without.name] * 4:
            body = {"username": name, "password": "wrong password"}
            answer = await door.ask("POST", f"{API}/auth/login", body, session=elsewhere)
            assert answer.status == 401
            bodies.append({**answer.body, "requestId": ""})
            seconds[name].append(answer.seconds)
    assert all(body == bodies[0] for body in bodies)
    medians = [statistics.median(times) for times in seconds.values()]
    # One bcrypt each, which is nearly all of it; a second one would double the time.
    assert max(medians) < 1.6 * min(medians)


async def test_se_04_what_waits_for_a_code_opens_no_other_door(door: Door) -> None:
    user = await door.register()
    await enrolled(door, user)
    token = (await challenged(door, user))["mfaToken"]
    assert (await door.get(f"{API}/players/me", as_=token)).status == 401
    assert (await door.post(f"{API}/auth/refresh", {"refreshToken": token})).status == 401
    assert (await door.post(f"{API}/auth/mfa/disable", {"code": "123456"}, as_=token)).status == 401


async def test_se_04_a_session_that_waited_does_not_outlive_a_ban(door: Door, moderator: User) -> None:
    user = await door.register()
    app = await enrolled(door, user)
    challenge = await challenged(door, user)
    ban = await door.post(f"{API}/moderation/users/{user.id}/ban", {"reason": "cheating"}, as_=moderator)
    assert ban.status == 200
    refused = await verified(door, challenge, app.code())
    assert (refused.status, refused.code) == (403, "BANNED")


async def test_se_21_codes_and_tokens_are_kept_hashed_and_not_logged(door: Door, server: Server) -> None:
    user = await door.register()
    app = await enrolled(door, user)
    challenge = await challenged(door, user)
    await verified(door, challenge, app.recovery[0])
    kept = str(
        [
            await server.sql(statement)
            for statement in (
                "SELECT mfa_recovery::text FROM mfa_recovery",
                "SELECT mfa_pending::text FROM mfa_pending",
            )
        ]
    )
    for hidden in (challenge["mfaToken"], *app.recovery, *(code.replace("-", "") for code in app.recovery)):
        assert hidden not in kept
        assert hidden.encode().hex() not in kept
    assert secrets_in_logs(server) == []


async def test_se_01_only_an_admin_turns_off_the_factors_of_others(door: Door, staff: dict[str, User]) -> None:
    user = await door.register()
    await enrolled(door, user)
    path = f"{API}/admin/users/{user.id}/mfa/reset"
    for role, by in staff.items():
        answer = await door.post(path, {"noSuchField": 1}, as_=by)
        assert answer.status == (400 if role == "admin" else 403), role
    assert (await door.post(path, {"reason": "lost phone"}, as_=staff["admin"])).status == 200
    assert (await door.login(user.name)).id == user.id
    [row] = await door.server.sql("SELECT actor, action FROM audit_log WHERE subject = $1 AND role = 'admin'", user.id)
    assert row == {"actor": staff["admin"].id, "action": "reset_mfa"}
