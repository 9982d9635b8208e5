"""Opening the catalog: its connections, its version, and SQLite's errors in one line."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from retrieval.errors import CollectionCorrupt, CollectionError, CollectionNotFound, CollectionTooNew
from retrieval.filters.places import distance_m
from retrieval.messages import _, reason_of
from retrieval.store import globs, wording

SCHEMA_VERSION = 5
BUSY_S = 30.0


def connect(path: Path) -> sqlite3.Connection:
    """Open the catalog with the settings all its connections share; the file must exist."""
    mode = "rw"
    if not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        # On a read-only disk there is no room for SQLite's shared memory; without a log to read none is needed.
        mode = "ro" if path.with_name(path.name + "-wal").exists() else "ro&immutable=1"
    uri = f"file:{quote(os.fsencode(path.absolute()))}?mode={mode}"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_S)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")
    connection.create_function("path_matches", 2, globs.path_matches, deterministic=True)
    connection.create_function("text_matches", 2, wording.text_matches, deterministic=True)
    connection.create_function("words_match", 2, wording.words_match, deterministic=True)
    connection.create_function("distance_m", 4, distance_m, deterministic=True)
    return connection


def schema_version(path: Path) -> int:
    """Return the catalog's ``user_version``; 0 where there is no catalog or its making was cut short.

    Raises:
        CollectionError: nobody can tell, since the folder or the disk does not answer.
        CollectionCorrupt: the file is no database, or a damaged one.
    """
    if not _size_bytes(path):
        return 0
    with translated(path), contextlib.closing(connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def check_vacant(path: Path) -> None:
    """Make sure that a new catalog may take the place of whatever is there.

    Raises:
        CollectionError: it is a catalog, or a database of something else, or nobody can tell.
    """
    if schema_version(path):
        raise CollectionError(
            _("{folder} holds a collection already; open it, or name another folder").format(folder=path.parent)
        )
    if _size_bytes(path):
        with translated(path), contextlib.closing(connect(path)) as connection:
            if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise CollectionError(
                    _("{folder} holds a {name} of something else; name another folder").format(
                        folder=path.parent, name=path.name
                    )
                )


def check_version(path: Path) -> int:
    """Return ``schema_version`` of a catalog that this version can read, perhaps after migrating it.

    Raises:
        CollectionNotFound: there is none.
        CollectionTooNew: a later version wrote it.
        CollectionCorrupt: it is damaged.
    """
    version = schema_version(path)
    if version == 0:
        raise CollectionNotFound(
            _("no collection in {folder}; make one: sightseek index FOLDER -c {folder}").format(folder=path.parent)
        )
    if version > SCHEMA_VERSION:
        raise CollectionTooNew(
            _("{folder} was written by a newer sightseek (format {version} over {known}); update sightseek").format(
                folder=path.parent, version=version, known=SCHEMA_VERSION
            )
        )
    return version


def _size_bytes(path: Path) -> int:
    """Return a file's size, 0 where there is none; a disk that does not answer is no missing file."""
    try:
        return path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except OSError as error:
        raise CollectionError(
            _("cannot read {path} ({reason}); see to the disk and the permissions").format(
                path=path, reason=reason_of(error)
            )
        ) from error


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into one line that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise said(path, error) from error


def said(path: Path, error: sqlite3.Error) -> CollectionError:
    """Return the error to raise instead of one of SQLite's."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return CollectionCorrupt(
            _("{path} is damaged ({reason}); move {folder} aside and index again").format(
                path=path, reason=error, folder=path.parent
            )
        )
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return CollectionError(
            _("cannot write or read {path} ({reason}); make room on the disk and try again").format(
                path=path, reason=error
            )
        )
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return CollectionError(_("{path} is in use ({reason}); try again").format(path=path, reason=error))
    return CollectionError(_("{path} cannot be used ({reason}); see: sightseek verify").format(path=path, reason=error))
