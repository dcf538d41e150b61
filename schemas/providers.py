"""Who vouches for players: OpenID issuers, and the URLs that a login there may lead to, as the settings name them."""

import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, TypeAdapter, ValidationError

from schemas.shape import Shape

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
PROVIDERS_MAX = 50

_NEVER = frozenset({"javascript", "data", "vbscript", "file", "blob", "about", "ftp", "ws", "wss"})


def is_loopback(host: str | None) -> bool:
    """Whether the host is this machine itself, by its name alone."""
    if host == "localhost":
        return True
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return False


def _issuer(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        raise ValueError("should be an https:// URL; http:// is for loopback only")
    if not parts.hostname or parts.query or parts.fragment or parts.username is not None:
        raise ValueError("should be a URL without user, query and fragment")
    return url


class Provider(Shape):
    """One issuer, and this game as its client. `private` lets it be in a private network."""

    issuer: Annotated[str, Field(max_length=500), AfterValidator(_issuer)]
    client_id: Annotated[str, Field(min_length=1, max_length=500)]
    client_secret: Annotated[SecretStr, Field(min_length=1)] | None = None
    scopes: Annotated[tuple[str, ...], Field(max_length=20)] = ("openid", "email")
    private: bool = False


_PROVIDERS = TypeAdapter(dict[str, Provider])


def providers_of(text: str) -> dict[str, Provider]:
    """The providers in this JSON, by name; ValueError that repeats nothing of it, for it holds secrets."""
    try:
        found = _PROVIDERS.validate_json(text, by_alias=True, by_name=False)
    except ValidationError as error:
        told = [
            f"{'.'.join(map(str, item['loc'])) or 'JSON'}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise ValueError("; ".join(told[:5])) from None
    for name, provider in found.items():
        if not NAME.fullmatch(name):
            raise ValueError("each provider has a name of a-z, 0-9 and -, up to 32 characters")
        if "openid" not in provider.scopes:
            raise ValueError(f"{name}.scopes: should hold openid")
    if len(found) > PROVIDERS_MAX:
        raise ValueError(f"at most {PROVIDERS_MAX} providers")
    return found


def return_url(url: str) -> str:
    """The URL itself; ValueError when a browser must not be sent there with a code."""
    parts = urlsplit(url)
    if parts.scheme in _NEVER or not parts.scheme or parts.fragment or not (parts.netloc or parts.path):
        raise ValueError("return URLs are https://..., the scheme of an app, or http:// on loopback")
    if parts.scheme in ("http", "https"):
        if not parts.hostname or parts.username is not None:
            raise ValueError("return URLs have a host and no user")
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            raise ValueError("return URLs on http:// are for loopback only")
    return url


def is_return_url(url: str, allowed: Iterable[str]) -> bool:
    """Whether this is exactly one of the allowed; on loopback the port is the game's choice."""
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return False
    return any(url == one or (is_loopback(urlsplit(one).hostname) and _same_but_port(url, one)) for one in allowed)


def _same_but_port(url: str, other: str) -> bool:
    one, two = urlsplit(url), urlsplit(other)
    try:
        port = one.port
    except ValueError:
        return False
    if port == 0 or one.username is not None:
        return False
    return (one.scheme, one.hostname, one.path, one.query, one.fragment) == (
        two.scheme,
        two.hostname,
        two.path,
        two.query,
        two.fragment,
    )
