"""Checking a collection: the catalog against itself, and everything else against the catalog."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from retrieval.messages import _
from retrieval.store import committed, durable, live, manifest, vectors
from retrieval.store.reader import Reader
from retrieval.store.records import Manifest, Mark, Problem
from retrieval.store.seal import IndexDamaged
from retrieval.types import Keys

if TYPE_CHECKING:
    from retrieval.store.writer import Writer

UNIT = 1.2e-2
"""How far a stored vector's length may be from 1: what a writer lets pass, and float16 rounding."""
_BLOCK = 8192


class Repair(NamedTuple):
    """What a collection open for writing lets ``verify`` do."""

    writer: Callable[[], AbstractContextManager["Writer"]]
    reindex: Callable[[], None]
    rebuild: Callable[[str], None]


class Found(NamedTuple):
    """Something wrong, and how to put it right if that is possible."""

    what: str
    cure: Callable[[Repair], object] | None = None


def verify(folder: Path, catalog: Reader, made: Manifest, repair: Repair | None) -> list[Problem]:
    """Return what is wrong with a collection; with ``repair``, put right what can be.

    Raises:
        CollectionCorrupt: the catalog is so damaged that it cannot be read.
    """
    problems: list[Problem] = []

    def note(found: Found) -> None:
        cured = repair is not None and found.cure is not None
        if repair is not None and found.cure is not None:
            found.cure(repair)
        problems.append(Problem(found.what, cured))

    with catalog.connection(committed=True) as connection:
        for check in (_integrity, _links, _vectors, _files):
            for found in list(check(connection)):
                note(found)
    # After the catalog was repaired, since the index follows it.
    with catalog.snapshot() as connection:
        wrong = _index(folder / live.FILE, connection, committed.mark(connection))
    if wrong:
        note(Found(wrong, lambda do: do.rebuild(wrong)))
    if not manifest.is_current(folder, made):
        note(
            Found(
                _("{name} does not say what the catalog says").format(name=manifest.FILE),
                lambda _do: manifest.write(folder, made),
            )
        )
    if repair is not None:
        for path in folder.glob(f"*{durable.TEMPORARY}"):
            note(Found(_("{name} was left by an interrupted run").format(name=path.name), _removing(path)))
    return problems


def _dropping(keys: list[int]) -> Callable[[Repair], None]:
    def cure(do: Repair) -> None:
        with do.writer() as writer:
            writer.drop_items(keys)

    return cure


def _removing(path: Path) -> Callable[[Repair], None]:
    return lambda _do: path.unlink(missing_ok=True)


def _awaiting(do: Repair) -> None:
    with do.writer() as writer:
        writer.set_pending()


def _integrity(connection: sqlite3.Connection) -> Iterator[Found]:
    said = [row[0] for row in connection.execute("PRAGMA integrity_check(20)")]
    for line in said:
        if line != "ok":
            in_index = "index" in line
            text = "; ".join(line.splitlines())
            yield Found(
                _("the catalog is damaged: {reason}").format(reason=text),
                (lambda do: do.reindex()) if in_index else None,
            )


def _links(connection: sqlite3.Connection) -> Iterator[Found]:
    lost: dict[tuple[str, str], list[int]] = {}
    for table, row, parent, _index_of_key in connection.execute("PRAGMA foreign_key_check"):
        lost.setdefault((table, parent), []).append(row)
    for (table, parent), rows in lost.items():
        if table == "items":
            what = _("{count} rows of {table} name {parent} that do not exist")
            cure = _dropping(rows)
        else:
            what = _("{count} rows of {table} name {parent} that do not exist; forget those files and index again")
            cure = None
        yield Found(what.format(count=len(rows), table=table, parent=parent), cure)


def _vectors(connection: sqlite3.Connection) -> Iterator[Found]:
    bad: list[int] = []
    files: set[int] = set()
    models = connection.execute("SELECT id, json_extract(spec, '$.dim') FROM models").fetchall()
    for model_id, dim in models:
        sql = "SELECT key, file_id, vector FROM items NOT INDEXED WHERE model_id = ?"
        cursor = connection.execute(sql, (model_id,))
        while rows := cursor.fetchmany(_BLOCK):
            wrong = [not isinstance(row[2], bytes) or len(row[2]) != 2 * dim for row in rows]
            sound = [row for row, off in zip(rows, wrong, strict=True) if not off]
            lengths = np.linalg.norm(committed.decoded([row[2] for row in sound], dim), axis=1)
            off_unit = ~(np.abs(lengths - 1) <= UNIT)
            damaged = [row for row, off in zip(rows, wrong, strict=True) if off]
            damaged += [row for row, off in zip(sound, off_unit, strict=True) if off]
            bad += [row[0] for row in damaged]
            files |= {row[1] for row in damaged}
    if bad:
        what = _("{count} vectors of {files} files are damaged; repair lets the next index embed them again")
        yield Found(what.format(count=len(bad), files=len(files)), _dropping(bad))


def _files(connection: sqlite3.Connection) -> Iterator[Found]:
    sql = "SELECT count(*) FROM files f WHERE status = 'ok' AND NOT EXISTS (SELECT 1 FROM items WHERE file_id = f.id)"
    count = connection.execute(sql).fetchone()[0]
    if count:
        what = _("{count} files count as indexed and have no vectors; repair lets the next index embed them again")
        yield Found(what.format(count=count), _awaiting)


def _index(path: Path, connection: sqlite3.Connection, at: Mark) -> str | None:
    """Return what is wrong with the index file, apart from lagging behind, which is no fault."""
    try:
        index, sealed = vectors.load(path, at, committed.index_spec(connection))
    except FileNotFoundError:
        return _("{name} is missing").format(name=path.name) if committed.tally(connection, at)[0] else None
    except (IndexDamaged, OSError) as error:
        return _("{name} is damaged: {reason}").format(name=path.name, reason=error)
    if sealed.lineage != at.lineage:
        return _("{name} is another collection's").format(name=path.name)
    if not sealed.belongs(at):
        return None
    expected: list[Keys] = [np.empty(0, np.int64)]
    held = index.keys
    for keys, stored in committed.stored_vectors(connection, at):
        known = np.isin(keys, held)
        if not np.array_equal(index.rows(keys[known]), stored[known]):
            return _("{name} holds vectors that differ from the catalog's").format(name=path.name)
        expected.append(keys)
    expected.append(committed.removed_keys(connection, sealed.generation))
    if not np.isin(held, np.concatenate(expected)).all():
        return _("{name} holds vectors of items that do not exist").format(name=path.name)
    later = [keys for keys, _rows in committed.stored_vectors(connection, at, sealed.generation)]
    if not np.isin(np.concatenate(expected[:-1]), np.concatenate([held, *later])).all():
        return _("{name} lacks vectors of items that exist").format(name=path.name)
    return None
