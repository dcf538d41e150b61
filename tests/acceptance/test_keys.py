"""SPEC section 0, for requests about accounts: the same key has one effect and the same answer, at any gateway."""

from tests.acceptance.clients import API, PASSWORD, Door, User, fresh_name
from tests.acceptance.pinned import Pinned


async def test_co_a_ban_under_one_key_is_one_ban(
    door: Door, gateways: list[Pinned], moderator: User, admin: User, bob: User
) -> None:
    path = f"{API}/moderation/users/{bob.id}/ban"
    first = await door.post(path, {"reason": "cheats"}, as_=moderator, op=f"ban {bob.id}")
    assert first.status == 200
    for gateway in gateways:
        again = await gateway.post(path, {"reason": "cheats"}, as_=moderator, op=f"ban {bob.id}")
        assert (again.status, again.text) == (200, first.text)
        other = await gateway.post(path, {"reason": "shouts"}, as_=moderator, op=f"ban {bob.id}")
        assert (other.status, other.code) == (422, "OP_REUSED")
    # Somebody else's key of the same name is another key.
    lifted = await door.post(
        f"{API}/moderation/users/{bob.id}/reinstate", {"reason": "x"}, as_=admin, op=f"ban {bob.id}"
    )
    assert lifted.status == 200


async def test_co_a_role_and_a_batch_of_players_under_one_key_are_given_once(
    gateways: list[Pinned], admin: User, studio: User, bob: User
) -> None:
    items = [{"externalId": fresh_name("key"), "displayName": "Zoe"}]
    for path, body, as_ in (
        (f"{API}/admin/users/{bob.id}/roles", {"role": "designer", "grant": True}, admin),
        (f"{API}/players/provision", {"items": items}, studio),
    ):
        answers = [await gateway.post(path, body, as_=as_, op=f"once {bob.id}") for gateway in gateways * 2]
        assert [answer.status for answer in answers] == [200] * 4
        assert len({answer.text for answer in answers}) == 1
        assert answers[0].body.get("items", [{"created": True}])[0]["created"] is True


async def test_co_a_registration_whose_answer_was_lost_is_sent_again(gateways: list[Pinned], door: Door) -> None:
    body = {"username": fresh_name(), "password": PASSWORD}
    answers = [await gateway.post(f"{API}/auth/register", body, op="first") for gateway in gateways * 2]
    assert [answer.status for answer in answers] == [201] * 4
    assert len({answer.body["userId"] for answer in answers}) == 1
    door.server.secrets.update(answer.body[name] for answer in answers for name in ("accessToken", "refreshToken"))
    told = await door.get(f"{API}/players/me", as_=answers[-1].body["accessToken"])
    assert (told.status, told.body["userId"]) == (200, answers[0].body["userId"])
    other = await door.post(f"{API}/auth/register", {**body, "password": "another password"}, op="first")
    assert (other.status, other.code) == (422, "OP_REUSED")
    without = await door.post(f"{API}/auth/register", body)
    assert (without.status, without.code) == (409, "username_taken")
