"""SE-01 and SE-02: every public message of the catalog, tried by everybody; a new one is covered by itself."""

import uuid
from typing import Any

import pytest

from actors.catalog import Catalog
from actors.core import ANYONE, OWNER
from gateway.openapi import messages
from tests.acceptance.clients import API, Answer, Door, Sockets, User

MESSAGES = [(kind, form, message) for kind, form, message in messages(Catalog())]
IDS = [f"{form}-{kind}-{message.wire_name}" for kind, form, message in MESSAGES]
ROLES = ("player", "server", "moderator", "designer", "operator", "admin")
EVERY_MESSAGE = pytest.mark.parametrize(("kind", "form", "message"), MESSAGES, ids=IDS)

PRIVILEGED = [
    ("POST", f"{API}/players/provision", "server"),
    ("POST", f"{API}/scores/award", "server"),
    ("POST", f"{API}/scores/award-batch", "server"),
    ("GET", f"{API}/moderation/cases", "moderator"),
    ("GET", f"{API}/moderation/cases/x", "moderator"),
    ("POST", f"{API}/moderation/cases/0-x/confirm", "moderator"),
    ("POST", f"{API}/moderation/cases/0-x/dismiss", "moderator"),
    ("POST", f"{API}/moderation/users/x/ban", "moderator"),
    ("POST", f"{API}/moderation/users/x/suspend", "moderator"),
    ("POST", f"{API}/moderation/users/x/reinstate", "moderator"),
    ("POST", f"{API}/admin/users/x/roles", "admin"),
]


def allowed(message: Any, role: str, *, own: bool) -> bool:
    """Whether the message declares that this caller may send it."""
    roles = {role, "player"}
    by_role = bool(message.callers & roles) or (role == "admin")
    if message.callers <= {OWNER, ANYONE}:
        by_role = role == "admin"
    return ANYONE in message.callers or (own and OWNER in message.callers) or by_role


async def rest(door: Door, kind: str, form: str, message: Any, key: str, user: User | None) -> Answer:
    path = f"{API}/actors/{kind}/{key}/{message.wire_name}"
    if form == "command":
        return await door.post(path, {"noSuchField": 1}, as_=user)
    return await door.get(path, as_=user, noSuchField="1")


@EVERY_MESSAGE
async def test_se_01_nobody_gets_in_without_a_token(door: Door, kind: str, form: str, message: Any) -> None:
    answer = await rest(door, kind, form, message, "me", None)
    assert (answer.status, answer.code) == (401, "UNAUTHENTICATED")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@EVERY_MESSAGE
async def test_se_01_each_role_may_what_is_declared_and_no_more(
    door: Door, sockets: Sockets, staff: dict[str, User], alice: User, kind: str, form: str, message: Any
) -> None:
    """A field that is not there makes the difference visible: who may is told that it is wrong, who may not is not."""
    for role in ROLES:
        user = staff[role]
        wire = await sockets.open(user, binary=role == "server")
        for key, own in ((alice.id, False), (user.id, kind == "player")):
            expected = (400, "INVALID") if allowed(message, role, own=own) else (403, "FORBIDDEN")
            answer = await rest(door, kind, form, message, key, user)
            assert (answer.status, answer.code) == expected, (role, own, answer)
            frame = await wire.ask(form, kind=kind, key=key, name=message.wire_name, data={"noSuchField": 1})
            assert (frame["meta"]["code"], frame["error"]["code"]) == expected, (role, own, frame)
        await wire.socket.close()


@pytest.mark.parametrize("form", ["command", "query"])
async def test_se_01_what_is_not_public_is_as_if_it_were_not_there(
    door: Door, sockets: Sockets, admin: User, form: str
) -> None:
    wire = await sockets.open(admin)
    for kind in Catalog().kinds.values():
        shelf: dict[str, Any] = kind.commands if form == "command" else {**kind.queries, **kind.gathers}
        for name in [*(name for name, message in shelf.items() if not message.public), "no_such_name"]:
            frame = await wire.ask(form, kind=kind.name, key="x", name=name, data={})
            assert (frame["meta"]["code"], frame["error"]["code"]) == (404, f"UNKNOWN_{form.upper()}"), name
            method = "POST" if form == "command" else "GET"
            answer = await door.ask(method, f"{API}/actors/{kind.name}/x/{name}", as_=admin)
            assert (answer.status, answer.code) == (404, f"UNKNOWN_{form.upper()}"), name


async def test_se_01_commands_are_no_queries_and_queries_no_commands(door: Door, sockets: Sockets, alice: User) -> None:
    wire = await sockets.open(alice)
    for kind, form, message in MESSAGES:
        other = "query" if form == "command" else "command"
        frame = await wire.ask(other, kind=kind, key="me", name=message.wire_name, data={})
        assert frame["error"]["code"] == f"UNKNOWN_{other.upper()}", (kind, message.wire_name)


@pytest.mark.parametrize(("method", "path", "role"), PRIVILEGED)
async def test_se_01_privileged_paths_are_closed_to_all_other_roles(
    door: Door, staff: dict[str, User], method: str, path: str, role: str
) -> None:
    without = await door.ask(method, path, {"noSuchField": 1} if method == "POST" else None)
    assert without.status == 401
    for held in ROLES:
        body = {"noSuchField": 1} if method == "POST" else None
        answer = await door.ask(method, path, body, as_=staff[held])
        if held in (role, "admin"):
            assert answer.status in (200, 400, 404), (held, answer)
        else:
            assert (answer.status, answer.code) == (403, "FORBIDDEN"), (held, answer)


async def test_se_01_a_role_shows_no_field_more_than_its_due(door: Door, alice: User, bob: User) -> None:
    public = await door.get(f"{API}/players/{alice.id}", as_=bob)
    for private in ("wallet", "inbox", "ledger", "email", "roles", "held", "device"):
        assert private not in public.text


async def test_se_02_not_yours_and_not_there_look_the_same(door: Door, alice: User, bob: User) -> None:
    there = await door.get(f"{API}/actors/player/{alice.id}/profile", as_=bob)
    missing = await door.get(f"{API}/actors/player/{uuid.uuid4()}/profile", as_=bob)
    for answer in (there, missing):
        assert (answer.status, answer.code) == (403, "FORBIDDEN")
    assert {**there.body, "requestId": ""} == {**missing.body, "requestId": ""}
    action = await door.start(alice)
    stolen = await door.complete(bob, action)
    invented = await door.complete(bob, {"id": str(uuid.uuid4()), "actionToken": f"{uuid.uuid4()}.{'0' * 64}"})
    assert {**stolen.body, "requestId": ""} == {**invented.body, "requestId": ""}


async def test_se_02_ids_cannot_be_guessed(door: Door, alice: User, bob: User) -> None:
    actions = [await door.start(alice) for _ in range(5)]
    for id_ in (alice.id, bob.id, *(action["id"] for action in actions)):
        assert uuid.UUID(id_).version == 4
