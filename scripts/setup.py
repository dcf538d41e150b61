"""Makes `.venv` with all that the lock file pins, on a machine that has no more than Python; standard library only."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
VENV = PROJECT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCK = PROJECT / "requirements.lock"
STAMP = VENV / ".greenroom"
# The project itself is built by what the lock file pinned, from this folder: nothing is fetched for it.
ITSELF = ("--no-deps", "--no-build-isolation", "--config-settings", "editable_mode=compat", "-e", str(PROJECT))


def main() -> None:
    """Sets up, or returns at once when nothing has changed since the last time."""
    if sys.version_info < (3, 11):  # noqa: UP036  (whoever runs this may have any Python)
        sys.exit("Greenroom needs Python 3.11 or newer; this is " + sys.version.split()[0])
    wanted = _fingerprint()
    if _stamp() == wanted:
        return
    with (PROJECT / ".venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _stamp() == wanted:
            return
        say("setting up .venv (once; some 460 MB)")
        if not _works():
            _make()
        _install()
        STAMP.write_text(wanted)
        say("done")


def say(text: str) -> None:
    """Progress goes to stderr, so that a command's own output stays clean."""
    print("setup: " + text, file=sys.stderr, flush=True)


def _fingerprint() -> str:
    parts = [LOCK.read_bytes(), (PROJECT / "pyproject.toml").read_bytes(), str(PROJECT).encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _stamp() -> str:
    return STAMP.read_text() if STAMP.exists() and PYTHON.exists() else ""


def _works() -> bool:
    """Whether the environment's Python runs and is recent enough; one left by another system does not."""
    check = "import sys; sys.exit(sys.version_info < (3, 11))"
    try:
        return subprocess.run([str(PYTHON), "-c", check], check=False).returncode == 0
    except OSError:
        return False


def _make() -> None:
    # Where the system split ensurepip off (Debian's python3-venv), an environment without pip still works.
    for options in ([], ["--without-pip"]):
        shutil.rmtree(VENV, ignore_errors=True)
        command = [sys.executable, "-m", "venv", *options, str(VENV)]
        if subprocess.run(command, check=False, capture_output=True).returncode == 0:
            return
    uv = shutil.which("uv")
    if uv is None or subprocess.run([uv, "venv", "--python", sys.executable, str(VENV)], check=False).returncode != 0:
        sys.exit("setup: this Python has no venv module; install it (Debian: apt install python3-venv), or uv")


def _install() -> None:
    for installer in _installers():
        pinned = [*installer, "--require-hashes", "-r", str(LOCK)]
        if all(subprocess.run(command, check=False).returncode == 0 for command in (pinned, [*installer, *ITSELF])):
            return
        say(os.path.basename(installer[0]) + " did not succeed")  # noqa: PTH119
    sys.exit("setup: nothing could install the packages; needed is pip (Debian: apt install python3-pip) or uv")


def _installers() -> list[list[str]]:
    """Command lines that install into the environment, the fastest first."""
    found = []
    uv = shutil.which("uv")
    if uv is not None:
        found.append([uv, "pip", "install", "--quiet", "--python", str(PYTHON)])
    quiet = ["install", "--quiet", "--disable-pip-version-check", "--no-input"]
    if _has_pip([str(PYTHON), "-m", "pip"]):
        found.append([str(PYTHON), "-m", "pip", *quiet])
    elif _has_pip([sys.executable, "-m", "pip"]):
        found.append([sys.executable, "-m", "pip", "--python", str(PYTHON), *quiet])
    return found


def _has_pip(command: list[str]) -> bool:
    return subprocess.run([*command, "--version"], check=False, capture_output=True).returncode == 0


if __name__ == "__main__":
    main()
