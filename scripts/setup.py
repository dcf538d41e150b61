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
VERSION = ".".join(map(str, sys.version_info[:2]))
FOLDERS = ("/usr/local/bin", "/usr/bin", "/opt/homebrew/bin")
"""Where interpreters are besides PATH."""
CLEARLY = 0.85
"""An interpreter is preferred to the one that was found first when it needs less than so much of its time."""
WORK = """
import time
import venv

class Point:
    __slots__ = ("x", "y")
    def __init__(self, x, y):
        self.x, self.y = x, y
    def moved(self, by):
        return Point(self.x + by, self.y)

def work():
    began, kept = time.thread_time(), {}
    for number in range(20_000):
        kept[number & 255] = Point(number, str(number)).moved(3)
    return time.thread_time() - began

print(min(work() for _ in range(9)))
"""
"""Calls, attributes, dicts and texts, as a server does all day; seconds of the quickest of nine rounds."""


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


def fastest(interpreters: list[str]) -> str:
    """The first of them, unless another is clearly quicker: one that was built without its compiler's profile-guided
    optimisation takes a third longer for everything."""
    seconds = {python: _seconds(python) for python in interpreters}
    best = min(interpreters, key=seconds.__getitem__)
    return best if seconds[best] < CLEARLY * seconds[interpreters[0]] else interpreters[0]


def _interpreters() -> list[str]:
    """This interpreter, and the others of its version that can make environments."""
    folders = dict.fromkeys((*os.get_exec_path(), *FOLDERS))
    found = {os.path.realpath(sys.executable): sys.executable}
    for folder in folders:
        python = os.path.join(folder, "python" + VERSION)  # noqa: PTH118
        if os.access(python, os.X_OK):
            found.setdefault(os.path.realpath(python), python)
    return list(found.values())


def _seconds(python: str) -> float:
    """How long it takes for some work; for ever, when it does not run or could not make an environment."""
    try:
        done = subprocess.run([python, "-I", "-c", WORK], check=False, capture_output=True, timeout=20)
        return float(done.stdout) if done.returncode == 0 else float("inf")
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return float("inf")


def _make() -> None:
    python = fastest(_interpreters()) if "--any" in sys.argv else sys.executable
    # Where the system split ensurepip off (Debian's python3-venv), an environment without pip still works.
    for maker in dict.fromkeys((python, sys.executable)):
        for options in ([], ["--without-pip"]):
            shutil.rmtree(VENV, ignore_errors=True)
            command = [maker, "-m", "venv", *options, str(VENV)]
            if subprocess.run(command, check=False, capture_output=True).returncode == 0:
                say(f"taking {maker}")
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
