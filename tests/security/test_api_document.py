"""SE-19: what the served OpenAPI document says, sent as it says and otherwise: documented answers, and no 500."""

import json
import random
import re
import string
import time
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.acceptance.clients import Door, User
from tests.chaos.tiers import by_tier, runs_in

SEED = random.randrange(1 << 32) if runs_in("F") else 19
WITHIN_S = by_tier(12.0, 90.0)
ROUNDS_MAX = by_tier(3, 200)
DEPTH_MAX = 6
SLOW = ("/auth/login", "/auth/register", "/auth/upgrade", "/auth/mfa", "/auth/password", "/auth/refresh")
"""Each of these hashes a password, or counts failures of our address: a few are enough."""
SLOW_MAX = 12
HOSTILE: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    2**53,
    2**63,
    1.5,
    "",
    "\u202e\u0301",
    "x" * 5_000,
    "'; DROP TABLE journal; --",
    "../../etc/passwd",
    "${jndi:x}",
    [],
    {},
    [[[[]]]],
    {"$ref": "#"},
)


@dataclass(frozen=True)
class Operation:
    """One method of one path, as the document has it."""

    method: str
    path: str
    told: dict[str, Any]

    @property
    def statuses(self) -> set[int]:
        return {int(status) for status in self.told["responses"]}


class Maker:
    """Values of a schema, by chance; or what the schema does not allow."""

    def __init__(self, schemas: dict[str, Any], chance: random.Random) -> None:
        self.schemas = schemas
        self.chance = chance

    def value(self, schema: dict[str, Any], depth: int = 0) -> Any:
        chance = self.chance
        if "$ref" in schema:
            return self.value(self.schemas[schema["$ref"].rpartition("/")[2]], depth + 1)
        if "anyOf" in schema:
            return self.value(chance.choice(schema["anyOf"]), depth + 1)
        if "enum" in schema:
            return chance.choice(schema["enum"])
        if "const" in schema:
            return schema["const"]
        made = getattr(self, f"_{schema.get('type', 'anything')}")
        return made(schema, depth)

    def _string(self, schema: dict[str, Any], depth: int) -> str:
        low = schema.get("minLength", 0)
        high = min(schema.get("maxLength", 40), low + 60)
        letters = string.ascii_lowercase if "pattern" in schema else string.ascii_letters + string.digits + " äß漢-"
        return "".join(self.chance.choice(letters) for _ in range(self.chance.randint(low, high)))

    def _integer(self, schema: dict[str, Any], depth: int) -> int:
        low, high = schema.get("minimum", -(2**53) + 1), schema.get("maximum", 2**53 - 1)
        return self.chance.choice((low, high, self.chance.randint(low, high), max(low, min(high, 1))))

    def _number(self, schema: dict[str, Any], depth: int) -> float:
        return self.chance.random()

    def _boolean(self, schema: dict[str, Any], depth: int) -> bool:
        return self.chance.random() < 0.5

    def _null(self, schema: dict[str, Any], depth: int) -> None:
        return None

    def _anything(self, schema: dict[str, Any], depth: int) -> Any:
        return self.chance.choice(("x", 1, None, {"a": [1]}))

    def _array(self, schema: dict[str, Any], depth: int) -> list[Any]:
        low = schema.get("minItems", 0)
        count = low if depth > DEPTH_MAX else self.chance.randint(low, min(schema.get("maxItems", 3), low + 3))
        return [self.value(schema.get("items", {}), depth + 1) for _ in range(count)]

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        wanted = set(schema.get("required", ()))
        made = {
            name: self.value(inner, depth + 1)
            for name, inner in schema.get("properties", {}).items()
            if name in wanted or (depth <= DEPTH_MAX and self.chance.random() < 0.6)
        }
        more = schema.get("additionalProperties")
        if isinstance(more, dict) and depth <= DEPTH_MAX:
            made |= {f"k{number}": self.value(more, depth + 1) for number in range(self.chance.randint(0, 2))}
        return made

    def spoilt(self, value: Any) -> Any:
        """The value with something in it that should not be there, or without something that should."""
        chance = self.chance
        if isinstance(value, dict) and value and chance.random() < 0.8:
            name = chance.choice(sorted(value))
            if chance.random() < 0.2:
                return {key: inner for key, inner in value.items() if key != name}
            if chance.random() < 0.2:
                return {**value, f"{name}2": value[name]}
            return {**value, name: self.spoilt(value[name])}
        if isinstance(value, list) and value and chance.random() < 0.6:
            return [self.spoilt(value[0]), *value[1:]]
        return chance.choice(HOSTILE)


async def test_se_19_every_operation_answers_as_its_document_says(
    door: Door, session: aiohttp.ClientSession, admin: User
) -> None:
    document = (await door.get("/openapi.json")).body
    chance = random.Random(SEED)
    maker = Maker(document["components"]["schemas"], chance)
    operations = [
        Operation(method.upper(), path, told)
        for path, item in document["paths"].items()
        for method, told in item.items()
    ]
    assert len(operations) > 100
    slow = 0
    seen: set[str] = set()
    wrong: list[str] = []
    refused = accepted = 0
    end = time.monotonic() + WITHIN_S
    callers: list[str | None] = []
    for number in range(ROUNDS_MAX):
        chance.shuffle(operations)
        callers = [None, (await door.guest()).token, (await door.with_role("moderator", admin)).token]
        for operation in operations:
            # Each once at least, however slow the machine is.
            if number and time.monotonic() > end:
                break
            if any(part in operation.path for part in SLOW):
                slow += 1
                if slow > SLOW_MAX:
                    continue
            request = _request(operation, maker, chance, spoil=number % 2 == 1 or chance.random() < 0.4)
            token = chance.choice(callers[1:] if chance.random() < 0.9 else callers)
            status, said = await _sent(door, session, request, token)
            seen.add(f"{operation.method} {operation.path}")
            accepted += status < 400
            refused += status >= 400
            if status == 500 or status not in operation.statuses:
                wrong.append(f"{request[:2]} {json.dumps(request[2])[:300]}: {status} {said[:200]}")
    assert wrong == [], f"seed {SEED}: {len(wrong)} answers"
    assert len(seen) > 100
    assert accepted > 20
    assert refused > 20


Sent = tuple[str, str, Any, dict[str, str]]


def _request(operation: Operation, maker: Maker, chance: random.Random, *, spoil: bool) -> Sent:
    params: dict[str, str] = {}
    path = operation.path
    for parameter in operation.told.get("parameters", ()):
        made = maker.value(parameter["schema"])
        if parameter["in"] == "path":
            text = "me" if chance.random() < 0.4 else re.sub(r"[^\w-]", "", str(made)) or "x"
            path = path.replace("{" + parameter["name"] + "}", text)
        elif parameter["in"] == "query" and made is not None:
            hostile = spoil and chance.random() < 0.3
            params[parameter["name"]] = str(chance.choice(HOSTILE) if hostile else made)
    content = operation.told.get("requestBody", {}).get("content", {})
    body = None
    if content:
        body = maker.value(content["application/json"]["schema"])
        body = maker.spoilt(body) if spoil else body
    return operation.method, path, body, params


async def _sent(door: Door, session: aiohttp.ClientSession, request: Sent, token: str | None) -> tuple[int, str]:
    method, path, body, params = request
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    data = None
    if body is not None or method == "POST":
        data = json.dumps({} if body is None else body).encode()
        headers["Content-Type"] = "application/json"
    url = door.server.url + path
    async with session.request(
        method, url, data=data, params=params, headers=headers, allow_redirects=False
    ) as response:
        return response.status, await response.text()
