"""What HTTP itself refuses before any route is known, told in the same form as every other error."""

from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

from gateway import errors
from schemas.limits import HEADER_BYTES_MAX
from schemas.problems import Refusal

LINE_BYTES_MAX = HEADER_BYTES_MAX // 2

Answer = Callable[[web.BaseRequest, Refusal, BaseException | None], web.Response]
"""The response to a request that no handler sees, from the refusal and what was raised."""


def headers_too_large() -> Refusal:
    message = (
        f"The request line has at most {LINE_BYTES_MAX // 1024} KiB, and all headers {HEADER_BYTES_MAX // 1024} KiB."
    )
    return Refusal("TOO_LARGE", message, status=431)


def _refusal(status: int, error: BaseException | None) -> Refusal:
    if isinstance(error, LineTooLong):
        return headers_too_large()
    if status == 400 or error is None:
        return Refusal("INVALID", "This is no well-formed HTTP/1.1 request.")
    return errors.as_refusal(error)


class _Connection(RequestHandler):
    """One client's connection."""

    __slots__ = ("_answer",)

    def __init__(self, server: "_Server", answer: Answer, **options: Any) -> None:
        super().__init__(server, **options)
        self._answer = answer

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what cannot be read; nothing can be read after it either."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun")
        response = self._answer(request, _refusal(status, exc), exc)
        response.force_close()
        return response


class _Server(web.Server):
    """Makes connections; otherwise as the server that it is made from."""

    def __init__(self, plain: web.Server, answer: Answer) -> None:
        self._plain = plain
        self._answer = answer
        super().__init__(self._handle, request_factory=plain.request_factory, loop=plain._loop, **plain._kwargs)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._plain.request_handler(request)
        except web.HTTPException as error:
            # Raised before the application's own middleware: an `Expect` that nobody can meet.
            return self._answer(request, errors.as_refusal(error), error)

    def __call__(self) -> RequestHandler:
        return _Connection(self, self._answer, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Runs an application whose HTTP errors are answered by `answer`."""

    def __init__(self, application: web.Application, answer: Answer, **options: Any) -> None:
        super().__init__(application, **options)
        self._answer = answer

    async def _make_server(self) -> web.Server:
        return _Server(await super()._make_server(), self._answer)
