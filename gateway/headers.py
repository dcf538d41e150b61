"""What every response says in its headers, and what pages of other origins are told."""

from aiohttp import hdrs, web

from gateway.identity import REQUEST_ID, allowed_origin

SERVER = "Greenroom"
"""What responses call the server; versions are nobody's business."""


def sign(response: web.StreamResponse) -> None:
    """What is said also where no request could be read."""
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers[hdrs.SERVER] = SERVER


async def named(request: web.Request, response: web.StreamResponse) -> None:
    """What every response says in its headers, that which opens a WebSocket too."""
    if REQUEST_ID in request:
        response.headers.setdefault("X-Request-Id", request[REQUEST_ID])
    sign(response)
    if hdrs.ORIGIN in request.headers:
        _allow_origin(request, response)


def _allow_origin(request: web.Request, response: web.StreamResponse) -> None:
    response.headers[hdrs.VARY] = "Origin"
    if not allowed_origin(request):
        return
    response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = request.headers[hdrs.ORIGIN]
    response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = "Location, Retry-After, X-Request-Id"
    if request.method == hdrs.METH_OPTIONS:
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_METHODS] = "GET, POST, DELETE"
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = "Authorization, Content-Type, Idempotency-Key"
        response.headers[hdrs.ACCESS_CONTROL_MAX_AGE] = "600"
