"""Pages for browsers: files as they were at the start, below one path, and nothing else."""

import hashlib
import importlib.util
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import hdrs, web

from schemas.problems import Refusal

INDEX = "index.html"
FILES_MAX = 200
FILE_BYTES_MAX = 2 << 20
_TYPES = {".js": "text/javascript", ".html": "text/html", ".css": "text/css", ".svg": "image/svg+xml"}

OWN_SCRIPTS_ALONE = {
    # The page brings all that it needs, talks to this server alone, and may not be framed.
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "connect-src": "'self'",
    "manifest-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}
NO_MARKUP = {**OWN_SCRIPTS_ALONE, "require-trusted-types-for": "'script'", "trusted-types": "'none'"}
"""It puts no text into the document as markup either."""
DRAWN_INLINE = {**OWN_SCRIPTS_ALONE, "img-src": "'self' data:"}
"""Swagger UI's sheet holds its icons, and it writes what it has cleaned into the document as markup."""

_HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    # Browsers ask each time whether a file has changed, and are told 304 when it has not.
    "Cache-Control": "no-cache",
}

_REFERENCE = Path(__file__).parent / "reference"
_SWAGGER = ("swagger-ui-bundle.js", "swagger-ui.css")


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    type: str
    tag: str


class Pages:
    """Serves what was in the folder at the start from memory: a path is looked up, and never leads to a file system."""

    def __init__(
        self, folder: Path | None, at: str, *, index: str = INDEX, policy: Mapping[str, str] = NO_MARKUP
    ) -> None:
        self._at = at
        self._index = index
        self._headers = {**_HEADERS, "Content-Security-Policy": "; ".join(map(" ".join, policy.items()))}
        self.files = {} if folder is None else {name: _file(path) for name, path in _found(folder)}
        """By their names in the folder, with slashes."""

    def routes(self) -> list[web.RouteDef]:
        """Where the pages are; nowhere when there is nothing to show."""
        if self._index not in self.files:
            return []
        return [web.get(self._at, self._enter), web.get(f"{self._at}/{{path:.*}}", self._show)]

    async def _enter(self, _request: web.Request) -> web.Response:
        """Links in the page are relative to the folder, so that it can stand behind a proxy's prefix too."""
        return web.Response(status=308, headers={hdrs.LOCATION: f"{self._at.rpartition('/')[2]}/", **self._headers})

    async def _show(self, request: web.Request) -> web.Response:
        """A page is there under its name without `.html` too."""
        path = request.match_info["path"] or self._index
        file = self.files.get(path) or self.files.get(f"{path}.html")
        if file is None:
            raise Refusal("NOT_FOUND", "There is no such page.")
        headers = {**self._headers, hdrs.ETAG: f'"{file.tag}"'}
        if any(known.value in (file.tag, "*") for known in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        return web.Response(body=file.body, headers={**headers, hdrs.CONTENT_TYPE: file.type})


def reference() -> Pages:
    """The pages that show the documents of REST and WebSocket, with the files of Swagger UI out of its package."""
    pages = Pages(_REFERENCE, "/docs", index="rest.html", policy=DRAWN_INLINE)
    package = importlib.util.find_spec("aiohttp_swagger3")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("aiohttp-swagger3, which carries Swagger UI, is not installed")
    swagger = Path(package.submodule_search_locations[0]) / "swagger_ui"
    pages.files.update({name: _file(swagger / name) for name in _SWAGGER})
    return pages


def _found(folder: Path) -> list[tuple[str, Path]]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    named = [(path.relative_to(folder).as_posix(), path) for path in paths]
    shown = [(name, path) for name, path in named if not name.startswith(".") and "/." not in name]
    if len(shown) > FILES_MAX:
        raise ValueError(f"{folder} holds more than {FILES_MAX} files")
    return shown


def _file(path: Path) -> _File:
    body = path.read_bytes()
    if len(body) > FILE_BYTES_MAX:
        raise ValueError(f"{path} is larger than {FILE_BYTES_MAX} bytes")
    type_ = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if type_.startswith("text/"):
        type_ += "; charset=utf-8"
    return _File(body, type_, hashlib.sha256(body).hexdigest()[:32])
