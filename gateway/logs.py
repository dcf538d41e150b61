"""Structured logs: JSON lines on channels access, application, error and audit; secrets never pass."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

CHANNELS = ("access", "application", "error", "audit")
REDACTED = "[redacted]"

_SECRET_NAME = re.compile("password|secret|token|authorization|cookie|bearer|api.?key|device.?id", re.IGNORECASE)
_SECRET_TEXT = re.compile(
    r"eyJ[\w-]{8,}\.[\w-]+\.[\w-]+|(?i:bearer)[ .][\w.~+/=-]{8,}"
    r"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.[\w.-]{16,}"  # tokens of actions and refresh tokens
)
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blank whatever is named like a secret or looks like a token, at any depth."""
    for name, value in event.items():
        event[name] = _redacted(name, value)
    return event


def _redacted(name: str, value: Any) -> Any:
    if isinstance(value, str):
        if _SECRET_NAME.search(name):
            return REDACTED
        return _SECRET_TEXT.sub(REDACTED, value)
    if isinstance(value, dict):
        return {key: _redacted(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(name, item) for item in value]
    return value


def _channel(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Errors have a channel of their own; what names none is the application's."""
    event.setdefault("channel", "error" if method in ("error", "exception", "critical") else "application")
    return event


def set_up(level: str = "info", process: str = "", stream: TextIO | None = None) -> None:
    """Make structlog, and what libraries log, write JSON lines (to standard error unless told otherwise)."""
    out = stream or sys.stderr
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _channel,
        structlog.processors.format_exc_info,
        redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=True,
    )
    if process:
        structlog.contextvars.bind_contextvars(process=process)
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
            foreign_pre_chain=shared,
        )
    )
    logging.basicConfig(level=max(_LEVELS[level], logging.WARNING), handlers=[handler], force=True)


class _NoHttp(logging.Filter):
    """What is no HTTP is answered with 400: no error of ours, and its bytes have no place in a log."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return type(error).__module__ != "aiohttp.http_exceptions"


logging.getLogger("aiohttp.server").addFilter(_NoHttp())

# It would write the offered subprotocols, a bearer token among them, when none of them is known.
logging.getLogger("aiohttp.websocket").disabled = True

access_log = structlog.get_logger("access", channel="access")
application_log = structlog.get_logger("application")
error_log = structlog.get_logger("error", channel="error")
audit_log = structlog.get_logger("audit", channel="audit")
