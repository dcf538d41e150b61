"""SPEC SDK-01: the page at /play as it is served, and what it is made of."""

import asyncio
import importlib
import re
from pathlib import Path
from typing import Any

import pytest

from gateway.pages import Pages
from schemas.settings import PROJECT, Settings
from tests.acceptance.clients import Door
from tests.harness.node import CHROMIUM, CLIENT, installed_client, node

PLAY = PROJECT / "examples" / "play"
FILES = sorted(path.relative_to(PLAY).as_posix() for path in PLAY.rglob("*") if path.is_file())


async def test_sdk_01_the_page_is_served_with_all_its_files(door: Door) -> None:
    entry = await door.get("/play")
    assert (entry.status, entry.headers["Location"]) == (308, "play/")
    page = await door.get("/play/")
    assert page.status == 200
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    for name in FILES:
        shown = await door.get(f"/play/{name}")
        assert (shown.status, shown.text) == (200, (PLAY / name).read_text())
    named = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert named
    assert set(named) <= set(FILES)


async def test_sdk_01_the_page_may_run_its_own_scripts_alone(door: Door) -> None:
    headers = (await door.get("/play/")).headers
    policy = dict(rule.split(" ", 1) for rule in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["connect-src"] == policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert (await door.get("/play/main.js")).headers["Content-Type"] == "text/javascript; charset=utf-8"
    page = (PLAY / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|<style", page)


async def test_sdk_01_an_unchanged_file_is_not_sent_again(door: Door) -> None:
    first = await door.get("/play/main.js")
    assert first.headers["Cache-Control"] == "no-cache"
    again = await door.ask("GET", "/play/main.js", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, again.text) == (304, "")
    changed = await door.ask("GET", "/play/main.js", headers={"If-None-Match": '"another"'})
    assert changed.status == 200
    head = await door.ask("HEAD", "/play/main.js")
    assert (head.status, head.text, head.headers["ETag"]) == (200, "", first.headers["ETag"])


@pytest.mark.parametrize(
    "path",
    ["..%2f..%2fpyproject.toml", "%2e%2e/%2e%2e/pyproject.toml", "..%5cmain.js", "%2fetc%2fpasswd", "main.js/", "x"],
)
async def test_sdk_01_no_path_leads_out_of_the_page(door: Door, path: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", door.server.port)
    writer.write(f"GET /play/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 404 "), answer[:200]


def test_sdk_01_the_page_can_be_switched_off(tmp_path: Path) -> None:
    assert Pages(Settings(data=tmp_path, play=False).pages, "/play").routes() == []
    assert len(Pages(Settings(data=tmp_path).pages, "/play").routes()) == 2


def test_sdk_01_hidden_files_and_links_are_no_part_of_a_page(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("hello")
    (tmp_path / ".secret").write_text("hidden")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("hidden")
    (tmp_path / "link.js").symlink_to(PROJECT / "pyproject.toml")
    assert sorted(Pages(tmp_path, "/play").files) == ["index.html"]


def test_sdk_01_the_page_is_installed_with_the_server() -> None:
    distribution = importlib.import_module("setuptools.dist").Distribution()
    importlib.import_module("setuptools.config.pyprojecttoml").apply_configuration(
        distribution, PROJECT / "pyproject.toml"
    )
    assert "examples.play" in (distribution.packages or ())
    copying: Any = distribution.get_command_obj("build_py")
    copying.finalize_options()
    copying.manifest_files = {}
    found = copying.find_data_files("examples.play", str(PLAY))
    assert sorted(Path(path).relative_to(PLAY).as_posix() for path in found) == FILES


def test_sdk_01_the_client_in_the_page_is_the_client_as_it_is_now(tmp_path: Path) -> None:
    node("bundle.mjs", tmp_path / "bundle.js", folder=installed_client())
    stale = "`npm run bundle` in clients/typescript writes examples/play/greenroom-client.js anew"
    assert (tmp_path / "bundle.js").read_text() == (PLAY / "greenroom-client.js").read_text(), stale
    assert "Copyright 2019 The MessagePack Community" in (PLAY / "greenroom-client.js").read_text()


def test_sdk_01_the_page_says_only_what_the_catalog_knows() -> None:
    node("node_modules/typescript/bin/tsc", "-p", "tsconfig.play.json", folder=installed_client())


@pytest.mark.parametrize("folder", [CLIENT, CHROMIUM], ids=["client", "browser"])
def test_sdk_01_what_is_fetched_is_pinned_by_its_hash_and_names_no_registry(folder: Path) -> None:
    lock = (folder / "package-lock.json").read_text()
    assert "://" not in lock
    assert lock.count('"integrity": "sha512-') == lock.count('    "node_modules/')
