"""Other fusions than the sum of vectors, over the library of vectors that ``test_search`` makes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.config import SearchOptions
from retrieval.query import parse_query
from retrieval.ranking import best_scores, mix, moments
from retrieval.ranking.fusion import DEPTH, RECALL, fuse_anew, fuse_ranks, fuse_scores
from retrieval.reading import read_query
from retrieval.search import Searcher
from retrieval.store import Collection, Entry
from retrieval.types import Item, MediaInfo, Part, Query
from tests.test_search import COUNT, crowd, embedder, files, like  # noqa: F401 - fixtures

FUSIONS = ["rrf", "scores", "hybrid"]


def all_items(files):  # noqa: F811
    """Keys, the place of each one's file, and the vectors of all items."""
    keys = np.concatenate([frames.keys for _, _, frames in files])
    places = np.concatenate([np.full(len(frames.keys), place) for place, (_, _, frames) in enumerate(files)])
    return keys, places, np.concatenate([frames.vectors for _, _, frames in files])


def top(scores, keys, count):
    """The places of the best items, equal ones by key."""
    return np.lexsort((keys, -scores))[:count]


def brute_force(files, read, fusion, own):  # noqa: F811
    """Fuse everything the long way: (score, path, at_s) of all hits, best first."""
    keys, file_of, vectors = all_items(files)
    probes = [part.vectors for part in read.embedded]
    weights = [part.weight for part in read.embedded]
    each = [np.round(best_scores(vectors, rows), 9) for rows in probes]
    looked_up = [np.concatenate([top(vectors @ row, keys, DEPTH) for row in rows]) for rows in probes]
    whole = np.concatenate([top(vectors @ row, keys, RECALL) for row in read.mixed.probes])
    wanted = (
        whole
        if fusion == "hybrid"
        else np.concatenate([items for items, weight in zip(looked_up, weights, strict=True) if weight > 0])
    )
    hits, scores = [], []
    for place in sorted(set(file_of[wanted].tolist()) - own):
        record, _, frames = files[place]
        mixed = best_scores(frames.vectors, read.mixed.probes)
        if record.kind == "image":
            cut = [(None, 0)]
        else:
            cut = [(one.at_s, one.frame) for one in moments(mixed, frames.at_s, frames.start_s, frames.end_s)]
        for at_s, frame in cut:
            hits.append((str(record.path), at_s))
            scores.append([np.round(best_scores(frames.vectors[frame][None], rows), 9)[0] for rows in probes])
    if fusion == "hybrid":
        added = fuse_anew(np.array(scores), weights)
    else:
        lists = []
        for part, items in enumerate(looked_up):
            best = {}
            for item in set(items.tolist()):
                if file_of[item] not in own:
                    best[file_of[item]] = max(best.get(file_of[item], -2), each[part][item])
            lists.append(np.array(list(best.values())))
        added = (fuse_ranks if fusion == "rrf" else fuse_scores)(np.array(scores), lists, weights)
    found = [(score, *hit) for score, hit in zip(added.sum(axis=1).tolist(), hits, strict=True)]
    return sorted(found, key=lambda one: (-round(one[0], 6), one[1], one[2] or 0))


@pytest.mark.parametrize("fusion", FUSIONS)
@settings(max_examples=25, deadline=None)
@given(
    places=st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=3, unique=True),
    weights=st.lists(st.sampled_from([-0.5, 0.5, 2.0]), min_size=2, max_size=2),
)
def test_hits_are_those_of_brute_force(crowd, files, fusion, places, weights):  # noqa: F811
    weights = [1.0, *weights][: len(places)]
    parts = tuple(Part("item", like(files, place)[0], weight) for place, weight in zip(places, weights, strict=True))
    query = Query(parts)
    read = read_query(query, crowd.embedder, crowd.collection)
    expected = brute_force(files, read, fusion, set(places))
    hits = crowd.search(query, 40, SearchOptions(fusion=fusion)).hits
    assert [hit.score for hit in hits] == pytest.approx([score for score, _, _ in expected[:40]], abs=1e-4)
    clear = [place for place in range(min(39, len(hits))) if place + 1 < len(expected)]
    for place in clear:
        score = expected[place][0]
        around = [one[0] for one in expected[max(0, place - 1) : place + 2] if one is not expected[place]]
        if all(abs(score - other) > 1e-3 for other in around):
            assert (hits[place].path, hits[place].at_s) == expected[place][1:]


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("hide", ["none", "similar"])
def test_pages_join_to_the_longer_list(crowd, files, fusion, hide):  # noqa: F811
    query = Query(tuple(Part("item", like(files, place)[0]) for place in (1, 8)))
    options = {"fusion": fusion, "hide_duplicates": hide}
    whole = crowd.search(query, 50, SearchOptions(**options)).hits
    pages = [crowd.search(query, 10, SearchOptions(offset=start, **options)).hits for start in range(0, 50, 10)]
    assert [hit for page in pages for hit in page] == list(whole)
    assert [hit.rank for hit in whole] == list(range(1, len(whole) + 1))


@pytest.mark.parametrize("fusion", FUSIONS)
def test_beyond_the_depth_a_note_says_so(crowd, files, fusion):  # noqa: F811
    query = Query(tuple(Part("item", like(files, place)[0]) for place in (1, 8)))
    near = crowd.search(query, 10, SearchOptions(fusion=fusion))
    assert near.notes == ()
    far = crowd.search(query, 10, SearchOptions(fusion=fusion, offset=100_000))
    assert far.hits == ()
    assert f"--fusion {fusion} looks no deeper" in far.notes[0]


@pytest.mark.parametrize("fusion", ["early", *FUSIONS])
def test_shares_sum_to_the_score(crowd, files, fusion):  # noqa: F811
    parts = (Part("item", like(files, 1)[0]), Part("text", "red", 0.5), Part("item", like(files, 8)[0], -0.5))
    hits = crowd.search(Query(parts), 20, SearchOptions(fusion=fusion, explain=True)).hits
    assert len(hits) == 20
    for hit in hits:
        assert [one.part for one in hit.shares] == list(parts)
        assert sum(one.share for one in hit.shares) == pytest.approx(hit.score, abs=1e-6)


@pytest.mark.parametrize("fusion", ["rrf", "scores"])
def test_what_is_taken_away_sinks(crowd, files, fusion):  # noqa: F811
    """What a part adds to a picture is turned about when it is taken away."""
    one, other = Part("item", like(files, 1)[0]), Part("item", like(files, 2)[0])
    options = SearchOptions(fusion=fusion, explain=True)
    added = {hit.path: hit for hit in crowd.search(Query((one, other)), 500, options).hits}
    taken = {hit.path: hit for hit in crowd.search(Query((one, other._replace(weight=-1.0))), 500, options).hits}
    shown = [path for path in taken if path in added and taken[path].kind == "image"]
    for path in shown:
        first, second = (share.share for share in taken[path].shares)
        assert [first, -second] == pytest.approx([2 * share.share for share in added[path].shares], abs=1e-9)
    assert any(taken[path].shares[1].share < 0 for path in shown)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_filters_hold(crowd, files, fusion):  # noqa: F811
    query = parse_query("red", like=[like(files, 1)[0]], where="kind:video width>=150")
    hits = crowd.search(query, 500, SearchOptions(fusion=fusion)).hits
    assert hits
    assert all(hit.kind == "video" and hit.width >= 150 for hit in hits)
    assert crowd.search(parse_query("red", where="ext:none"), 5, SearchOptions(fusion=fusion)).hits == ()


def test_a_clip_tells_its_keyframe(crowd, files):  # noqa: F811
    record, _, frames = next(entry for entry in files if 2 < len(entry[2].keys) <= 16)
    query = Query((Part("item", str(record.path)), Part("text", "red", 0.1)))
    for fusion in FUSIONS:
        hits = crowd.search(query, 5, SearchOptions(fusion=fusion, explain=True)).hits
        assert all(hit.shares[0].at_s in frames.at_s for hit in hits)


def test_one_part_is_in_the_order_of_its_scores(crowd, files):  # noqa: F811
    query = Query((Part("item", like(files, 2)[0]),))
    early = [(hit.path, hit.at_s) for hit in crowd.search(query, 30).hits]
    for fusion in FUSIONS:
        found = crowd.search(query, 30, SearchOptions(fusion=fusion)).hits
        assert {(hit.path, hit.at_s) for hit in found[:10]} == set(early[:10])
    assert mix  # the sum that moments are cut by


def test_a_file_of_the_query_is_left_out_by_any_name(tmp_path, embedder, crowd, files):  # noqa: F811
    """The index may know a file, or its folder, by a link."""
    (tmp_path / "real").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "real" / name).touch()
    (tmp_path / "folder").symlink_to(tmp_path / "real")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "real" / "a.jpg")
    paths = [tmp_path / "folder" / "a.jpg", tmp_path / "folder" / "b.jpg", tmp_path / "link.jpg"]
    with Collection.create(tmp_path / "collection", embedder.spec) as opened:
        with opened.transaction() as writer:
            source = writer.add_source(tmp_path)
            for path, row in zip(paths, embedder.embed_texts(["red", "blue", "green"]), strict=True):
                writer.put(
                    source.id, Entry(path, 0, 0), MediaInfo("image", 1, 1, None, None, ""), None, [Item()], row[None]
                )
        query = Query((Part("item", str(paths[0])), Part("text", "blue")))
        for fusion in FUSIONS:
            hits = Searcher(opened, embedder).search(query, 5, SearchOptions(fusion=fusion)).hits
            assert [hit.path for hit in hits] == [str(paths[1])]
