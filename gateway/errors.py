"""From refusal to response: one table, one body, one place that decides what a client may learn of a bug."""

import itertools
import logging
import os
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from pydantic import ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import to_json

from gateway import decode
from schemas.problems import Refusal, problem

RETRY_AFTER_S = 1

_HTTP_CODES = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 413: "TOO_LARGE"}
_seed = os.urandom(6).hex()
_numbers = itertools.count(1)

log = logging.getLogger("greenroom.error")


def new_request_id() -> str:
    """A name for one request or refusal that no other in the installation has."""
    return f"req_{_seed}{next(_numbers):08x}"


def as_refusal(error: BaseException) -> Refusal:
    """Whatever was raised, as what the client is told. A bug tells nothing but that it is one."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, ValidationError):
        return decode.invalid(error)
    if isinstance(error, web.HTTPException):
        code = _HTTP_CODES.get(error.status, "INVALID" if error.status < 500 else "INTERNAL")
        return Refusal(code, status=error.status)
    if isinstance(error, TimeoutError):
        return Refusal("UNAVAILABLE", "This took too long; try again.", retry_after_s=RETRY_AFTER_S)
    return Refusal("INTERNAL", "This is a bug in the server. The request id finds it in the log.")


def problem_of(refusal: Refusal, request_id: str) -> dict[str, Any]:
    """The `error` member of an error frame."""
    members: dict[str, Any] = {"code": refusal.code, "message": refusal.message, "requestId": request_id}
    for name, value in refusal.details.items():
        if name == "retry_after_s":
            members["retryAfter"] = value
        else:
            members.setdefault(to_camel(name), value)
    if refusal.status == 503:
        members.setdefault("retryAfter", RETRY_AFTER_S)
    return members


def body_of(refusal: Refusal, request_id: str) -> dict[str, Any]:
    """The body of an error response."""
    title = problem(refusal.code).title
    return {"error": title, **problem_of(refusal, request_id)}


def response_of(refusal: Refusal, request_id: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """The response that a refusal becomes."""
    sent = {**(headers or {}), "X-Request-Id": request_id}
    retry_after_s = refusal.retry_after_s
    if retry_after_s is None and refusal.status == 503:
        retry_after_s = RETRY_AFTER_S
    if retry_after_s is not None:
        sent["Retry-After"] = str(max(1, retry_after_s))
    if refusal.status == 401:
        sent["WWW-Authenticate"] = "Bearer"
    body = to_json(body_of(refusal, request_id), inf_nan_mode="null", fallback=str)
    return web.Response(status=refusal.status, body=body, content_type="application/json", headers=sent)
