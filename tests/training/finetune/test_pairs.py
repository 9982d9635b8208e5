"""Reading pairs in every form, and holding some out."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import DatasetError
from retrieval.training.finetune.pairs import Pairs, checked, held_out, read_sets
from retrieval.training.finetune.settings import completed
from retrieval.training.finetune.weak import class_lines, read_names
from tests.training.finetune.conftest import Toy

PLAIN = completed({})


def said(pairs: Pairs) -> set[tuple[str, str]]:
    return {(pairs.names[int(i)], text) for text, i in zip(pairs.captions, pairs.owner, strict=True)}


def write_images(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return folder


def test_splits_are_kept_and_test_is_not_looked_at(toy: Toy) -> None:
    sets = read_sets(toy.images, toy.captions, PLAIN)
    assert (len(sets.train.names), len(sets.train.captions)) == (36, 72)
    assert (len(sets.dev.names), len(sets.dev.captions)) == (12, 24)
    assert not set(sets.train.names) & set(sets.dev.names)
    assert "unseen" not in str(sets)


def test_every_form_gives_the_same_pairs(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", "a.jpg", "b.jpg", "c.jpg")
    rows = [("a.jpg", "train", "a dog"), ("a.jpg", "train", "an old dog"), ("b.jpg", "train", "a cat, asleep"),
            ("c.jpg", "dev", "a hat")]  # fmt: skip
    tsv, csv, karpathy = (tmp_path / name for name in ("x.tsv", "x.csv", "x.json"))
    tsv.write_text("".join("\t".join(row) + "\n" for row in rows))
    csv.write_text("split,filename,caption\n" + "".join(f'{s},{i},"{c}"\n' for i, s, c in rows))
    grouped = {image: split for image, split, _ in rows}
    entries = [
        {
            "filename": i,
            "split": "val" if s == "dev" else "restval",
            "sentences": [{"raw": c} for n, _, c in rows if n == i],
        }
        for i, s in grouped.items()
    ]
    karpathy.write_text(json.dumps({"images": entries}))
    expected = {(i, c) for i, s, c in rows if s == "train"}
    for path in (tsv, csv, karpathy):
        sets = read_sets(images, path, PLAIN)
        assert said(sets.train) == expected, path
        assert said(sets.dev) == {("c.jpg", "a hat")}, path
    texts = tmp_path / "texts"
    texts.mkdir()
    for image in grouped:
        (texts / image.replace(".jpg", ".txt")).write_text("\n".join(c for i, _, c in rows if i == image))
    sets = read_sets(images, texts, completed({"dev_share": 0.5}))
    assert said(sets.train) | said(sets.dev) == {(i, c) for i, _, c in rows}


def test_what_is_held_out_depends_on_name_and_seed_alone(tmp_path: Path) -> None:
    names = [f"{i}.jpg" for i in range(200)]
    images = write_images(tmp_path / "images", *names)
    captions = tmp_path / "c.tsv"

    def dev(count: int, seed: int) -> set[str]:
        captions.write_text("".join(f"{n}\ttrain\tsome words {n}\n" for n in names[:count]))
        return set(read_sets(images, captions, completed({"seed": seed})).dev.names)

    few, all_of_them = dev(100, 0), dev(200, 0)
    assert few == all_of_them & set(names[:100])
    assert 8 < len(all_of_them) < 35
    assert dev(200, 1) != all_of_them


@settings(deadline=None, max_examples=50)
@given(st.text(), st.integers(0, 9))
def test_shares_nest(name: str, seed: int) -> None:
    shares = [held_out(name, share, seed) for share in (0.0, 0.2, 0.6, 1.0)]
    assert shares == sorted(shares)
    assert not shares[0]
    assert shares[-1]


def test_pictures_that_are_not_there_are_left_out_and_named(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", "a.jpg", "b.jpg")
    captions = tmp_path / "c.tsv"
    captions.write_text("a.jpg\ttrain\tone\nb.jpg\tdev\ttwo\ngone.jpg\ttrain\tthree\n")
    sets = read_sets(images, captions, PLAIN)
    assert sets.left_out == {"gone.jpg": "no such file"}
    assert sets.train.names == ("a.jpg",)
    with pytest.raises(DatasetError, match="no pairs found to learn from"):
        checked(sets.without({"a.jpg": "cut short"}))


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ("a.jpg\ttest\tone\n", "no pairs found"),
        ("x.jpg\ttrain\tone\ny.jpg\tdev\ttwo\n", "captions of no picture"),
        ("a.jpg\ttrain\tone\na.jpg\tdev\ttwo\n", "one split only"),
        ("b.jpg\tdev\tone\n", "no pairs found to learn from"),
    ],
)
def test_pairs_of_no_use_are_one_line(tmp_path: Path, rows: str, match: str) -> None:
    images = write_images(tmp_path / "images", "a.jpg", "b.jpg")
    captions = tmp_path / "c.tsv"
    captions.write_text(rows)
    with pytest.raises(DatasetError, match=match) as caught:
        read_sets(images, captions, PLAIN)
    assert "\n" not in str(caught.value)


def test_a_repeated_caption_counts_once_and_the_digest_sees_every_change(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", "a.jpg", "b.jpg")
    captions = tmp_path / "c.tsv"
    captions.write_text("a.jpg\ttrain\tone\na.jpg\ttrain\tone\na.jpg\ttrain\ttwo\nb.jpg\tdev\tthree\n")
    pairs = read_sets(images, captions, PLAIN).train
    assert pairs.captions == ("one", "two")
    assert pairs.digest() != pairs._replace(captions=("one", "too")).digest()
    assert pairs.digest() != pairs._replace(owner=np.array([0, 1])).digest()


def test_class_names_make_pairs_of_folders(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", "cats/1.jpg", "cats/2.txt", "dogs/deep/3.png", "other/4.jpg", "dev.jpg")
    names, captions = tmp_path / "names.tsv", tmp_path / "c.tsv"
    names.write_text("cats\tcat, house cat\ndeep\n")
    captions.write_text("other/4.jpg\ttrain\tsomething\ndev.jpg\tdev\tx\n")
    sets = read_sets(images, captions, PLAIN, class_lines(names, images, captions))
    assert said(sets.train) == {
        ("other/4.jpg", "something"),
        ("cats/1.jpg", "a photo of a cat"),
        ("cats/1.jpg", "a photo of a house cat"),
        ("dogs/deep/3.png", "a photo of a deep"),
    }
    assert read_names(names) == {"cats": ["cat", "house cat"], "deep": ["deep"]}


def test_class_names_make_pairs_of_a_label_column_but_none_of_what_is_held_out(tmp_path: Path) -> None:
    images = write_images(tmp_path / "images", "a.jpg", "b.jpg", "t.jpg")
    names, captions = tmp_path / "names.txt", tmp_path / "c.csv"
    names.write_text("7\tzebra\n")
    captions.write_text("image,split,caption,label\na.jpg,train,stripes,7\nb.jpg,dev,more,7\nt.jpg,test,no,7\n")
    sets = read_sets(images, captions, PLAIN, class_lines(names, images, captions))
    assert said(sets.train) == {("a.jpg", "stripes"), ("a.jpg", "a photo of a zebra")}
    assert said(sets.dev) == {("b.jpg", "more")}
    names.write_text("8\thorse\n")
    with pytest.raises(DatasetError, match="no picture has a label"):
        list(class_lines(names, images, captions))
    names.write_text("\n")
    with pytest.raises(DatasetError, match="names no class"):
        read_names(names)
