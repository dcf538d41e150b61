"""The settings of a Greenroom, read from the environment and `.env`; `greenroom doctor` prints their descriptions."""

import os
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from schemas.providers import Provider, is_loopback, providers_of, return_url

PROJECT = Path(__file__).resolve().parents[1]
PREFIX = "GREENROOM_"
ENV_FILES = (PROJECT / ".env", Path(".env"))

Placement = Literal["dedicated", "shared"]
LinkKind = Literal["direct", "ray"]
LogLevel = Literal["debug", "info", "warning", "error"]
Network = IPv4Network | IPv6Network


class Settings(BaseSettings):
    """What an operator may decide: the environment first, then `.env` in the working directory, then the project's."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=ENV_FILES,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        validate_by_name=True,
        validate_by_alias=True,
    )

    # Where it listens and where it keeps things
    bind: str = Field("127.0.0.1:7777", description="address and port of the gateways; port 0 takes a free one")
    data: Path = Field(PROJECT / ".greenroom", description="folder of the embedded servers' data, keys and logs")
    content: Path = Field(PROJECT / "content", description="folder of the game's content files")
    play: bool = Field(True, description="serve the example game to browsers, at /play")

    # Servers of your own, instead of the embedded ones
    database_url: SecretStr | None = Field(
        None, validation_alias="DATABASE_URL", description="your own Postgres (postgresql://...)"
    )
    redis_url: SecretStr | None = Field(
        None, validation_alias="REDIS_URL", description="your own Redis or Valkey (redis://, rediss:// or unix://...)"
    )
    ray_address: str | None = Field(
        None,
        validation_alias="RAY_ADDRESS",
        description="your own Ray cluster (host:port, or auto on one of its nodes)",
    )

    # Accounts and trust
    admin_username: str | None = Field(None, description="first administrator, made at the first start")
    admin_password: SecretStr | None = Field(None, description="password of the first administrator")
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = Field(
        (), description="networks (comma-separated) whose X-Forwarded-For is believed"
    )
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="browser origins (comma-separated) that may connect besides the server's own"
    )
    smtp_url: SecretStr | None = Field(
        None,
        description="mail server: smtp://user:password@host:587 (STARTTLS) or smtps://; without one mail is logged",
    )
    push_service: str = Field(
        "", description="class that pushes notifications to phones, as module:Class; empty: they go to the log"
    )
    mail_from: str = Field("greenroom@localhost", description="sender of the mail to players")
    public_url: str | None = Field(
        None, description="address by which browsers reach the gateways, for example https://play.example.com"
    )
    oidc: SecretStr | None = Field(
        None,
        description='OpenID issuers as JSON: {"name": {"issuer": "https://...", "clientId": ..., "clientSecret": ...}}',
    )
    oidc_return_urls: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="URLs (comma-separated) of games to which a login at an issuer may lead back"
    )
    fraud_fail_closed: bool = Field(False, description="refuse an action when its fraud detector does not answer")

    # Processes
    hosts: int = Field(2, ge=1, le=1_000, description="processes on each node in which actors live")
    gateways: int = Field(2, ge=1, le=1_000, description="processes on each node that clients connect to")
    active_hosts: int | None = Field(
        None,
        ge=1,
        description="of these so many work, the others stand by; default: HOSTS if set, else one for two cores",
    )
    active_gateways: int | None = Field(
        None, ge=1, description="of these so many listen; default: GATEWAYS if set, else one for two cores"
    )
    link: LinkKind = Field("direct", description="how commands travel: direct (sockets) or ray (actor calls)")
    placement: dict[str, Placement] = Field(
        default_factory=dict, description='kinds placed otherwise than by default, as JSON: {"guild": "dedicated"}'
    )
    dashboard: bool = Field(True, description="start Ray's dashboard on a free loopback port")

    # Actors in memory
    idle_s: float = Field(300.0, gt=0, description="seconds without a turn after which an actor leaves memory")
    host_actors_max: int = Field(50_000, ge=1, description="active actors a host holds; beyond it the idlest leave")
    host_state_bytes_max: int = Field(
        1 << 29, ge=1 << 20, description="bytes of actor state a host holds; beyond it the idlest leave"
    )

    # Deadlines
    ask_timeout_s: float = Field(5.0, gt=0, description="longest wait for the answer to a command or query")
    consult_timeout_s: float = Field(0.5, gt=0, description="longest wait for what a command consults")
    tell_answer_timeout_s: float = Field(2.0, gt=0, description="longest a reply waits for the answer to a tell")
    tell_attempts_max: int = Field(
        6, ge=1, le=20, description="deliveries of a refused tell before it goes to the dead letters"
    )
    drain_timeout_s: float = Field(30.0, gt=0, description="longest a graceful stop waits for what is in flight")

    # For operators and tests
    log_level: LogLevel = Field("info", description="least severe log line that is written")
    unsafe: bool = Field(False, description="accept a Postgres that may lose acknowledged commands in a crash")
    faults: str = Field("", description="fault points to arm, for chaos tests only; never in production")

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: Any) -> Any:
        return tuple(ip_network(part) for part in _parts(value)) if isinstance(value, str) else value

    @field_validator("allowed_origins", mode="before")
    @classmethod
    def _origins(cls, value: Any) -> Any:
        return tuple(part.rstrip("/") for part in _parts(value)) if isinstance(value, str) else value

    @field_validator("bind")
    @classmethod
    def _bindable(cls, value: str) -> str:
        parts = urlsplit(f"//{value}")
        if parts.port is None or not parts.hostname or parts.path or parts.username is not None:
            raise ValueError("must be host:port, for example 127.0.0.1:7777 or [::1]:7777")
        return value

    @field_validator("smtp_url")
    @classmethod
    def _mail_server(cls, value: SecretStr | None) -> SecretStr | None:
        parts = urlsplit(value.get_secret_value()) if value is not None else None
        if parts is not None and (parts.scheme not in ("smtp", "smtps") or not parts.hostname):
            raise ValueError("must be smtp://host:port or smtps://host:port, with user:password@ where needed")
        return value

    @field_validator("public_url")
    @classmethod
    def _public(cls, value: str | None) -> str | None:
        parts = urlsplit(value or "https://a")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("must be an address such as https://play.example.com")
        return value.rstrip("/") if value is not None else None

    @field_validator("oidc")
    @classmethod
    def _issuers(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            providers_of(value.get_secret_value())
        return value

    @field_validator("oidc_return_urls", mode="before")
    @classmethod
    def _returns(cls, value: Any) -> Any:
        return tuple(return_url(part) for part in (_parts(value) if isinstance(value, str) else value))

    @field_validator("data", "content")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @model_validator(mode="after")
    def _admin_is_whole(self) -> Self:
        if (self.admin_username is None) != (self.admin_password is None):
            raise ValueError("GREENROOM_ADMIN_USERNAME and GREENROOM_ADMIN_PASSWORD belong together")
        return self

    @model_validator(mode="after")
    def _issuers_find_back(self) -> Self:
        if self.oidc is not None and self.public_url is None and not (is_loopback(self.host) and self.port):
            raise ValueError("GREENROOM_OIDC needs GREENROOM_PUBLIC_URL, to which issuers send browsers back")
        return self

    @property
    def oidc_providers(self) -> dict[str, Provider]:
        """The issuers at which players can log in, by name."""
        return providers_of(self.oidc.get_secret_value()) if self.oidc is not None else {}

    def at_work(self, processes: Literal["hosts", "gateways"]) -> int:
        """How many of a node's hosts or gateways work while the others stand by. To be asked on that node.

        Each fills a core. More of them than half of the cores make smaller batches of the same work, and take turns on
        the cores with Postgres; so without a word of the operator the others only wait for a death.
        """
        told: int | None = getattr(self, f"active_{processes}")
        if told is None and processes in self.model_fields_set:
            told = getattr(self, processes)
        return told or max(1, (os.cpu_count() or 1) // 2)

    @property
    def pages(self) -> Path | None:
        """The folder of the pages at /play; None when they are switched off."""
        return PROJECT / "examples" / "play" if self.play else None

    @property
    def public_address(self) -> str:
        """By which browsers reach the gateways; never what a request says of itself."""
        return self.public_url or f"http://{self.bind}"

    @property
    def host(self) -> str:
        """The host part of `bind`, without brackets."""
        return urlsplit(f"//{self.bind}").hostname or ""

    @property
    def port(self) -> int:
        """The port part of `bind`; 0 stands for any free port."""
        return urlsplit(f"//{self.bind}").port or 0


def setting_names() -> dict[str, str]:
    """The environment variable of each field, by field name."""
    return {
        name: field.validation_alias if isinstance(field.validation_alias, str) else f"{PREFIX}{name}".upper()
        for name, field in Settings.model_fields.items()
    }


def unknown_names(environment: Mapping[str, str]) -> list[str]:
    """Variables that look like settings and are none: most likely misspelt."""
    known = set(setting_names().values())
    return sorted(name for name in environment if name.startswith(PREFIX) and name not in known)


def exposed_files() -> list[Path]:
    """The `.env` files that others on this machine may read; what holds secrets should have mode 0600."""
    files = {Path(name).absolute() for name in ENV_FILES}
    return sorted(file for file in files if file.is_file() and file.stat().st_mode & 0o077)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
