"""Searching real collections: what was put in is found, in order, page by page, filtered or not."""

import dataclasses
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from retrieval.config import Sampling, SearchOptions
from retrieval.embedding import open_embedder
from retrieval.embedding.stream import Embedded, Job, embed_stream
from retrieval.errors import MediaError, ModelMismatch, QueryError
from retrieval.query import parse_query
from retrieval.ranking import best_scores, moments
from retrieval.search import Searcher
from retrieval.store import Collection, Entry
from retrieval.types import Item, MediaInfo, Part, Query, Term
from tests.media_makers import draw_picture, write_animation, write_clip, write_picture
from tests.model_makers import COLOURS, plain, write_tiny_model

COLOUR_NAMES = ("red", "green", "blue", "yellow", "white", "black")


# ------------------------------------------------------------------------------------- a library of real media


@pytest.fixture(scope="module")
def embedder(tmp_path_factory):
    return open_embedder(str(write_tiny_model(tmp_path_factory.mktemp("model") / "tiny", context_length=12)), "cpu", 1)


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    """A folder of plain and drawn pictures, and two clips of coloured shots."""
    folder = tmp_path_factory.mktemp("library")
    for colour in COLOUR_NAMES:
        write_picture(folder / "plain" / f"{colour}.png", Image.fromarray(plain(colour)))
    for seed in range(6):
        write_picture(folder / "drawn" / f"{seed}.jpg", draw_picture(seed), quality=95)
    shots = [(COLOURS["blue"], 3.0), (COLOURS["red"], 4.0), (COLOURS["green"], 3.0), (COLOURS["red"], 2.0)]
    write_clip(folder / "clips" / "colours.mp4", shots, fps=10)
    write_clip(folder / "clips" / "drawn.mp4", [(draw_picture(2), 2.0), (draw_picture(4), 2.0)], fps=10)
    return folder


def put_files(collection: Collection, embedder, paths: list[Path], root: Path) -> None:
    with collection.transaction() as writer:
        source = writer.add_source(root)
        for result in embed_stream(map(Job, paths), embedder, sampling=Sampling(), workers=1):
            assert isinstance(result, Embedded), result
            found = result.job.path.stat()
            entry = Entry(result.job.path, found.st_size, found.st_mtime_ns)
            writer.put(source.id, entry, result.info, result.digest, result.items, result.vectors)


@pytest.fixture(scope="module")
def collection(tmp_path_factory, library, embedder) -> Iterator[Collection]:
    with Collection.create(tmp_path_factory.mktemp("collections") / "media", embedder.spec) as opened:
        put_files(opened, embedder, sorted(path for path in library.rglob("*") if path.is_file()), library)
        yield opened


@pytest.fixture(scope="module")
def searcher(collection, embedder) -> Searcher:
    return Searcher(collection, embedder)


def names(hits) -> list[str]:
    return [Path(hit.path).name for hit in hits.hits]


@pytest.mark.parametrize("colour", COLOUR_NAMES)
def test_words_find_the_picture(searcher, colour):
    hits = searcher.search(parse_query(f"a {colour} car"), k=20)
    assert f"{colour}.png" in names(hits)[:4]
    (found,) = (hit for hit in hits.hits if Path(hit.path).name == f"{colour}.png")
    assert found.score == pytest.approx(hits.hits[0].score, abs=0.01)
    assert [hit.rank for hit in hits.hits] == list(range(1, len(hits.hits) + 1))


def test_words_find_the_moment(searcher, library):
    hits = searcher.search(parse_query("red", where="kind:video"), k=10)
    first, second, *others = (hit for hit in hits.hits if hit.path == str(library / "clips" / "colours.mp4"))
    spans = sorted([(first.start_s, first.end_s), (second.start_s, second.end_s)])
    assert spans == [(pytest.approx(3, abs=0.11), pytest.approx(7, abs=0.11)), (pytest.approx(10, abs=0.11), 12.0)]
    assert all(hit.score < first.score - 0.1 for hit in others)
    assert first.start_s <= first.at_s <= first.end_s
    assert first.item == f"{first.path}#t={first.at_s:g}"
    assert first.kind == "video"


def test_at_most_so_many_moments_of_a_video(searcher):
    for per_video in (1, 2, 3):
        hits = searcher.search(
            parse_query("red", where="path:colours.mp4"), k=50, options=SearchOptions(per_video=per_video)
        )
        assert len(hits.hits) == per_video


def test_moments_of_each_video_stand_together_in_time(searcher):
    query = parse_query("red", where="kind:video")
    ranked = searcher.search(query, k=10).hits
    sorted_ = searcher.search(query, k=10, options=SearchOptions(sort="video")).hits
    paths = list(dict.fromkeys(hit.path for hit in ranked))
    assert len(paths) == 2
    assert list(sorted_) == sorted(ranked, key=lambda hit: (paths.index(hit.path), hit.at_s))
    assert list(sorted_) != list(ranked)


def test_moments_end_where_shots_do(searcher):
    hits = searcher.search(parse_query("red", where="path:colours.mp4"), k=50, options=SearchOptions(per_video=9)).hits
    cuts = [3.0, 7.0, 10.0]
    assert all(not hit.start_s + 0.11 < cut < hit.end_s - 0.11 for hit in hits for cut in cuts)
    assert len(hits) == 4


def test_a_picture_finds_the_same_picture_elsewhere(searcher, library, tmp_path):
    copy = shutil.copy(library / "drawn" / "3.jpg", tmp_path / "x.jpg")
    hits = searcher.search(parse_query("", like=[str(copy)]), k=3)
    assert hits.hits[0].path == str(library / "drawn" / "3.jpg")
    assert hits.hits[0].score == pytest.approx(1, abs=1e-3)
    assert hits.hits[1].score < 0.99


def test_a_picture_finds_the_moment_of_a_clip(searcher, library):
    hits = searcher.search(parse_query("", like=[str(library / "drawn" / "4.jpg")], where="kind:video"), k=1)
    (hit,) = hits.hits
    assert Path(hit.path).name == "drawn.mp4"
    assert 2.0 - 0.11 <= hit.start_s <= hit.at_s < 4.01


def test_a_clip_finds_pictures_of_its_shots_and_not_itself(searcher, library, tmp_path):
    stored = searcher.search(parse_query("", like=[str(library / "clips" / "drawn.mp4")]), k=50)
    assert set(names(stored)[:2]) == {"2.jpg", "4.jpg"}
    assert "drawn.mp4" not in names(stored)
    copy = shutil.copy(library / "clips" / "drawn.mp4", tmp_path / "x.mp4")
    fresh = searcher.search(parse_query("", like=[str(copy)]), k=50)
    assert {"drawn.mp4", "2.jpg", "4.jpg"} == set(names(fresh)[:3])


def test_an_animation_is_a_clip(searcher, tmp_path):
    gif = write_animation(tmp_path / "x.gif", [COLOURS["yellow"], COLOURS["white"]], 1000)
    assert set(names(searcher.search(parse_query("", like=[str(gif)]), k=2))) == {"yellow.png", "white.png"}


def test_a_query_may_be_a_mix(searcher, library):
    red, blue = (str(library / "plain" / f"{colour}.png") for colour in ("red", "blue"))
    mixed = searcher.search(parse_query('"red" - 0.5:"blue"'), k=30)
    assert names(mixed)[-1] in ("blue.png", "colours.mp4")
    pictures = searcher.search(parse_query("green", like=[red], minus=[blue]), k=4)
    assert {"green.png", "colours.mp4"} <= set(names(pictures))
    assert red not in [hit.path for hit in pictures.hits]


def test_an_item_is_left_out_of_its_own_results(searcher, library):
    everything = searcher.search(parse_query("red"), k=100)
    for hit in everything.hits:
        found = searcher.search(parse_query("", like=[hit.item]), k=100)
        assert hit.path not in [other.path for other in found.hits]
        assert {other.path for other in found.hits} == {other.path for other in everything.hits} - {hit.path}


def test_an_item_names_its_frame(searcher, library):
    clip = library / "clips" / "colours.mp4"
    assert names(searcher.search(parse_query("", like=[f"{clip}#t=8.5"]), k=1)) == ["green.png"]
    assert names(searcher.search(parse_query("", like=[f"{clip}#t=4.2"]), k=1)) == ["red.png"]


def test_a_frame_of_a_file_that_is_not_indexed(searcher, library, tmp_path):
    copy = shutil.copy(library / "clips" / "colours.mp4", tmp_path / "x.mp4")
    hits = searcher.search(parse_query("", like=[f"{copy}#t=8.5"]), k=2)
    assert set(names(hits)) == {"green.png", "colours.mp4"}


def test_a_file_is_itself_by_any_name(searcher, library, tmp_path, monkeypatch):
    photo = library / "drawn" / "3.jpg"
    (tmp_path / "link.jpg").symlink_to(photo)
    (tmp_path / "folder").symlink_to(library)
    monkeypatch.chdir(library / "plain")
    for name in (
        str(photo),
        "../drawn/3.jpg",
        str(tmp_path / "link.jpg"),
        str(tmp_path / "folder" / "drawn" / "3.jpg"),
    ):
        assert str(photo) not in [hit.path for hit in searcher.search(parse_query("", like=[name]), k=100).hits]


def test_a_file_indexed_through_a_link_is_itself(tmp_path, embedder, library):
    root = tmp_path / "linked"
    root.symlink_to(library)
    with Collection.create(tmp_path / "collection", embedder.spec) as opened:
        put_files(opened, embedder, [root / "drawn" / "3.jpg", root / "drawn" / "4.jpg"], root)
        hits = Searcher(opened, embedder).search(parse_query("", like=[str(library / "drawn" / "3.jpg")]))
        assert [hit.path for hit in hits.hits] == [str(root / "drawn" / "4.jpg")]


def test_a_changed_file_is_embedded_anew(tmp_path, embedder):
    photo = write_picture(tmp_path / "photos" / "x.png", Image.fromarray(plain("red")))
    for colour in ("red", "blue"):
        write_picture(tmp_path / "photos" / f"{colour}.png", Image.fromarray(plain(colour)))
    with Collection.create(tmp_path / "collection", embedder.spec) as opened:
        put_files(opened, embedder, sorted((tmp_path / "photos").iterdir()), tmp_path / "photos")
        searcher = Searcher(opened, embedder)
        assert names(searcher.search(parse_query("", like=[str(photo)]), k=1)) == ["red.png"]
        write_picture(photo, Image.fromarray(plain("blue", 64, 48)))
        os.utime(photo, ns=(1, 1))
        assert names(searcher.search(parse_query("", like=[str(photo)]), k=1)) == ["blue.png"]


def test_gone_files_are_not_found_and_offline_ones_are(tmp_path, embedder, library):
    with Collection.create(tmp_path / "collection", embedder.spec) as opened:
        put_files(opened, embedder, sorted((library / "plain").iterdir()), library)
        searcher = Searcher(opened, embedder)
        opened.set_offline(opened.sources()[0].id, True)
        assert len(searcher.search(parse_query("red"), k=50).hits) == 6
        red = opened.find_file(library / "plain" / "red.png")
        with opened.transaction() as writer:
            writer.set_gone([red.id])
        hits = searcher.search(parse_query("red"), k=50)
        assert (len(hits.hits), hits.searched) == (5, 5)
        assert "red.png" not in names(hits)


def test_long_words_are_noted(searcher):
    hits = searcher.search(parse_query("red " * 40))
    assert any("of the text are read" in note for note in hits.notes)
    assert searcher.search(parse_query("red")).notes == ()


def test_a_file_that_is_away_is_known_by_what_is_stored(crowd, files):
    path = str(next(record.path for record, _, _ in files if record.kind == "image"))
    by_item, by_file = (crowd.search(Query((Part(kind, path),)), 5).hits for kind in ("item", "image"))
    assert by_item == by_file


def test_a_query_file_that_cannot_be_read(searcher, tmp_path):
    (tmp_path / "text.jpg").write_text("not a picture")
    for name in ("text.jpg", "missing.jpg"):
        with pytest.raises(MediaError, match=rf"{name} cannot be used to search with: .*; give another file"):
            searcher.search(Query((Part("image", str(tmp_path / name)),)))


def test_nothing_selected_is_no_error(searcher):
    hits = searcher.search(parse_query("red", where="ext:tiff"))
    assert (hits.hits, hits.searched) == ((), 0)
    assert searcher.search(parse_query("red"), options=SearchOptions(offset=1000)).hits == ()


def test_an_empty_collection_has_no_hits(tmp_path, embedder):
    photo = write_picture(tmp_path / "x.png", Image.fromarray(plain("red")))
    with Collection.create(tmp_path / "collection", embedder.spec) as opened:
        assert Searcher(opened, embedder).search(parse_query("red", like=[str(photo)])).hits == ()


@pytest.mark.parametrize(
    "value", ["/nowhere/x.jpg", "/nowhere/x.mp4#t=2", "red dog", "a\0b", "a\ud800b", "x" * 5000 + "#t=1"]
)
def test_a_missing_item_says_what_to_give(searcher, value):
    with pytest.raises(QueryError, match="give the path"):
        searcher.search(Query((Part("item", value),)))


def test_queries_of_no_use_are_refused(searcher):
    with pytest.raises(QueryError, match="cancel"):
        searcher.search(parse_query('"red" - 1:"red"'))
    for query in (Query(()), Query((Part("text", "red", -1.0),)), Query((Part("text", "red", float("nan")),))):
        with pytest.raises(QueryError, match="give"):
            searcher.search(query)
    for k, wrong in ((0, {}), (1, {"offset": -1}), (1, {"per_video": 0})):
        with pytest.raises(QueryError):
            searcher.search(parse_query("red"), k, SearchOptions(**wrong))


def test_another_model_is_refused(collection, tmp_path):
    other = open_embedder(str(write_tiny_model(tmp_path / "other", seed=1)), "cpu", 1)
    with pytest.raises(ModelMismatch):
        Searcher(collection, other)


def test_searching_while_files_are_replaced(tmp_path, embedder, library):
    """Items vanish between the looks a search takes; it looks again rather than fail or lose hits."""
    paths = sorted(path for path in library.rglob("*") if path.is_file())
    found: list[int] = []
    with Collection.create(tmp_path / "collection", embedder.spec) as opened:
        put_files(opened, embedder, paths, library)
        searcher = Searcher(opened, embedder)
        expected = len(searcher.search(parse_query("red"), k=50).hits)
        thread = threading.Thread(target=lambda: [put_files(opened, embedder, paths, library) for _ in range(4)])
        thread.start()
        while thread.is_alive():
            found.append(len(searcher.search(parse_query("red"), k=50).hits))
        thread.join()
    assert found
    assert set(found) == {expected}


@pytest.mark.parametrize("video", [False, True])
def test_an_item_that_is_removed_while_it_is_read_is_missing(tmp_path, embedder, library, monkeypatch, video):
    path = library / "clips" / "colours.mp4" if video else library / "plain" / "red.png"
    with Collection.create(tmp_path / "collection", embedder.spec) as writer:
        put_files(writer, embedder, [path], library)
        with Collection.open(writer.folder) as reader:
            find = reader.find_item

            def found_and_removed(*arguments):
                row = find(*arguments)
                writer.forget(path)
                return row

            monkeypatch.setattr(reader, "find_item", found_and_removed)
            with pytest.raises(QueryError, match="no indexed item"):
                Searcher(reader, embedder).search(Query((Part("item", str(path)),)))


@pytest.mark.parametrize("more", [0, 32])
def test_after_a_switch_to_another_model_the_searcher_says_so(tmp_path, embedder, library, more):
    other = dataclasses.replace(embedder.spec, digest="f" * 64, dim=embedder.dim + more)
    clip, picture = library / "clips" / "colours.mp4", library / "plain" / "red.png"
    with Collection.create(tmp_path / "collection", embedder.spec) as writer:
        put_files(writer, embedder, [clip, picture], library)
        before = Searcher(writer, embedder)
        with Collection.open(writer.folder) as reader:
            searcher = Searcher(reader, embedder)
            assert searcher.search(parse_query("red")).hits
            frames = reader.frames

            def switched(file_id):
                """Embed anew when a search has found its items and looks at their frames."""
                if writer.manifest.spec != other:
                    writer.begin_reembed(other)
                    for record in list(writer.records()):
                        with writer.transaction() as change:
                            info = MediaInfo(record.kind, 1, 1, None, None, "")
                            entry = Entry(record.path, record.size_bytes, record.mtime_ns)
                            row = np.eye(1, other.dim, dtype=np.float32)
                            change.put(record.source_id, entry, info, record.digest, [Item()], row)
                    writer.finish_reembed()
                return frames(file_id)

            reader.frames = switched
            for value in (None, clip, picture, f"{clip}#t=1"):
                parts = (Part("text", "red") if value is None else Part("item", str(value)),)
                with pytest.raises(ModelMismatch, match="open it again"):
                    searcher.search(Query(parts))
        with pytest.raises(ModelMismatch, match="anew"):  # the switch was made here
            before.search(parse_query("red"))


def test_newest_first_is_by_wall_clock_and_the_time_of_files_that_say_none(tmp_path, embedder):
    def local_ns(*moment: int) -> int:
        return int(datetime(*moment).timestamp()) * 10**9

    # Name, when it was taken, the file's time; the vectors make the score fall from first to last.
    given = [
        ("noon", "2024-05-01T12:00:00", 0),
        ("noon-tokyo", "2024-05-01T12:00:00+09:00", 0),
        ("evening-apia", "2024-05-01T20:00:00-11:00", 0),
        ("noon-paris", "2024-05-01T12:00:00+02:00", 0),
        ("afternoon", None, local_ns(2024, 5, 1, 15)),
        ("never", None, -(1 << 62)),
        ("morning", None, local_ns(2024, 5, 1, 9)),
    ]
    with Collection.create(tmp_path / "collection", embedder.spec) as opened:
        with opened.transaction() as writer:
            source = writer.add_source(Path("/dated"))
            for place, (name, taken_at, mtime_ns) in enumerate([("query", None, 0), *given]):
                row = np.zeros((1, embedder.dim), np.float32)
                row[0, :2] = np.cos(place / 10), np.sin(place / 10)
                entry = Entry(Path(f"/dated/{name}.jpg"), 1, mtime_ns)
                info = MediaInfo("image", 1, 1, None, taken_at, "")
                writer.put(source.id, entry, info, None, [Item()], row)
        query = parse_query("", like=["/dated/query.jpg"])
        searcher = Searcher(opened, embedder)
        assert [Path(hit.path).stem for hit in searcher.search(query).hits] == [name for name, _, _ in given]
        hits = searcher.search(query, options=SearchOptions(sort="date")).hits
    order = ["evening-apia", "afternoon", "noon", "noon-tokyo", "noon-paris", "morning", "never"]
    assert [Path(hit.path).stem for hit in hits] == order
    assert [hit.rank for hit in hits] == [3, 5, 1, 2, 4, 7, 6]


def test_a_search_by_words_loads_no_decoders():
    code = (
        "import sys, retrieval.search, retrieval.query, retrieval.ranking, retrieval.present;"
        "print(sorted({'PIL', 'av', 'torch', 'faiss', 'onnxruntime', 'sqlalchemy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --------------------------------------------------------------------------- a library of vectors, for the laws

COUNT = 240


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def crowd(tmp_path_factory, embedder) -> Iterator[Searcher]:
    """Many files around few directions: near and exact doubles, and every fourth a video of up to 60 frames."""
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((6, embedder.dim))
    root = Path("/crowd")
    with Collection.create(tmp_path_factory.mktemp("collections") / "crowd", embedder.spec) as opened:
        with opened.transaction() as writer:
            source = writer.add_source(root)
            for place in range(COUNT):
                frames = 1 if place % 4 else int(rng.integers(1, 60))
                vectors = unit(centres[place % 6] + rng.normal(0, 0.4, (frames, embedder.dim)))
                if place % 10 in (3, 7):
                    vectors = unit(centres[:1])
                times = np.arange(len(vectors)) * 2.0
                video = len(vectors) > 1 or place % 4 == 0
                items = [Item(t + 1.0, t, t + 2.0) if video else Item() for t in times.tolist()]
                taken = None if place % 3 else f"20{place % 25:02d}-05-01T12:00:00"
                info = MediaInfo(
                    "video" if video else "image", 100 + place, 50, 2.0 * len(items) if video else None, taken, "x"
                )
                ending = "mp4" if video else "jpg"
                path = root / f"{place * 7 % 13:02d}" / f"{place:03d}.{ending}"
                writer.put(source.id, Entry(path, 1000 * place, place), info, None, items, vectors)
        yield Searcher(opened, embedder)


@pytest.fixture(scope="module")
def files(crowd) -> list:
    """Of each file: record, width, taken_at, frames."""
    found = []
    for record in crowd.collection.records():
        row = crowd.collection.find_item(record.path)
        found.append((record, row, crowd.collection.frames(record.id)))
    return found


def brute_force(files, probes, allowed, per_video: int = 3):
    """Rank everything the long way: (score, path, at_s) of all hits, best first."""
    found = []
    for record, row, frames in files:
        if not allowed(record, row):
            continue
        scores = best_scores(frames.vectors, probes)
        if record.kind == "image":
            found.append((float(scores[0]), str(record.path), None))
        else:
            cut = moments(scores, frames.at_s, frames.start_s, frames.end_s, per_video, frames.shots)
            found += [(one.score, str(record.path), one.at_s) for one in cut]
    return sorted(found, key=lambda one: (-round(one[0], 6), os.fsencode(one[1]), one[2] or 0.0))


def summary(hits):
    return [(pytest.approx(hit.score, abs=1e-5), hit.path, hit.at_s) for hit in hits.hits]


def like(files, place: int) -> tuple[str, np.ndarray]:
    record, _, frames = files[place]
    if record.kind == "image":
        return str(record.path), frames.vectors
    return f"{record.path}#t={frames.at_s[len(frames.at_s) // 2]:g}", frames.vectors[len(frames.at_s) // 2][None]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    place=st.integers(0, COUNT - 1),
    k=st.integers(1, 400),
    offset=st.integers(0, 60),
    per_video=st.integers(1, 4),
    wide=st.none() | st.integers(90, 360),
)
def test_hits_are_those_of_brute_force(crowd, files, place, k, offset, per_video, wide):
    item, probes = like(files, place)
    query = parse_query("", like=[item], where="" if wide is None else f"width>={wide}")
    own = files[place][0].path
    expected = brute_force(
        files, probes, lambda record, row: record.path != own and (wide is None or row.width >= wide), per_video
    )
    hits = crowd.search(query, k, SearchOptions(offset=offset, per_video=per_video))
    assert summary(hits) == expected[offset : offset + k]
    assert [hit.rank for hit in hits.hits] == [offset + 1 + place for place in range(len(hits.hits))]
    chosen = [frames for _, row, frames in files if wide is None or row.width >= wide]
    assert hits.searched == sum(len(frames.keys) for frames in chosen)


@settings(max_examples=30, deadline=None)
@given(place=st.integers(0, COUNT - 1), pages=st.lists(st.integers(1, 40), min_size=2, max_size=6))
def test_pages_join_to_the_longer_list(crowd, files, place, pages):
    query = parse_query("", like=[like(files, place)[0]])
    whole = crowd.search(query, sum(pages)).hits
    joined = [
        hit
        for number, size in enumerate(pages)
        for hit in crowd.search(query, size, SearchOptions(offset=sum(pages[:number]))).hits
    ]
    assert tuple(joined) == whole
    assert len(whole) == min(sum(pages), len(crowd.search(query, 10_000).hits))


@pytest.mark.parametrize("place", range(0, COUNT, 30))
def test_hits_are_sorted_and_exact_doubles_go_by_path(crowd, files, place):
    hits = crowd.search(parse_query("", like=[like(files, place)[0]]), 500).hits
    order = [(-round(hit.score, 6), os.fsencode(hit.path), hit.at_s or 0) for hit in hits]
    assert order == sorted(order)
    assert len(set(order)) == len(order)


def test_many_exact_doubles_are_in_order_from_the_first_page_on(crowd, files):
    """Forty-eight files share one vector: which come first must not depend on how many were fetched."""
    doubles = [record.path for record, _, _ in files if int(record.path.stem) % 10 in (3, 7)]
    hits = crowd.search(parse_query("", like=[str(doubles[0])]), 5).hits
    assert [hit.path for hit in hits] == [str(path) for path in sorted(doubles)[1:6]]
    assert {round(hit.score, 3) for hit in hits} == {1.0}


def test_an_item_finds_its_double_first(crowd, files):
    doubles = [str(record.path) for record, _, _ in files if int(record.path.stem) % 10 in (3, 7)]
    assert crowd.search(parse_query("", like=[doubles[5]]), 1).hits[0].path == min(doubles)


@settings(max_examples=20, deadline=None)
@given(
    places=st.lists(st.integers(0, COUNT - 1), min_size=2, max_size=3, unique=True),
    weights=st.lists(st.sampled_from([-0.5, 0.5, 1.0, 2.0]), min_size=2, max_size=2),
)
def test_weighted_items_are_summed(crowd, files, places, weights):
    items = [like(files, place) for place in places]
    weights = [1.0, *weights][: len(items)]
    parts = tuple(Part("item", item, weight) for (item, _), weight in zip(items, weights, strict=True))
    vector = sum(weight * unit(row.astype(np.float64)) for (_, row), weight in zip(items, weights, strict=True))
    if np.linalg.norm(vector) < 1e-2:
        return
    own = {files[place][0].path for place in places}
    expected = brute_force(files, unit(vector), lambda record, row: record.path not in own)
    hits = crowd.search(Query(parts), 30)
    assert [hit.score for hit in hits.hits] == pytest.approx([score for score, _, _ in expected[:30]], abs=2e-5)


def test_words_and_an_item_may_be_mixed(crowd, files):
    item, _ = like(files, 2)
    hits = crowd.search(parse_query("a red car", like=[item]), 30).hits
    alone = [crowd.search(parse_query(text, like=given), 30).hits for text, given in (("a red car", []), ("", [item]))]
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    for part in alone:
        assert {hit.path for hit in hits} & {hit.path for hit in part}
        assert [hit.item for hit in hits] != [hit.item for hit in part]


def test_sorting_rearranges_the_best_k(crowd, files):
    query = parse_query("", like=[like(files, 1)[0]])
    best = crowd.search(query, 40).hits
    by_path, by_date = (crowd.search(query, 40, SearchOptions(sort=sort)).hits for sort in ("path", "date"))
    assert sorted(by_path) == sorted(by_date) == sorted(best)
    assert [(hit.path, hit.at_s or 0) for hit in by_path] == sorted((hit.path, hit.at_s or 0) for hit in best)
    dates = [hit.taken_at for hit in by_date]
    dated = [date for date in dates if date]
    assert dates == sorted(dated, reverse=True) + [None] * (len(dates) - len(dated))
    assert 0 < len(dated) < len(dates)
    # Equal dates stay in the order of score, and each page is sorted by itself: pages join whatever their order.
    ranks = [hit.rank for hit in by_date if hit.taken_at == dated[0]]
    assert ranks == sorted(ranks)
    page = crowd.search(query, 10, SearchOptions(sort="date", offset=10)).hits
    assert {hit.item for hit in page} == {hit.item for hit in best[10:20]}


def test_a_clip_of_stored_frames_scores_by_its_best_frame(crowd, files):
    record, _, frames = next(entry for entry in files if 2 < len(entry[2].keys) <= 16)
    expected = brute_force(files, frames.vectors, lambda other, row: other.path != record.path)
    assert summary(crowd.search(Query((Part("item", str(record.path)),)), 25)) == expected[:25]


def test_filters_by_kind_and_path_equal_brute_force(crowd, files):
    item, probes = like(files, 2)
    query = Query((Part("item", item),), Term("kind", ":", "video"))
    expected = brute_force(
        files, probes, lambda record, row: record.kind == "video" and record.path != files[2][0].path
    )
    assert summary(crowd.search(query, 10)) == expected[:10]
    query = parse_query("", like=[item], where="path:/crowd/05/** not ext:mp4")
    chosen = [record.path for record, _, _ in files if record.path.parent.name == "05" and record.kind == "image"]
    assert {hit.path for hit in crowd.search(query, 100).hits} == {str(path) for path in chosen} - {
        str(files[2][0].path)
    }


# ------------------------------------------------------------------------------------------------ from Python


def test_a_searcher_is_opened_by_its_folder_alone(collection, searcher):
    with Searcher.open(collection.folder, "cpu") as opened:
        hits = opened.search("a red car", 8)
        assert hits == searcher.search(parse_query("a red car"), 8)
        assert (
            opened.search("red where:(kind:video)", 3).hits
            == opened.search(parse_query("red", where="kind:video"), 3).hits
        )


def test_iterating_gives_what_one_large_search_gives(crowd, monkeypatch):
    monkeypatch.setattr("retrieval.search.searcher._PAGES", (3, 7, 11))
    whole = crowd.search("a green car", 10_000).hits
    assert len(whole) > 40
    assert tuple(crowd.iterate("a green car")) == whole
    options = SearchOptions(offset=5, per_video=1)
    assert tuple(crowd.iterate("a green car", options)) == crowd.search("a green car", 10_000, options).hits
    with pytest.raises(QueryError, match="by score"):
        next(crowd.iterate("a green car", SearchOptions(sort="path")))


def test_iterating_asks_for_no_more_than_is_taken(crowd):
    assert next(crowd.iterate("a red car")) == crowd.search("a red car", 1).hits[0]
