"""What can be changed inside one transaction: a file's row, its items and their vectors come together."""

import json
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from retrieval.config import IndexSpec, ModelSpec, Sampling
from retrieval.errors import CollectionError
from retrieval.messages import _
from retrieval.store import paths, schema
from retrieval.store.lexical import words_of
from retrieval.store.looks import packed
from retrieval.store.records import Entry, Source
from retrieval.store.rows import halves_of, keywords_of, located, told
from retrieval.store.schema import files, items, keywords, meta, models, removed, sources, tracks
from retrieval.store.waiting import Waiting
from retrieval.types import FloatMatrix, Item, Keys, MediaInfo, Track

_OK, _FAILED, _PENDING = "ok", "failed", "pending"


class Writer:
    """What can be changed inside one transaction; see ``Collection.transaction``.

    A row whose path is taken by another file is only set aside until the end, so that files which swapped names can be
    moved one after the other.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._waiting = Waiting(connection)
        self.settle = self._waiting.write
        known = {state: (id_, json.loads(spec)["dim"]) for id_, state, spec in self._run(schema.MODELS)}
        self._active: int = known["active"][0]
        self._building: int | None = known["building"][0] if "building" in known else None
        self._model, self._dim = known.get("building", known["active"])
        self._generation: int = self._run(sa.select(meta.c.generation)).scalar_one() + 1
        self._next_key: int = 1 + (self._run(schema.LAST_KEY).scalar() or 0)
        self._set_aside: set[int] = set()
        self._roots: dict[int, str] = {}
        self._changed = False

    def put(
        self,
        source_id: int,
        entry: Entry,
        info: MediaInfo,
        digest: bytes | None,
        items: Sequence[Item],
        vectors: FloatMatrix,
    ) -> Keys:
        """Store a file with its items; ``vectors`` is ``(len(items), dim)``, rows of length 1. Returns their keys.

        Older rows of that path are replaced. During a re-embedding the vectors are the new model's, and a file whose
        content is unchanged keeps its old items beside them.

        Raises:
            ValueError: no items, or vectors that are not finite, not of length 1, or not of the right shape.
        """
        halves = halves_of(items, vectors, self._dim)
        values = {
            **located(source_id, entry),
            "kind": info.kind,
            "digest": digest,
            "status": _OK,
            "reason": "",
            "reason_building": None,
            "width": info.width,
            "height": info.height,
            "duration_s": info.duration_s,
            "taken_at": info.taken_at,
            **told(info, entry.beside),
        }
        rows = [{**item._asdict(), "vector": half.tobytes()} for item, half in zip(items, halves, strict=True)]
        file_id = self._placed(values)
        if file_id is None:
            return self._put_new(values, info, rows)
        self._describe(file_id, info)
        self._reword(file_id)
        self._keep_track(file_id, info.track)
        return self._insert_rows(file_id, self._model, rows)

    def describe(self, file_id: int, info: MediaInfo, looks: Sequence[Item], beside: str = "") -> None:
        """Store what was newly told of a file whose content is the same; items take over the looks nearest in time.

        ``beside`` is the mark of the sidecars that were read. Without looks, only words and numbers are told anew:
        what the file looks like, its track too, stays as it is.

        Raises:
            KeyError: there is no such file.
        """
        self._update(file_id, {"taken_at": info.taken_at, **told(info, beside)})
        self._describe(file_id, info)
        self._reword(file_id)
        if not looks:
            return
        self._keep_track(file_id, info.track)
        held = self._run(sa.select(items.c.key, items.c.at_s).where(items.c.file_id == file_id)).all()
        for key, at_s in held:
            look = min(looks, key=lambda one: abs((one.at_s or 0.0) - (at_s or 0.0)))
            shot = look.shot if info.track is None else bisect_right(info.track.cuts_s, at_s or 0.0)
            self._run(sa.update(items).where(items.c.key == key).values(shot=shot, signature=look.signature))

    def put_failed(self, source_id: int, entry: Entry, reason: str, digest: bytes | None = None) -> None:
        """Record that a file cannot be read, and why; what it had before is dropped.

        During a re-embedding a file whose content is unchanged keeps its old items until the switch.
        """
        values = {**located(source_id, entry), "digest": digest, "status": _FAILED, "reason": reason}
        old = self._occupant(values["path"])
        if old is not None and self._unchanged(old, values) and self._has_items(old.id, self._active):
            self._drop_items(old.id, self._model)
            self._update(old.id, {**located(source_id, entry), "reason_building": reason})
        else:
            self._vacate(values["path"])
            self._inserted(files, {"width": 0, "height": 0, **told(None, entry.beside), **values})

    def move(self, file_id: int, source_id: int, entry: Entry) -> None:
        """Give a file a new path; it keeps its items and their keys, and is no longer gone.

        Raises:
            KeyError: there is no such file.
        """
        columns = located(source_id, entry)
        self._vacate(columns["path"], file_id)
        self._update(file_id, columns)
        self._reword(file_id)
        self._set_aside.discard(file_id)

    def copy(self, file_id: int, source_id: int, entry: Entry) -> Keys:
        """Store a file of the same bytes as another under its own path, with copied vectors and keys of its own.

        Older rows of ``entry.path`` are replaced. Returns the new keys of the model being written.

        Raises:
            KeyError: there is no file to copy from.
        """
        origin = self._run(sa.select(files).where(files.c.id == file_id)).mappings().one_or_none()
        if origin is None:
            raise KeyError(file_id)
        columns = located(source_id, entry)
        if columns["path"] == origin["path"]:
            self._update(file_id, columns)
            self._reword(file_id)  # it may lie in another source than before
            found = self._run(schema.KEYS_OF, {"file": file_id, "model": self._model}).scalars()
            return np.fromiter(found, np.int64)
        self._vacate(columns["path"])
        values = {name: value for name, value in origin.items() if name != "id"}
        new_id = self._inserted(files, {**values, **columns})
        for table in (keywords, tracks):
            for row in self._run(sa.select(table).where(table.c.file_id == file_id)).mappings().all():
                self._run(sa.insert(table), {**row, "file_id": new_id})
        self._reword(new_id)
        keys: Keys = np.empty(0, np.int64)
        for model_id in (self._active, self._building):
            rows = self._run(schema.ITEMS_OF, {"file": file_id, "model": model_id}).mappings().all()
            copied = self._insert_rows(new_id, model_id, [dict(row) for row in rows])
            keys = copied if model_id == self._model else keys
        return keys

    def touch(self, file_id: int, entry: Entry) -> None:
        """Note a new time or size of a file whose content is the same; it is no longer gone.

        Raises:
            KeyError: there is no such file.
        """
        self._update(file_id, {"size_bytes": entry.size_bytes, "mtime_ns": entry.mtime_ns, "gone": False})

    def set_gone(self, file_ids: Iterable[int], gone: bool = True) -> None:
        """Mark files as no longer found, or as found again; their items stay, and searches pass over gone ones."""
        rows = [{"file": int(file_id), "gone_now": gone} for file_id in file_ids]
        if rows:
            self._run(schema.SET_GONE, rows)

    def add_source(self, path: Path) -> Source:
        """Add a root folder, or find it if it is known."""
        raw = paths.to_bytes(path)
        row = self._run(sa.select(sources).where(sources.c.path == raw)).one_or_none()
        if row is not None:
            return Source(row.id, path, bool(row.offline))
        return Source(self._inserted(sources, {"path": raw, "offline": False}), path, False)

    def set_offline(self, source_id: int, offline: bool) -> None:
        """Mark a source as missing, or as present again."""
        self._run(sa.update(sources).where(sources.c.id == source_id).values(offline=offline))

    def forget(self, path: Path) -> int:
        """Drop the file of this path, or all files below it, and sources at or below it; returns how many files."""
        raw = paths.to_bytes(path)
        first, end = paths.inside(raw)

        def reached(column: sa.ColumnElement[bytes]) -> sa.ColumnElement[bool]:
            return sa.or_(column == raw, sa.and_(column >= first, column < end))

        roots = sa.select(sources.c.id).where(reached(sources.c.path))
        dropped = self._drop_files(sa.or_(reached(files.c.path), files.c.source_id.in_(roots)))
        self._run(sa.delete(sources).where(reached(sources.c.path)))
        return dropped

    def purge(self) -> int:
        """Drop files that are gone or on sources that are offline; returns how many. The sources stay."""
        away = sa.select(sources.c.id).where(sources.c.offline)
        return self._drop_files(sa.or_(files.c.gone, files.c.source_id.in_(away)))

    def drop_items(self, keys: Sequence[int]) -> None:
        """Drop items and all others of their files and models, so that these files are embedded again as a whole."""
        named = sa.func.json_each(json.dumps(list(keys))).table_valued("value").c.value
        beside = items.alias()
        whole = sa.exists().where(beside.c.file_id == items.c.file_id, beside.c.model_id == items.c.model_id)
        self._bury(whole.where(beside.c.key.in_(sa.select(named))))
        self.set_pending()

    def set_pending(self) -> None:
        """Let files that count as indexed but have no items under the active model be embedded again."""
        held = sa.exists().where(items.c.file_id == files.c.id)
        held = held.where(items.c.model_id.in_([self._active, self._building or self._active]))
        self._run(sa.update(files).where(files.c.status == _OK, ~held).values(status=_PENDING, mtime_ns=0, digest=None))

    def begin_reembed(self, spec: ModelSpec, sampling: Sampling) -> None:
        """Write vectors of another model from now on; what an unfinished re-embedding left is dropped."""
        self.cancel_reembed()
        row = {**schema.described(spec, sampling), "state": "building"}
        self._building = self._model = self._inserted(models, row)
        self._dim = spec.dim

    def cancel_reembed(self) -> None:
        """Drop what a re-embedding has written; files that were new since then wait to be embedded."""
        if self._building is None:
            return
        self._run(sa.delete(items).where(items.c.model_id == self._building))
        self._run(sa.delete(models).where(models.c.id == self._building))
        self._building, self._model = None, self._active
        self._run(sa.update(files).where(files.c.reason_building.is_not(None)).values(reason_building=None))
        self.set_pending()

    def finish_reembed(self) -> None:
        """Make the new model the active one: the old items go, and files it has none of wait or have failed.

        Raises:
            CollectionError: no re-embedding is under way.
        """
        if self._building is None:
            raise CollectionError(_("no re-embedding is under way; start one with: sightseek index --reembed"))
        self._run(sa.delete(items).where(items.c.model_id == self._active))
        self._run(sa.delete(removed))
        self._run(sa.delete(models).where(models.c.id == self._active))
        self._run(sa.update(models).where(models.c.id == self._building).values(state="active"))
        self._active, self._building = self._building, None
        failed = files.c.reason_building
        given_up = {"status": _FAILED, "reason": failed, "reason_building": None}
        self._run(sa.update(files).where(failed.is_not(None)).values(**given_up))
        # How an approximate index was tuned holds for the old vectors alone; the kind stays if the user named it.
        spec = IndexSpec(**json.loads(self._run(sa.select(meta.c.index_spec)).scalar_one()))
        kind = spec.kind if spec.chosen else "flat"
        untrained = IndexSpec(kind, chosen=spec.chosen, memory_mb=spec.memory_mb, promised=spec.promised)
        self._run(sa.update(meta).values(index_spec=json.dumps(asdict(untrained))))
        self._changed = True
        self.set_pending()

    def rename_model(self, name: str) -> None:
        """Give the active model another name."""
        spec = json.loads(self._run(sa.select(models.c.spec).where(models.c.id == self._active)).scalar_one())
        renamed = json.dumps({**spec, "name": name})
        self._run(sa.update(models).where(models.c.id == self._active).values(spec=renamed))

    def finish(self) -> None:
        """Drop what was set aside and not used again, and count the generation up if items came or went."""
        self._waiting.write()
        for file_id in self._set_aside:
            self._drop_files(files.c.id == file_id)
        if self._changed:
            self._run(sa.update(meta).values(generation=self._generation))

    def _run(self, statement: sa.Executable, values: Any = None) -> sa.CursorResult[*tuple[Any, ...]]:  # noqa: ANN401
        """Run a statement that sees all that was stored before."""
        self._waiting.write()
        return self._connection.execute(statement, values)

    def _put_new(self, values: dict[str, Any], info: MediaInfo, rows: list[dict[str, Any]]) -> Keys:
        """Store a file whose path is free; it waits for others, until something has to see it."""
        root = self._root(values["source_id"])  # asked for first: asking writes what waits
        words = words_of(values["path_text"], root, values["told"], info.details.keywords)
        file_id = self._waiting.add_file(values)
        self._waiting.add("keywords", keywords_of(file_id, info))
        self._waiting.add("words", [{"file": file_id, **words._asdict()}])
        if info.track is not None:
            self._waiting.add("tracks", [{"file_id": file_id, **packed(info.track)}])
        numbered, keys = self._numbered(file_id, self._model, rows)
        self._waiting.add("items", numbered)
        if self._waiting.full:
            self._waiting.write()
        return keys

    def _root(self, source_id: int) -> str:
        if source_id not in self._roots:
            raw = self._run(sa.select(sources.c.path).where(sources.c.id == source_id)).scalar_one()
            self._roots[source_id] = paths.to_text(raw)
        return self._roots[source_id]

    def _placed(self, values: dict[str, Any]) -> int | None:
        """Return the file that keeps its row since only the model differs, None where the path is free (now)."""
        old = self._occupant(values["path"])
        if old is None:
            return None
        if self._unchanged(old, values):
            self._drop_items(old.id, self._model)
            self._update(old.id, values)
            return int(old.id)
        self._vacate(values["path"])
        return None

    def _unchanged(self, old: sa.Row[Any], values: dict[str, Any]) -> bool:
        """Say whether a re-embedding meets the content that the old items were made of."""
        if self._building is None:
            return False
        if old.digest is not None and values["digest"] is not None:
            return bool(old.digest == values["digest"])
        return bool((old.size_bytes, old.mtime_ns) == (values["size_bytes"], values["mtime_ns"]))

    def _occupant(self, raw: bytes) -> sa.Row[Any] | None:
        if raw in self._waiting:
            self._waiting.write()
        found: sa.Row[Any] | None = self._connection.execute(schema.AT_PATH, {"raw": raw}).one_or_none()  # type: ignore[assignment]
        return found

    def _vacate(self, raw: bytes, keep: int = 0) -> None:
        old = self._occupant(raw)
        if old is not None and old.id != keep:
            # No path begins with a zero byte.
            self._update(old.id, {"path": b"\0%d" % old.id})
            self._set_aside.add(old.id)

    def _update(self, file_id: int, values: dict[str, Any]) -> None:
        if not self._run(sa.update(files).where(files.c.id == file_id).values(**values)).rowcount:
            raise KeyError(file_id)

    def _inserted(self, table: sa.Table, values: dict[str, Any]) -> int:
        # Values beside the statement, not inside it: its text is then compiled once.
        found = self._run(sa.insert(table), values).inserted_primary_key
        assert found is not None
        return int(found[0])

    def _describe(self, file_id: int, info: MediaInfo) -> None:
        self._run(sa.delete(keywords).where(keywords.c.file_id == file_id))
        words = keywords_of(file_id, info)
        if words:
            self._run(sa.insert(keywords), words)

    def _reword(self, file_id: int) -> None:
        """Write the words that a file can be found by anew."""
        said = self._run(schema.SAID_OF, {"file": file_id}).one()
        words = words_of(said.path_text, paths.to_text(said.root), said.told, [said.keywords or ""])
        self._run(schema.DROP_WORDS, {"file": file_id})
        self._run(schema.INSERT_WORDS, {"file": file_id, **words._asdict()})

    def _keep_track(self, file_id: int, track: Track | None) -> None:
        self._run(sa.delete(tracks).where(tracks.c.file_id == file_id))
        if track is not None:
            self._run(sa.insert(tracks), {"file_id": file_id, **packed(track)})

    def _insert_rows(self, file_id: int, model_id: int | None, rows: list[dict[str, Any]]) -> Keys:
        numbered, keys = self._numbered(file_id, model_id, rows)
        if numbered:
            self._run(schema.INSERT_ITEM, numbered)
        return keys

    def _numbered(
        self, file_id: int, model_id: int | None, rows: list[dict[str, Any]]
    ) -> tuple[list[dict[str, Any]], Keys]:
        """Return rows of items with what they lack, and their keys, which are new."""
        keys = np.arange(self._next_key, self._next_key + len(rows), dtype=np.int64)
        self._next_key += len(rows)
        given = {"file_id": file_id, "model_id": model_id, "generation": self._generation}
        self._changed |= bool(rows) and model_id == self._active
        return [{"key": int(key), **given, **row} for key, row in zip(keys, rows, strict=True)], keys

    def _has_items(self, file_id: int, model_id: int) -> bool:
        return self._run(schema.KEYS_OF, {"file": file_id, "model": model_id}).first() is not None

    def _drop_items(self, file_id: int, model_id: int) -> None:
        self._bury(sa.and_(items.c.file_id == file_id, items.c.model_id == model_id))

    def _drop_files(self, condition: sa.ColumnElement[bool]) -> int:
        doomed = sa.select(files.c.id).where(condition)
        self._bury(items.c.file_id.in_(doomed))
        return self._run(sa.delete(files).where(condition)).rowcount

    def _bury(self, condition: sa.ColumnElement[bool]) -> None:
        """Delete items, and leave word of the active model's for indexes that hold them."""
        generation = sa.literal(self._generation)
        lost = sa.select(items.c.key, generation).where(items.c.model_id == self._active, condition)
        noted = self._run(sa.insert(removed).from_select(["key", "generation"], lost)).rowcount
        self._run(sa.delete(items).where(condition))
        self._changed |= noted > 0
