"""The file of a backup: gzip of SQL whose first line describes it, and whose last line says that it is whole."""

import gzip
import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Self

from actors.runtime.migrations import migrations
from scripts.terminal import Failed

SUFFIX = ".sql.gz"
HEAD = "-- greenroom backup "
FOOT = b"-- greenroom backup is whole\n"
FORMAT = 1
MODE = 0o600
"""Only its owner reads a backup: passwords' hashes, signing keys and everything about players are in it."""
LEVEL = 3
"""Of gzip: as fast as pg_dump reads; level 6 is a tenth smaller and a fifth slower."""
GZIP = 31
"""What zlib calls a stream with gzip's head and checksum."""
CHUNK_BYTES = 1 << 20
HEAD_BYTES_MAX = 1 << 16


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself in its first line."""

    at: str
    """When the snapshot was taken, by the clock of its Postgres: what was acknowledged before is in it."""
    release: str
    postgres: int
    """Postgres' major version."""
    turns: int
    table_bytes: int
    """Of the database's tables without their indexes, about; for progress bars."""
    schema: dict[str, str]
    """Migrations that made the tables, and their checksums."""
    format: int = FORMAT

    def line(self) -> bytes:
        return f"{HEAD}{json.dumps(asdict(self))}\n".encode()

    def facts(self) -> dict[str, Any]:
        """For people's programs."""
        return {"at": self.at, "release": self.release, "postgres": self.postgres, "turns": self.turns}

    def check(self) -> None:
        """Raises Failed when this release cannot take the backup in."""
        ours = {f"{one.number:04}_{one.name}": one.checksum for one in migrations()}
        unknown = sorted(self.schema.keys() - ours.keys())
        if self.format > FORMAT or unknown:
            news = f"has migration {unknown[-1]}, which this release does not know" if unknown else "has a newer form"
            raise Failed(f"The backup is of a newer release ({self.release}): it {news}. Restore it with that release.")
        changed = sorted(name for name, checksum in self.schema.items() if ours[name] != checksum)
        if changed:
            raise Failed(f"The backup was made with another migration {changed[0]} than this release's.")


class Writer:
    """Writes a backup beside its place, and moves it there when it is whole; a failure leaves nothing behind."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.part = path.with_name(path.name + ".part")
        self.bytes = 0
        self._file: IO[bytes] | None = None
        self._gzip = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP)

    def __enter__(self) -> Self:
        try:
            if self.path.exists():
                raise Failed(f"{self.path} is there already; backups are never overwritten.")
            self.part.unlink(missing_ok=True)
            self._file = os.fdopen(os.open(self.part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE), "wb")
        except OSError as error:
            raise Failed(f"{self.path} cannot be written: {error.strerror}.") from None
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            self.part.unlink(missing_ok=True)

    def write(self, data: bytes) -> None:
        """Append; raises Failed when the disk is full or gone."""
        self._store(self._gzip.compress(data))

    def finish(self) -> None:
        """It is whole: on disk before it has its name."""
        self._store(self._gzip.flush())
        assert self._file is not None  # noqa: S101 - within `with`
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            # A link instead of a renaming: one that came into being meanwhile is not overwritten.
            os.link(self.part, self.path)
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise Failed(f"{self.path} cannot be written: {error.strerror}.") from None

    def _store(self, packed: bytes) -> None:
        assert self._file is not None  # noqa: S101 - within `with`
        try:
            self._file.write(packed)
        except OSError as error:
            raise Failed(f"{self.path} cannot be written: {error.strerror}.") from None
        self.bytes += len(packed)


def read_manifest(path: Path) -> Manifest:
    """What the backup says of itself; raises Failed when it is none."""
    line = next(unpacked(path), b"")[:HEAD_BYTES_MAX].partition(b"\n")[0]
    if not line.startswith(HEAD.encode()):
        raise Failed(f"{path} is no backup of Greenroom.")
    try:
        told: dict[str, Any] = json.loads(line[len(HEAD) :])
        return Manifest(**{name: told[name] for name in Manifest.__dataclass_fields__})
    except (ValueError, KeyError, TypeError):
        raise Failed(f"{path} is no backup that this release understands.") from None


def unpacked(path: Path) -> Iterator[bytes]:
    """The SQL, piece by piece; raises Failed where the file is damaged or ends too early."""
    tail = b""
    try:
        with gzip.open(path) as stream:
            while data := stream.read(CHUNK_BYTES):
                tail = (tail + data[-len(FOOT) :])[-len(FOOT) :]
                yield data
    except EOFError:
        tail = b""
    except (gzip.BadGzipFile, zlib.error):
        raise Failed(f"{path} is damaged, or no backup of Greenroom.") from None
    except OSError as error:
        raise Failed(f"{path} cannot be read: {error.strerror}.") from None
    if tail != FOOT:
        raise Failed(f"{path} is not whole: it ends too early.")
