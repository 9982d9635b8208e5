"""What is looked at: files, items, collections; stored vectors where there are any."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexer import index
from retrieval.embedding import Embedder, open_embedder
from retrieval.errors import ModelMismatch, QueryError
from retrieval.labels.looking import FileVectors, Unread, in_collection, of_files
from retrieval.query import parse_where
from retrieval.store import Collection
from tests.media_makers import write_picture
from tests.model_makers import COLOURS, write_tiny_model


def names(found: list[FileVectors]) -> list[str]:
    return [Path(file.path).name for file in found]


def read(found: object) -> list[FileVectors]:
    files = list(found)  # type: ignore[call-overload]
    assert all(isinstance(file, FileVectors) for file in files), files
    return files


def test_a_collection_is_read_in_order_of_path(collection: Collection) -> None:
    found = list(in_collection(collection))
    assert names(found) == sorted([*(f"{name}.png" for name in COLOURS), "red then blue.mp4"])
    for file in found:
        assert file.vectors.shape == (len(file.items), collection.manifest.spec.dim)
        np.testing.assert_allclose(np.linalg.norm(file.vectors, axis=1), 1, atol=1e-2)


def test_a_filter_chooses(collection: Collection) -> None:
    (film,) = in_collection(collection, parse_where("kind:video"))
    assert film.kind == "video"
    assert film.items[0].start_s == 0
    assert names(list(in_collection(collection, parse_where("path:*/red*")))) == ["red then blue.mp4", "red.png"]
    assert list(in_collection(collection, parse_where("width>9999"))) == []


def test_what_is_gone_or_failed_is_left_out(embedder: Embedder, tmp_path: Path) -> None:
    for name in ("red", "blue"):
        write_picture(tmp_path / "media" / f"{name}.png", Image.new("RGB", (40, 30), COLOURS[name]))
    (tmp_path / "media" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with Collection.create(tmp_path / "c", embedder.spec) as made:
        index(made, embedder, [tmp_path / "media"])
        (tmp_path / "media" / "red.png").unlink()
        index(made, embedder, [tmp_path / "media"])
        assert names(list(in_collection(made))) == ["blue.png"]
        assert list(in_collection(made, parse_where("path:*/red*"))) == []


def test_files_come_in_the_order_given_indexed_or_not(
    collection: Collection, embedder: Embedder, media: Path, tmp_path: Path
) -> None:
    new = write_picture(tmp_path / "new.png", Image.new("RGB", (64, 48), COLOURS["red"]))
    wanted = [str(media / "blue.png"), str(new), str(media / "red.png"), str(new)]
    found = read(of_files(wanted, embedder, collection))
    assert [file.path for file in found] == wanted
    # The file that is not indexed has the vector of the indexed one of the same pixels.
    np.testing.assert_allclose(found[1].vectors, found[2].vectors, atol=2e-3)


def test_stored_vectors_are_used_and_equal_what_embedding_gives(
    collection: Collection, embedder: Embedder, media: Path
) -> None:
    path = str(media / "red then blue.mp4")
    (stored,) = read(of_files([path], embedder, collection))
    (fresh,) = read(of_files([path], embedder))
    assert [item[:3] for item in stored.items] == [item[:3] for item in fresh.items]  # the times
    np.testing.assert_allclose(stored.vectors, fresh.vectors, atol=2e-3)
    assert not np.array_equal(stored.vectors, fresh.vectors)  # float16 in the store


def test_a_file_changed_since_is_embedded_anew(embedder: Embedder, tmp_path: Path) -> None:
    path = write_picture(tmp_path / "media" / "a.png", Image.new("RGB", (40, 30), COLOURS["red"]))
    with Collection.create(tmp_path / "c", embedder.spec) as made:
        index(made, embedder, [tmp_path / "media"])
        write_picture(path, Image.new("RGB", (50, 30), COLOURS["blue"]))
        (found,) = read(of_files([str(path)], embedder, made))
        (blue,) = embedder.embed_pixels(embedder.preprocess(np.full((30, 50, 3), COLOURS["blue"], np.uint8))[None])
        np.testing.assert_allclose(found.vectors[0], blue, atol=1e-5)


def test_a_file_that_is_away_is_known_from_the_collection(embedder: Embedder, tmp_path: Path) -> None:
    path = write_picture(tmp_path / "media" / "a.png", Image.new("RGB", (40, 30), COLOURS["red"]))
    with Collection.create(tmp_path / "c", embedder.spec) as made:
        index(made, embedder, [tmp_path / "media"])
        shutil.move(tmp_path / "media", tmp_path / "elsewhere")
        assert len(read(of_files([str(path)], embedder, made))) == 1


def test_links_and_relative_names_find_what_is_stored(
    collection: Collection, embedder: Embedder, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = tmp_path / "link.png"
    link.symlink_to(media / "red.png")
    monkeypatch.chdir(media)
    by_link, relative = read(of_files([str(link), "./red.png"], embedder, collection))
    np.testing.assert_array_equal(by_link.vectors, relative.vectors)
    assert (by_link.path, relative.path) == (str(link), str(media / "red.png"))


@pytest.mark.parametrize("indexed", [True, False])
def test_an_item_is_the_frame_nearest_in_time(
    indexed: bool, collection: Collection, embedder: Embedder, media: Path
) -> None:
    path = media / "red then blue.mp4"
    blue = embedder.embed_texts(["blue"])[0]
    early, late = read(of_files([f"{path}#t=0.5", f"{path}#t=00:00:05.0"], embedder, collection if indexed else None))
    assert len(early.items) == len(late.items) == 1
    assert early.vectors[0] @ blue < 0.3 < 0.9 < late.vectors[0] @ blue
    assert late.items[0].at_s == pytest.approx(5.0, abs=2.1)


def test_an_item_of_a_picture_is_the_picture(embedder: Embedder, media: Path) -> None:
    (found,) = read(of_files([f"{media / 'red.png'}#t=3"], embedder))
    assert (found.kind, found.items[0].at_s) == ("image", None)


def test_a_file_whose_name_looks_like_an_item_comes_first(embedder: Embedder, media: Path, tmp_path: Path) -> None:
    shutil.copy(media / "red then blue.mp4", tmp_path / "a.mp4")
    shutil.copy(media / "green.png", tmp_path / "a.mp4#t=1")
    (found,) = read(of_files([str(tmp_path / "a.mp4#t=1")], embedder))
    assert found.kind == "image"


def test_what_cannot_be_read_is_said_and_ends_nothing(embedder: Embedder, media: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    found = list(of_files([str(tmp_path / "bad.png"), f"{tmp_path / 'bad.png'}#t=1", str(media / "red.png")], embedder))
    assert [type(one) for one in found] == [Unread, Unread, FileVectors]
    assert all(one.reason and "\n" not in one.reason for one in found[:2])


def test_a_picture_the_model_has_no_vector_for_is_unread(tmp_path: Path) -> None:
    from tests.model_makers import POISON

    poisoned = open_embedder(str(write_tiny_model(tmp_path / "m", poison=True)), "cpu", 1)
    path = write_picture(tmp_path / "p.png", Image.new("RGB", (40, 30), POISON))
    found = list(of_files([str(path), f"{path}#t=0"], poisoned))
    assert [type(one) for one in found] == [Unread, Unread]


@pytest.mark.parametrize("name", ["none.jpg", "none.mp4#t=3", "", "a\0b", "x" * 5000, "\udc00\ud800"])
def test_names_of_nothing_are_refused(name: str, collection: Collection, embedder: Embedder) -> None:
    for known in (None, collection):
        with pytest.raises(QueryError, match="there is no file") as caught:
            list(of_files([name], embedder, known))
        assert len(str(caught.value)) < 500


def test_a_folder_is_refused_with_the_way_to_do_it(embedder: Embedder, media: Path) -> None:
    with pytest.raises(QueryError, match="--where"):
        list(of_files([str(media)], embedder))


def test_a_collection_of_another_model_is_refused(collection: Collection, media: Path, tmp_path: Path) -> None:
    other = open_embedder(str(write_tiny_model(tmp_path / "m", seed=9)), "cpu", 1)
    with pytest.raises(ModelMismatch):
        list(of_files([str(media / "red.png")], other, collection))


def test_a_pipe_is_no_picture(embedder: Embedder, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(QueryError, match="there is no file"):
        list(of_files([str(tmp_path / "pipe")], embedder))
