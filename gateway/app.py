"""The gateway: one process' door, built out of its parts, opened and closed in order."""

import asyncio
import functools
import socket
import time
from collections.abc import Awaitable, Callable
from importlib import metadata
from typing import Any

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler
from pydantic_core import to_json

from actors.catalog import Catalog
from actors.runtime.bus import Bus
from actors.runtime.content import ContentStore
from actors.runtime.database import Database
from actors.runtime.router import Router
from gateway import asyncapi, decode, errors, headers, openapi
from gateway.accounts import routes as account_routes
from gateway.accounts.access import Access
from gateway.cache import Cache
from gateway.calls import Calls
from gateway.health import Health
from gateway.hub import Hub
from gateway.identity import ACCESS, IDENTITY, LIMITER, REQUEST_ID, SETTINGS, address_of, identify
from gateway.limits import Limiter
from gateway.logs import access_log, application_log, error_log
from gateway.malformed import LINE_BYTES_MAX, Runner, headers_too_large
from gateway.metrics import GatewayMetrics, LoopLag, Reading, merged
from gateway.ops import Ops
from gateway.pages import Pages, reference
from gateway.postman import Postman, carriers
from gateway.presence import Presence
from gateway.presence_watch import PresenceWatch
from gateway.rest import Rest
from gateway.silent import SilentConnections
from gateway.table import shared_key, warm_gathers
from gateway.ws import Sockets
from schemas.address import Address
from schemas.limits import HEADER_BYTES_MAX
from schemas.messages import Caller
from schemas.problems import Refusal
from schemas.settings import Settings

KEEP_ALIVE_S = 75.0
WARM_EVERY_S = 300.0
WARM_WITHIN_S = 5.0
LAG_EVERY_S = 0.1
RUN_AGAIN_S = 1.0
QUIET_PATHS = frozenset({"/health", "/health/live", "/health/ready", "/metrics"})
"""Asked all the time by machines, and not worth a log line when all is well."""

GATEWAY: web.AppKey["Gateway"] = web.AppKey("gateway")


class Gateway:
    """Serves REST and WebSocket on one address. `start` opens the door, `stop` closes it in an orderly way."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        bus: Bus,
        router: Router,
        access: Access,
        content_store: ContentStore,
        catalog: Catalog,
        *,
        name: str = "",
    ) -> None:
        self.settings = settings
        self.metrics = GatewayMetrics(name)
        self.version = _version()
        self.ready = False
        """Whether the door is open and the caches are warm."""
        self._router = router
        self._bus = bus
        self._content = content_store
        self._catalog = catalog
        self._access = access
        self.ops = Ops(bus)
        self.calls = Calls(catalog, router, self.ops, self._audit)
        self.cache = Cache(router, bus, shared_key)
        self.presence = Presence(bus)
        self.hub = Hub(router, bus, catalog, content_store, self.metrics)
        self.watch = PresenceWatch(router, bus, self.presence)
        self.sockets = Sockets(access, self.calls, self.cache, self.hub, self.presence, self.watch, self.metrics)
        self.postman = Postman(database, self.presence, carriers(settings))
        self.health = Health(database, bus, self.version, lambda: self.ready)
        self._lag = LoopLag()
        self._silent = SilentConnections()
        self._documents: dict[str, bytes] = {}
        self._in_flight = 0
        self._draining = False
        self._life: asyncio.Task[None] | None = None
        self._runner: web.AppRunner | None = None
        self.metrics.watch(self._readings)

    async def start(self, host: str | socket.socket, port: int = 0) -> None:
        """Open the parts, and listen."""
        await self.open()
        await self.listen(host, port)

    async def open(self) -> None:
        """Open the parts, and warm the caches: from then on `listen` takes no time."""
        self.ops.open()
        self.cache.open()
        self.hub.open()
        self._access.on_revoked.append(self.sockets.revoked)
        self._runner = Runner(
            self.application(),
            self._malformed,
            access_log=None,
            handle_signals=False,
            keepalive_timeout=KEEP_ALIVE_S,
            max_line_size=LINE_BYTES_MAX,
            max_field_size=HEADER_BYTES_MAX,
            auto_decompress=False,
            shutdown_timeout=1.0,
            lingering_time=1.0,
        )
        await self._runner.setup()
        self._life = asyncio.create_task(self._live(self._runner), name="gateway")
        try:
            async with asyncio.timeout(WARM_WITHIN_S):
                await self.warm()
        except TimeoutError:
            application_log.warning("caches_not_warm")

    async def listen(self, host: str | socket.socket, port: int = 0) -> None:
        """Let clients in."""
        if self._runner is None:
            raise RuntimeError("the gateway is not open")
        site: web.BaseSite
        if isinstance(host, socket.socket):
            site = web.SockSite(self._runner, host)
        else:
            site = web.TCPSite(self._runner, host, port, reuse_port=True, backlog=1024)
        await site.start()
        self.ready = True
        application_log.info("gateway_ready", process=self.metrics.process, addresses=[str(a) for a in self.addresses])

    @property
    def addresses(self) -> list[Any]:
        """Where it listens."""
        return list(self._runner.addresses) if self._runner is not None else []

    async def stop(self, grace_s: float = 30.0) -> None:
        """Stop accepting, tell clients to come back, finish what is in flight, close."""
        self.ready = False
        self._draining = True
        began = time.monotonic()
        if self._runner is not None:
            for site in tuple(self._runner.sites):
                await site.stop()
        await self.sockets.close(grace_s)
        while self._in_flight and time.monotonic() - began < grace_s:
            await asyncio.sleep(0.02)
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)
            self._life = None
        await self.presence.tell()
        await self.hub.close()
        self.cache.close()
        self.ops.close()
        if self.sockets.revoked in self._access.on_revoked:
            self._access.on_revoked.remove(self.sockets.revoked)
        application_log.info(
            "gateway_stopped", process=self.metrics.process, seconds=round(time.monotonic() - began, 2)
        )

    def application(self) -> web.Application:
        """The aiohttp application, with all routes."""
        application = web.Application(middlewares=[self._answer, identify], client_max_size=decode.LARGE_BODY_BYTES_MAX)
        application.on_response_prepare.append(headers.named)
        application[GATEWAY] = self
        application[ACCESS] = self._access
        application[LIMITER] = Limiter()
        application[SETTINGS] = self.settings
        application.add_routes(Rest(self.calls, self.cache, self.watch).routes())
        application.add_routes(account_routes.routes(self._access))
        application.add_routes([*self.sockets.routes(), *self.health.routes()])
        application.add_routes([*Pages(self.settings.pages, "/play").routes(), *reference().routes()])
        application.add_routes(
            [
                web.get("/metrics", self._show_metrics),
                web.get("/openapi.json", self._show_openapi),
                web.get("/asyncapi.json", self._show_asyncapi),
            ]
        )
        return application

    async def warm(self) -> None:
        """Have the most asked answers in the caches."""
        for kind, key, gather in warm_gathers(self._catalog, self._content.current):
            try:
                await self.cache.refresh(kind, key, gather)
            except Refusal as refusal:
                application_log.warning("not_warm", kind=kind, key=key, code=refusal.code)

    # Requests

    @web.middleware
    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Around everything: name the request, turn errors into answers, count, log."""
        began = time.monotonic()
        request_id = request[REQUEST_ID] = errors.new_request_id()
        self._silent.speaks(request)
        resource = request.match_info.route.resource
        route = resource.canonical if resource is not None else "unknown"
        is_socket = request.headers.get(hdrs.UPGRADE, "").lower() == "websocket"
        response: web.StreamResponse
        self._in_flight += not is_socket
        try:
            if request.method == hdrs.METH_OPTIONS and hdrs.ORIGIN in request.headers:
                response = web.Response(status=204)
            else:
                if request.match_info.http_exception is None:
                    if sum(len(name) + len(value) for name, value in request.raw_headers) > HEADER_BYTES_MAX:
                        raise headers_too_large()
                    await decode.refuse_too_large(request)
                response = await handler(request)
        except Exception as error:
            response = self._refused(request, error, request_id, route)
        finally:
            self._in_flight -= not is_socket
        seconds = time.monotonic() - began
        if is_socket and response.prepared:
            return response
        if self._draining:
            response.force_close()
        self.metrics.requests.labels(request.method, route, str(response.status)).inc()
        self.metrics.request_seconds.labels(request.method, route).observe(seconds)
        if request.path not in QUIET_PATHS or response.status >= 400:
            identity = request.get(IDENTITY)
            access_log.info(
                "request",
                request_id=request_id,
                method=request.method,
                route=route,
                path=request.path,
                status=response.status,
                seconds=round(seconds, 4),
                user=identity.user_id if identity is not None else "",
                address=address_of(request),
            )
        return response

    def _refused(self, request: web.Request, error: Exception, request_id: str, route: str) -> web.Response:
        refusal = errors.as_refusal(error)
        self.metrics.refusals.labels(refusal.code, "http").inc()
        if refusal.status >= 500 and not isinstance(error, Refusal | web.HTTPException | TimeoutError):
            error_log.error("bug", request_id=request_id, route=route, exc_info=error)
        elif refusal.status >= 500:
            error_log.error("refused", request_id=request_id, route=route, code=refusal.code, reason=refusal.message)
        response = errors.response_of(refusal, request_id)
        if isinstance(error, web.HTTPMethodNotAllowed):
            response.headers[hdrs.ALLOW] = ",".join(sorted(error.allowed_methods))
        if refusal.status in (413, 503) or not request.can_read_body:
            return response
        if not request.content.is_eof():
            # The rest of the body is not wanted, and must not be taken for the next request.
            response.force_close()
        return response

    def _malformed(self, request: web.BaseRequest, refusal: Refusal, error: BaseException | None) -> web.Response:
        """What HTTP itself refused has no route, and is told, counted and logged as all else."""
        request_id = errors.new_request_id()
        self.metrics.refusals.labels(refusal.code, "http").inc()
        self.metrics.requests.labels("UNKNOWN", "malformed", str(refusal.status)).inc()
        if refusal.status >= 500:
            error_log.error("bug", request_id=request_id, route="malformed", exc_info=error)
        access_log.info(
            "request",
            request_id=request_id,
            method="UNKNOWN",
            route="malformed",
            status=refusal.status,
            address=request.remote or "",
        )
        response = errors.response_of(refusal, request_id)
        headers.sign(response)
        return response

    def _audit(self, caller: Caller, role: str, subject: Address, action: str, request_id: str) -> None:
        self._access.audit.note(caller, role, subject, action, request_id)

    async def _show_metrics(self, _request: web.Request) -> web.Response:
        """`GET /metrics`"""
        return web.Response(
            body=merged([self.metrics.render()]), headers={hdrs.CONTENT_TYPE: "text/plain; version=0.0.4"}
        )

    async def _show_openapi(self, _request: web.Request) -> web.Response:
        """`GET /openapi.json`"""
        return self._document("openapi", openapi.document)

    async def _show_asyncapi(self, _request: web.Request) -> web.Response:
        """`GET /asyncapi.json`"""
        return self._document("asyncapi", asyncapi.document)

    def _document(self, name: str, make: Callable[[Catalog, str], dict[str, Any]]) -> web.Response:
        if name not in self._documents:
            self._documents[name] = to_json(make(self._catalog, self.version))
        return web.Response(body=self._documents[name], content_type="application/json")

    def _readings(self) -> list[Reading]:
        counts, bus = self.cache.counts, self._bus.counts
        asked = counts.hits_l1 + counts.hits_l2 + counts.misses
        return [
            ("greenroom_cache_hits_l1_total", "Answers from the gateway's memory", counts.hits_l1),
            ("greenroom_cache_hits_l2_total", "Answers from Redis", counts.hits_l2),
            ("greenroom_cache_misses_total", "Answers from the actors", counts.misses),
            (
                "greenroom_cache_hit_ratio",
                "Answers that did not need an actor",
                (counts.hits_l1 + counts.hits_l2) / asked if asked else 1.0,
            ),
            ("greenroom_cache_entries", "Answers in the gateway's memory", len(self.cache)),
            ("greenroom_ws_frames_received_total", "Frames received", self.sockets.received),
            ("greenroom_topics", "Topics with listeners", len(self.hub)),
            ("greenroom_users_connected", "Users with a WebSocket here", self.presence.users()),
            ("greenroom_requests_in_flight", "Requests not answered yet", self._in_flight),
            ("greenroom_password_checks_total", "Passwords hashed or checked", self._access.passwords.checks),
            ("greenroom_password_queue", "Passwords at work or waiting for it", self._access.passwords.present),
            ("greenroom_bus_published_total", "Messages published", bus.published),
            ("greenroom_bus_dropped_total", "Messages that Redis did not take", bus.dropped),
            ("greenroom_bus_received_total", "Messages received", bus.received),
            ("greenroom_bus_connected", "Whether Redis answers", float(self._bus.connected)),
            (
                "greenroom_loop_lag_seconds",
                "How late the event loop was, at worst since the last look",
                self._lag.take(),
            ),
        ]

    async def _live(self, runner: web.AppRunner) -> None:
        assert runner.server is not None  # noqa: S101 - it is set up
        async with asyncio.TaskGroup() as group:
            for name, work in (
                ("sockets", self.sockets.run_forever),
                ("hub", self.hub.run_forever),
                ("presence", self.presence.run_forever),
                ("signs of life", self.presence.stay_alive),
                ("presence watch", self.watch.run_forever),
                ("postman", self.postman.run_forever),
                ("warm", self._keep_warm),
                ("lag", self._watch_lag),
                ("silent connections", functools.partial(self._silent.run_forever, runner.server)),
            ):
                group.create_task(_keep_running(work, name), name=f"gateway {name}")

    async def _keep_warm(self) -> None:
        while True:
            await asyncio.sleep(WARM_EVERY_S)
            await self.warm()

    async def _watch_lag(self) -> None:
        while True:
            self._lag.tick(LAG_EVERY_S)
            await asyncio.sleep(LAG_EVERY_S)


async def _keep_running(work: Callable[[], Awaitable[None]], name: str) -> None:
    """Begin the work anew when a bug ends it: else the gateway would serve on, and push, ping and expire nothing."""
    while True:
        try:
            await work()
        except Exception:
            error_log.exception("loop_failed", loop=name)
        await asyncio.sleep(RUN_AGAIN_S)


def _version() -> str:
    try:
        return metadata.version("greenroom")
    except metadata.PackageNotFoundError:
        return "0.0.0"
