"""Settings about issuers and where browsers go: what is refused, and that no refusal repeats a secret."""

import json
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from schemas.settings import Settings

ISSUER = {"issuer": "https://accounts.example.com", "clientId": "game", "clientSecret": "not-to-be-repeated"}


def settings(**given: Any) -> Settings:
    return Settings(_env_file=None, **given)


def oidc(**changes: Any) -> SecretStr:
    return SecretStr(json.dumps({"example": {**ISSUER, **changes}}))


def test_issuers_are_read_from_json() -> None:
    made = settings(oidc=oidc(scopes=["openid", "profile"]))
    provider = made.oidc_providers["example"]
    assert (provider.issuer, provider.client_id, provider.scopes) == (
        "https://accounts.example.com",
        "game",
        ("openid", "profile"),
    )
    assert provider.client_secret == SecretStr("not-to-be-repeated")
    assert settings().oidc_providers == {}


@pytest.mark.parametrize(
    "given",
    [
        SecretStr("{not json: not-to-be-repeated"),
        SecretStr('["not-to-be-repeated"]'),
        SecretStr(json.dumps({"Not A Name": ISSUER})),
        oidc(issuer="http://accounts.example.com"),
        oidc(issuer="https://user:not-to-be-repeated@example.com"),
        oidc(issuer="https://example.com?a=b"),
        oidc(issuer="ftp://example.com"),
        oidc(clientSecret=""),
        oidc(clientSecret={"not-to-be-repeated": 1}),
        oidc(scopes=["profile"]),
        oidc(client_id="game"),
    ],
)
def test_what_is_wrong_with_an_issuer_is_told_without_its_secret(given: SecretStr) -> None:
    with pytest.raises(ValidationError) as refused:
        settings(oidc=given)
    assert "not-to-be-repeated" not in str(refused.value)


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:8080", "[::1]:8080"])
def test_an_issuer_on_loopback_needs_no_https(host: str) -> None:
    assert settings(oidc=oidc(issuer=f"http://{host}")).oidc_providers["example"].issuer == f"http://{host}"


def test_issuers_must_find_back() -> None:
    for bind in ("0.0.0.0:7777", "127.0.0.1:0"):
        with pytest.raises(ValidationError, match="GREENROOM_PUBLIC_URL"):
            settings(oidc=oidc(), bind=bind)
        assert settings(oidc=oidc(), bind=bind, public_url="https://play.example.com/").public_address == (
            "https://play.example.com"
        )
    assert settings(oidc=oidc()).public_address == "http://127.0.0.1:7777"


@pytest.mark.parametrize("url", ["play.example.com", "https://", "ftp://x", "https://x?y", "https://x#y"])
def test_a_public_url_is_an_address(url: str) -> None:
    with pytest.raises(ValidationError, match="must be an address"):
        settings(public_url=url)


@pytest.mark.parametrize(
    "url",
    [
        "http://play.example.com/done",
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "https://user@example.com/",
        "https://example.com/#x",
        "/done",
        "https:",
    ],
)
def test_nobody_is_sent_back_to_what_is_no_game(url: str) -> None:
    with pytest.raises(ValidationError, match="return URLs"):
        settings(oidc_return_urls=url)


def test_games_on_the_web_on_the_desktop_and_on_phones_can_be_returned_to() -> None:
    urls = ("https://play.example.com/done", "http://127.0.0.1/login", "com.example.game:/login", "mygame://login")
    assert settings(oidc_return_urls=", ".join(urls)).oidc_return_urls == urls
