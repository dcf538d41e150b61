"""From refusal to response, and what of a request decides whom it comes from."""

import json
import logging
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from pydantic import BaseModel, ValidationError

from gateway import errors
from gateway.calls import address_of
from gateway.identity import SETTINGS, allowed_origin, bearer_of
from gateway.identity import address_of as source_of
from gateway.logs import redact
from gateway.metrics import labelled, merged
from gateway.ops import op_of
from gateway.table import ROWS, new_score_and_rank
from schemas.address import Address
from schemas.limits import OP_CHARS_MAX
from schemas.messages import Caller
from schemas.problems import PROBLEMS, Refusal
from schemas.settings import Settings


def told(response: web.Response) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(cast(bytes, response.body))
    return body


def test_a_refusal_becomes_a_response_with_all_that_a_client_needs() -> None:
    response = errors.response_of(Refusal("RATE_LIMITED", "Slow down.", retry_after_s=3, limit_name="x"), "req_1")
    assert response.status == 429
    assert response.headers["Retry-After"] == "3"
    assert response.headers["X-Request-Id"] == "req_1"
    assert told(response) == {
        "error": "Too many requests",
        "code": "RATE_LIMITED",
        "message": "Slow down.",
        "requestId": "req_1",
        "retryAfter": 3,
        "limitName": "x",
    }


def test_a_fact_of_a_rule_is_a_conflict() -> None:
    response = errors.response_of(Refusal("guild_full"), "req_1")
    assert (response.status, told(response)["error"]) == (409, "Guild full")


def test_every_unavailability_says_when_to_try_again() -> None:
    for code in ("UNAVAILABLE", "OVERLOADED"):
        assert int(errors.response_of(Refusal(code), "r").headers["Retry-After"]) >= 1


def test_details_cannot_replace_what_is_told_in_any_case() -> None:
    refusal = Refusal("guild_full", "Full.", request_id="forged")
    assert errors.problem_of(refusal, "req_1")["requestId"] == "req_1"


@pytest.mark.parametrize(("code", "problem"), PROBLEMS.items())
def test_every_listed_code_has_its_status(code: str, problem: Any) -> None:
    assert errors.response_of(Refusal(code), "r").status == problem.status


def test_a_bug_tells_nothing_but_that_it_is_one() -> None:
    refusal = errors.as_refusal(RuntimeError("password=hunter2"))
    assert (refusal.status, refusal.code) == (500, "INTERNAL")
    assert "hunter2" not in str(refusal.pack())


def test_errors_of_the_libraries_have_codes_too() -> None:
    class Model(BaseModel):
        amount: int

    with pytest.raises(ValidationError) as wrong:
        Model.model_validate({"amount": "x"})
    assert errors.as_refusal(wrong.value).code == "INVALID"
    assert errors.as_refusal(web.HTTPNotFound()).code == "NOT_FOUND"
    assert errors.as_refusal(web.HTTPMethodNotAllowed("PUT", ["GET"])).status == 405
    assert errors.as_refusal(web.HTTPRequestEntityTooLarge(1, 2)).code == "TOO_LARGE"
    assert errors.as_refusal(TimeoutError()).status == 503


def test_request_ids_differ() -> None:
    ids = {errors.new_request_id() for _ in range(1_000)}
    assert len(ids) == 1_000
    assert all(id_.startswith("req_") for id_ in ids)


# Ops and addresses


def test_an_op_is_named_apart_for_each_caller() -> None:
    alice, bob = Caller("alice"), Caller("bob")
    assert op_of(alice, "1") == op_of(alice, "1") != op_of(bob, "1")
    assert op_of(alice, None) != op_of(alice, None)
    long = "x" * OP_CHARS_MAX
    assert op_of(alice, long) == op_of(alice, long)
    assert len(op_of(Caller("u" * 36), long)) <= OP_CHARS_MAX
    assert op_of(alice, long) != op_of(alice, long[:-1] + "y")


def test_me_is_the_callers_own_player() -> None:
    assert address_of("player", "me", Caller("alice")) == Address("player", "alice")
    assert address_of("guild", "Ünited", Caller("alice")) == Address("guild", "Ünited")
    for key in ("", "a\x00b", "a\nb", "k" * 129, "\ud800"):
        with pytest.raises(Refusal):
            address_of("guild", key, Caller("alice"))


def test_the_tables_paths_are_unique_and_below_known_roots() -> None:
    paths = [(row.method, row.path) for row in ROWS]
    assert len(set(paths)) == len(paths)
    assert all(path.startswith(("/api/", "/scores/")) for _, path in paths)


def test_the_second_family_tells_score_and_rank_in_its_own_words() -> None:
    assert new_score_and_rank({"score": {"current": 5}, "rank": {"current": 2}}) == {"newScore": 5, "newRank": 2}
    assert new_score_and_rank({"score": {"current": 5}, "rank": None}) == {"newScore": 5, "newRank": None}


# Whom a request comes from


def request(peer: str, headers: dict[str, str], **options: Any) -> web.Request:
    application = web.Application()
    application[SETTINGS] = Settings(_env_file=None, **options)
    made = make_mocked_request("GET", "/", headers={"Host": "play.example", **headers}, app=application)
    return made.clone(remote=peer)


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
    ],
)
def test_forwarded_addresses_are_believed_of_our_proxies_only(peer: str, forwarded: str, expected: str) -> None:
    assert source_of(request(peer, {"X-Forwarded-For": forwarded}, trusted_proxies="10.0.0.0/8")) == expected


def test_forwarded_addresses_are_not_believed_by_default() -> None:
    assert source_of(request("10.0.0.1", {"X-Forwarded-For": "198.51.100.1"})) == "10.0.0.1"


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        ("http://play.example", True),
        ("https://play.example", True),
        ("https://game.example", True),
        ("https://game.example.evil.com", False),
        ("https://play.example.evil.com", False),
        ("null", False),
        ("file://play.example", False),
    ],
)
def test_origins_are_ours_or_listed(origin: str | None, allowed: bool) -> None:
    headers = {} if origin is None else {"Origin": origin}
    assert allowed_origin(request("127.0.0.1", headers, allowed_origins="https://game.example")) is allowed


def test_a_bearer_token_is_one_word_after_bearer() -> None:
    assert bearer_of("Bearer abc.def") == "abc.def"
    assert bearer_of("bearer  abc") == "abc"
    for header in ("", "Bearer", "Bearer ", "Basic abc", "abc", "Bearer ü"):
        with pytest.raises(Refusal):
            bearer_of(header)


# Metrics and logs


def test_the_metrics_of_several_processes_become_one_text() -> None:
    text = b'# HELP a_total A\n# TYPE a_total counter\na_total{x="1"} 1.0\n# HELP b B\n# TYPE b gauge\nb 2.0\n'
    both = merged([labelled(text, "one"), labelled(text, "two")])
    assert both.decode().splitlines() == [
        "# HELP a_total A",
        "# TYPE a_total counter",
        'a_total{process="one",x="1"} 1.0',
        'a_total{process="two",x="1"} 1.0',
        "# HELP b B",
        "# TYPE b gauge",
        'b{process="one"} 2.0',
        'b{process="two"} 2.0',
    ]


def test_secrets_do_not_pass_the_log() -> None:
    token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
    event = {
        "event": f"got {token}",
        "headers": {"Authorization": f"Bearer {token}", "Host": "x"},
        "password": "hunter2",
        "items": [f"bearer.{token}"],
        "user": "alice",
    }
    shown = str(redact(None, "info", event))
    assert token not in shown
    assert "hunter2" not in shown
    assert "alice" in shown


def test_the_library_does_not_log_offered_subprotocols() -> None:
    assert logging.getLogger("aiohttp.websocket").disabled
