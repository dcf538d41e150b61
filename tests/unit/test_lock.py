"""What is installed is what was reviewed: every dependency is pinned, hashed and has its reason."""

import re
import tomllib

from schemas.settings import PROJECT

LOCK = (PROJECT / "requirements.lock").read_text()
MANIFEST = (PROJECT / "pyproject.toml").read_text()


def wanted() -> dict[str, str]:
    project = tomllib.loads(MANIFEST)["project"]
    asked = project["dependencies"] + project["optional-dependencies"]["dev"]
    pairs = (re.match(r"([\w-]+)(?:\[\w+\])?==([\w.]+)", requirement) for requirement in asked)
    return {pair[1].lower(): pair[2] for pair in pairs if pair}


def locked() -> dict[str, str]:
    return dict(re.findall(r"^([\w-]+)==([\w.]+)", LOCK, re.MULTILINE))


def test_the_lock_pins_what_the_project_asks_for() -> None:
    assert len(wanted()) > 30
    assert wanted().items() <= locked().items()


def test_every_locked_package_has_hashes() -> None:
    entries = re.split(r"\n(?=[a-z0-9])", LOCK.strip())
    assert len(entries) >= len(locked()) > 100  # a package may be pinned once for each Python
    assert not [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry]


def test_the_lock_names_no_place_to_download_from() -> None:
    assert not re.search(r"://|--(extra-)?index|--find-links|--trusted-host", LOCK)


def test_every_dependency_says_why_it_is_there() -> None:
    lines = [line for line in MANIFEST.splitlines() if re.match(r'\s+"[\w-]+(\[\w+\])?==', line)]
    assert len(lines) == len(wanted())
    assert not [line for line in lines if not re.search(r"# \w{2,}.*\w", line)]
