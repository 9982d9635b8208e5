"""What the walks find, less what the catalog has just so, over real folders and a real catalog."""

import os
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer import sources
from indexer.plan import Plan, is_behind, plan
from indexer.scan import scan
from indexer.sources import Findings, Root, look
from retrieval.config import ModelSpec
from retrieval.embedding.stream import never
from retrieval.store import Collection
from retrieval.types import Item, MediaInfo

PICTURE = MediaInfo("image", 4, 4, None, None, "PNG")
names = st.sampled_from(
    [
        "a.jpg",
        "z.jpg",
        "a/a.jpg",
        "a/b/a.jpg",
        "a-b/a.jpg",
        "a0/a.jpg",
        "a.jpg.xmp",
        "b/a.jpg",
        "b/\udcff.jpg",
        "é/a.png",
    ]
)
worlds = st.dictionaries(names, st.sampled_from([b"one", b"two", b"three"]), max_size=8)


@pytest.fixture(scope="module")
def spec(models: list[Path]) -> ModelSpec:
    from retrieval.embedding import open_embedder

    return open_embedder(str(models[0])).spec


def write(media: Path, world: dict[str, bytes]) -> None:
    """Leave only the files of a world; each content has a time of its own."""
    for old in list(media.iterdir()):
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    (media / "notes.md").touch()  # so that the source is never empty
    for name, content in world.items():
        path = media / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, ns=(1, len(content)))


def store(collection: Collection, media: Path, names_that_fail: Iterable[str] = ()) -> None:
    """Put all that a scan finds into the catalog."""
    source, row = collection.add_source(media), np.zeros((1, collection.manifest.spec.dim), np.float32)
    row[0, 0] = 1
    with collection.transaction() as writer:
        for entry in scan(media):
            digest = entry.path.read_bytes().ljust(8)
            if os.fspath(entry.path.relative_to(media)) in names_that_fail:
                writer.put_failed(source.id, entry, "bad", digest)
            else:
                writer.put(source.id, entry, PICTURE, digest, [Item()], row)


def found(collection: Collection, roots: list[Root], *, whole: bool) -> Findings:
    findings = look(roots, collection, (), never, whole=whole)
    assert findings is not None
    return findings


def planned(findings: Findings) -> Plan:
    entries = [one.entry for one in findings.entries.others()]
    return plan(entries, findings.records, lambda path: path.read_bytes().ljust(8), rest=findings)


@settings(max_examples=60, deadline=None)
@given(worlds, worlds, st.sets(names, max_size=2), st.sets(names, max_size=2))
def test_a_comparison_leaves_the_same_to_do_as_all_of_both(tmp_path_factory, spec, before, after, failed, gone):
    folder = tmp_path_factory.mktemp("world")
    media = folder / "media"
    media.mkdir()
    with Collection.create(folder / "collection", spec) as collection:
        write(media, before)
        store(collection, media, failed)
        away = [record.id for name in gone if (record := collection.find_file(media / name)) is not None]
        with collection.transaction() as writer:
            writer.set_gone(away)
        write(media, after)
        roots = [Root(media, 1)]
        whole, less = (found(collection, roots, whole=whole) for whole in (True, False))
        assert whole.same == 0
        everything, rest = planned(whole), planned(less)
        settled = [pair for pair in everything.same if not is_behind(*pair)]
        assert less.same == len(settled)
        assert rest == replace(everything, same=[pair for pair in everything.same if is_behind(*pair)])
        told = found(collection, roots, whole=False)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sources, "MANY", 0)
            told.tell_apart(lambda path: path.read_bytes().ljust(8))
        parted, alone = planned(told), [one.entry for one in told.entries.alone()]
        assert sorted([*parted.new, *alone]) == sorted(rest.new)
        assert replace(parted, new=[]) == replace(rest, new=[])


def test_of_unchanged_files_nothing_is_kept(tmp_path, spec):
    write(tmp_path, {f"{number % 7}/{number}.jpg": b"x" * number for number in range(50)})
    with Collection.create(tmp_path / "collection", spec) as collection:
        store(collection, tmp_path)
        less = found(collection, [Root(tmp_path, 1)], whole=False)
        assert (less.same, len(less.entries), less.records, less.roots) == (50, 0, [], [])


def test_folders_that_are_not_walked_are_compared_too(tmp_path, spec):
    """What lay in a folder that is ignored now, or is reached in two ways, is not forgotten."""
    write(tmp_path, {"in/a.jpg": b"a", "in/deep/b.jpg": b"bb", "out/c.jpg": b"ccc"})
    (tmp_path / "link").symlink_to(tmp_path / "out")
    with Collection.create(tmp_path / "collection", spec) as collection:
        store(collection, tmp_path)
        with collection.transaction() as writer:
            source = collection.sources()[0].id
            moved = collection.find_file(tmp_path / "out/c.jpg")
            entry = next(one for one in scan(tmp_path) if one.path.name == "c.jpg")
            writer.move(moved.id, source, entry._replace(raw=os.fsencode(tmp_path / "link/c.jpg")))
        (tmp_path / ".sightseekignore").write_text("in/deep\n")
        less = found(collection, [Root(tmp_path, source)], whole=False)
        assert less.same == 1
        assert [record.path.name for record in less.records] == ["b.jpg", "c.jpg"]
        assert [one.entry.path for one in less.entries.others()] == [tmp_path / "out/c.jpg"]
        todo = planned(less)
        assert [record.path.name for record in todo.gone] == ["b.jpg"]
        assert [pair.entry.path.name for pair in todo.moved] == ["c.jpg"]


def test_one_source_inside_another(tmp_path, spec):
    write(tmp_path, {"a.jpg": b"a", ".hidden/b.jpg": b"bb"})
    with Collection.create(tmp_path / "collection", spec) as collection:
        store(collection, tmp_path)
        store(collection, tmp_path / ".hidden")
        roots = [Root(source.path, source.id) for source in collection.sources()]
        todo = planned(found(collection, roots, whole=False))
        assert todo == Plan(same=todo.same)
        assert [pair.entry.path.name for pair in todo.same] == ["b.jpg", "a.jpg"]


def test_a_walk_stops_between_folders(tmp_path, spec):
    write(tmp_path, {"a/a.jpg": b"a", "b/b.jpg": b"b"})
    with Collection.create(tmp_path / "collection", spec) as collection:
        for whole in (True, False):
            assert look([Root(tmp_path, None)], collection, (), lambda: True, whole=whole) is None
