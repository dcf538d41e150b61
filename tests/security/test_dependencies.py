"""SE-27: what is installed is what was reviewed and hashed, and is behind no hole that is known to be closed.

Asking a service on the net for holes of this very day is left to whoever releases: `pip-audit -r requirements.lock`.
"""

import re
import sysconfig
from importlib.metadata import distributions

import pytest

from tests.acceptance.server import PROJECT
from tests.security.known_holes import CLOSED, Hole

LOCK = (PROJECT / "requirements.lock").read_text()
TOOLS = {"pip", "setuptools", "wheel"}
"""What makes environments may be newer there."""


def locked() -> dict[str, set[str]]:
    """Versions by package; one that differs between platforms has several."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==([\w.+!]+)", LOCK, re.MULTILINE):
        found.setdefault(plain(name), set()).add(version)
    return found


def plain(name: str) -> str:
    """The name as the index knows it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


@pytest.mark.parametrize("hole", CLOSED, ids=lambda hole: f"{hole.package} {hole.name.split()[0]}")
def test_se_27_no_pinned_version_is_behind_a_hole_that_was_closed(hole: Hole) -> None:
    versions = locked().get(hole.package)
    assert versions, f"{hole.package} is pinned no more: take {hole.name} out of the list"
    assert all(order(version) >= order(hole.closed_in) for version in versions), (hole, versions)


def test_se_27_what_is_installed_is_what_is_locked() -> None:
    pinned = locked()
    # Not what tools carry along inside of them, and put on the path when they are imported.
    ours = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    installed = {plain(one.metadata["Name"]): one.version for one in distributions(path=ours)}
    others = {name: version for name, version in installed.items() if version not in pinned.get(name, {version})}
    assert len(installed.keys() & pinned.keys()) > 50
    assert {name: version for name, version in others.items() if name not in TOOLS} == {}


def test_se_27_every_pinned_file_is_hashed() -> None:
    """The lock with its hashes names every file that may be installed: it is the bill of materials."""
    entries = re.split(r"\n(?=[a-z0-9])", LOCK.strip())
    assert len(entries) > 100
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []
