"""What an operator may write into the environment, and what is refused."""

import os
from ipaddress import ip_address
from pathlib import Path

import pytest
from pydantic import ValidationError

from schemas.settings import PROJECT, Settings, exposed_files, setting_names, unknown_names


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in setting_names().values():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(Settings.model_config, "env_file", ".env")


def test_the_defaults_are_those_of_the_specification() -> None:
    settings = Settings()
    assert settings.bind == "127.0.0.1:7777"
    assert settings.data == PROJECT / ".greenroom"
    assert settings.content == PROJECT / "content"
    assert (settings.hosts, settings.gateways, settings.link) == (2, 2, "direct")
    assert (settings.database_url, settings.redis_url, settings.ray_address) == (None, None, None)
    assert not settings.unsafe


def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREENROOM_BIND", "0.0.0.0:80")
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:secret@localhost/db")
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    monkeypatch.setenv("GREENROOM_PLACEMENT", '{"player": "dedicated"}')
    monkeypatch.setenv("GREENROOM_TRUSTED_PROXIES", "10.0.0.0/8, ::1")
    monkeypatch.setenv("GREENROOM_ALLOWED_ORIGINS", "https://play.example.org/,https://example.org")
    settings = Settings()
    assert (settings.host, settings.port) == ("0.0.0.0", 80)
    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == "postgresql://me:secret@localhost/db"
    assert settings.ray_address == "auto"
    assert settings.placement == {"player": "dedicated"}
    assert any(ip_address("10.1.2.3") in network for network in settings.trusted_proxies)
    assert settings.allowed_origins == ("https://play.example.org", "https://example.org")


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("GREENROOM_HOSTS=5\nGREENROOM_GATEWAYS=6\nSOMETHING_ELSE=1\n")
    monkeypatch.setenv("GREENROOM_HOSTS", "7")
    settings = Settings()
    assert (settings.hosts, settings.gateways) == (7, 6)


def test_a_file_of_settings_that_others_can_read_is_noticed() -> None:
    """SE-26"""
    file = Path(".env").absolute()
    file.write_text("GREENROOM_ADMIN_PASSWORD=secret\n")
    file.chmod(0o644)
    assert file in exposed_files()
    file.chmod(0o600)
    assert file not in exposed_files()


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    monkeypatch.setenv("GREENROOM_HOSTS", "")
    assert Settings().database_url is None
    assert Settings().hosts == 2


def test_settings_can_be_given_by_name_in_code(tmp_path: Path) -> None:
    settings = Settings(bind="[::1]:0", data=tmp_path, database_url="postgresql:///x")
    assert (settings.host, settings.port, settings.data) == ("::1", 0, tmp_path)


@pytest.mark.parametrize("bind", ["127.0.0.1", "7777", ":7777", "http://127.0.0.1:7777", "127.0.0.1:99999", "a@b:1"])
def test_a_bind_without_host_or_port_is_refused(bind: str) -> None:
    with pytest.raises(ValidationError):
        Settings(bind=bind)


def test_half_an_administrator_is_refused() -> None:
    with pytest.raises(ValidationError, match="belong together"):
        Settings(admin_username="root")


def test_secrets_do_not_show_when_settings_are_printed() -> None:
    settings = Settings(
        admin_username="root",
        admin_password="hunter22",
        database_url="postgresql://u:hunter22@h/d",
        redis_url="hunter22",
    )
    assert "hunter22" not in f"{settings!r} {settings} {settings.model_dump_json()}"


def test_every_setting_says_what_it_is_for() -> None:
    assert not [name for name, field in Settings.model_fields.items() if not field.description]


def test_a_misspelt_setting_is_noticed() -> None:
    assert unknown_names({"GREENROOM_HOST": "3", "GREENROOM_HOSTS": "3", "PATH": "/bin"}) == ["GREENROOM_HOST"]


def test_without_a_word_half_the_cores_work_and_the_others_stand_by(monkeypatch: pytest.MonkeyPatch) -> None:
    at_work = []
    for cores in (1, 2, 8, None):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        at_work.append((Settings().at_work("hosts"), Settings().at_work("gateways")))
    assert at_work == [(1, 1), (1, 1), (4, 4), (1, 1)]


def test_processes_that_the_operator_asked_for_all_work_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setenv("GREENROOM_HOSTS", "3")
    assert (Settings().at_work("hosts"), Settings().at_work("gateways")) == (3, 1)
    monkeypatch.setenv("GREENROOM_ACTIVE_HOSTS", "2")
    assert Settings().at_work("hosts") == 2
