"""Makes a backup while traffic runs, and reads one again.

First a copy of the tables as of one moment, then all into a sealed archive under a temporary name; it is read back, and
only then gets its name. Whatever ends the process in between leaves no backup, and one that has its name is whole.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import orjson
from sqlalchemy import Connection, create_engine, func, select

from pipe.errors import BackupDamaged, BadRequest, Draining, StoreUnavailable
from pipe.store import archive, database, retention, schema, snapshot
from pipe.store.vault import Vault

MANIFEST, TABLES, BLOBS = "manifest.json", "pipe.db", "blobs/"
MIB = 1 << 20

Progress = Callable[[int, int | None, str], None]


@dataclass(slots=True)
class Manifest:
    """What is in a backup; its last member."""

    id: str
    made_at: float
    made_by: str
    store: str
    """`sqlite`: the tables are in it; `postgresql`: they are not"""
    tables: dict[str, int]
    """versions of the tables by component"""
    counts: dict[str, int]
    """messages, pending deliveries, erasures"""
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    """size and SHA-256 of each member"""
    missing: list[str] = field(default_factory=list)
    """blobs that rows name and that are not there: the disk has lost them"""


@dataclass(slots=True)
class Copying:
    """One backup being made, in a thread of its own; `stop` ends it at the next piece."""

    data: Path
    url: str
    vault: Vault
    id: str
    made_at: float
    made_by: str
    scratch: Path
    floor: int
    """bytes that stay free beside the copy of the tables"""
    progress: Progress
    stopped: threading.Event = field(default_factory=threading.Event)
    _total: int = 0
    _done: int = 0

    def make(self, path: Path) -> tuple[Manifest, int]:
        """Writes the backup and returns what is in it and its size. Raises PipeError, OSError; leaves nothing then."""
        archive.clear(path.parent)
        part = path.with_name(f".{path.name}{archive.UNFINISHED}")
        try:
            manifest = self._write(part)
            verify(part, self.vault, self._reporting("MiB read back"), manifest)
            size = part.stat().st_size
            publish(part, path)
        except FileExistsError as error:
            raise BadRequest(f"{path} is there already: a backup never overwrites") from error
        finally:
            part.unlink(missing_ok=True)
            self.scratch.unlink(missing_ok=True)
        return manifest, size

    def _write(self, part: Path) -> Manifest:
        with _tables(self) as connection:
            manifest = self._counted(connection)
            names = sorted(retention.blob_names(connection))
        blobs = [(name, self.data / "blobs" / name) for name in names]
        manifest.missing = [name for name, file in blobs if not file.exists()]
        present = [(BLOBS + name, file) for name, file in blobs if file.exists()]
        if self.is_embedded:
            present.insert(0, (TABLES, self.scratch))
        self._total = sum(file.stat().st_size for _, file in present)
        tick = self._reporting("MiB packed")
        with archive.written(part, self.vault, self.id, self.made_at) as tar:
            for name, file in present:
                manifest.files[name] = archive.add(tar, name, file, tick)
            archive.add_text(tar, MANIFEST, orjson.dumps(asdict(manifest), option=orjson.OPT_INDENT_2))
        return manifest

    def _counted(self, connection: Connection) -> Manifest:
        d, e = schema.delivery.c, schema.erasure
        counts = {
            "messages": connection.execute(select(func.count()).select_from(schema.message)).scalar() or 0,
            "pending": connection.execute(select(func.count()).where(d.done_at.is_(None))).scalar() or 0,
            "erasures": connection.execute(select(func.count()).select_from(e)).scalar() or 0,
        }
        rows = connection.execute(select(schema.version.c.component, schema.version.c.version))
        tables = {component: version for component, version in rows}  # noqa: C416 — rows are no pairs to mypy
        store = "sqlite" if self.is_embedded else "postgresql"
        return Manifest(self.id, self.made_at, self.made_by, store, tables, counts)

    @property
    def is_embedded(self) -> bool:
        """Whether the tables are in it."""
        return database.is_sqlite(self.url)

    def copied(self, done: int, total: int) -> None:
        """Reports how far the copy of the tables is."""
        self.look()
        self.progress(done // MIB, total // MIB, "MiB of tables copied")

    def look(self) -> None:
        """Raises where it was told to stop."""
        if self.stopped.is_set():
            raise Draining("the backup was stopped; nothing of it is left")

    def _reporting(self, word: str) -> archive.Tick:
        self._done = 0

        def tick(size: int) -> None:
            self.look()
            self._done += size
            self.progress(self._done // MIB, self._total // MIB, word)

        return tick


@contextmanager
def _tables(copying: Copying) -> Iterator[Connection]:
    """A connection to the tables as they are in the backup."""
    if not copying.is_embedded:
        engine = database.open_reader(copying.url)
    else:
        copying.scratch.unlink(missing_ok=True)
        snapshot.snapshot(copying.data / TABLES, copying.scratch, copying.floor, copying.copied)
        if wrong := snapshot.sound(copying.scratch):
            raise BackupDamaged(
                f"the store itself is damaged: {wrong[0]}", hint="check the disk, and restore the last good backup"
            )
        engine = create_engine(f"sqlite:///{copying.scratch}")
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def verify(path: Path, vault: Vault, tick: archive.Tick, expected: Manifest | None = None) -> Manifest:
    """Reads a whole backup and compares every member with the manifest. Raises BackupDamaged, SecretMissing."""
    return unpack(path, vault, lambda name, content: None, tick, expected)


def unpack(
    path: Path,
    vault: Vault,
    take: Callable[[str, archive.Counting], None],
    tick: archive.Tick,
    expected: Manifest | None = None,
) -> Manifest:
    """Hands every member but the manifest to `take`, then compares all with it. Raises as `verify`."""
    found: dict[str, dict[str, Any]] = {}
    manifest: Manifest | None = None
    with archive.read(path, vault) as members:
        for name, content in members:
            if name == MANIFEST:
                manifest = _manifest(path, content)
                continue
            if manifest is not None or not _is_ours(name):
                raise BackupDamaged(f"{path} holds {name}, which belongs into no backup")
            counting = archive.Counting(content, tick)
            take(name, counting)
            while counting.read(MIB):
                continue
            found[name] = {"bytes": counting.size, "sha256": counting.sha256}
    if manifest is None:
        raise BackupDamaged(f"{path} has no manifest: it was cut short")
    if expected is not None and manifest != expected:
        raise BackupDamaged(f"{path} is not what was to be written")
    if found != manifest.files:
        wrong = sorted(name for name in {*found, *manifest.files} if found.get(name) != manifest.files.get(name))
        raise BackupDamaged(f"{path} and its manifest differ: {', '.join(wrong[:5])}")
    return manifest


def _manifest(path: Path, content: IO[bytes]) -> Manifest:
    try:
        return Manifest(**orjson.loads(content.read()))
    except (ValueError, TypeError) as error:
        raise BackupDamaged(f"the manifest of {path} cannot be read: {error}") from error


def _is_ours(name: str) -> bool:
    return name == TABLES or (name.startswith(BLOBS) and name[len(BLOBS) :].isalnum())


def publish(part: Path, path: Path) -> None:
    """Gives a finished file its name, for good. Raises FileExistsError where there is one of that name."""
    try:
        os.link(part, path)  # unlike a rename it takes nobody's place
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if path.exists():
            raise FileExistsError(path) from None
        part.rename(path)
    with suppress(OSError):  # some network file systems sync no folders
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder outlast a power failure."""
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def place_for(target: Path, name: str) -> Path:
    """The file that a backup goes to: `target`, or `name` within it where it is a folder. Raises BadRequest."""
    path = target / name if target.is_dir() else target
    if path.exists() or path.is_symlink():
        raise BadRequest(f"{path} is there already: a backup never overwrites")
    if not path.parent.is_dir():
        raise BadRequest(f"there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise StoreUnavailable(f"{path.parent} cannot be written to", hint="the gateway's own user writes backups")
    return path
