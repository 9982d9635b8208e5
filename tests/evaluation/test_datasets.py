"""Captions files: what is read, and what is refused with the line."""

import pytest

from retrieval.errors import DatasetError
from retrieval.evaluation.datasets import picture_paths, read_captions

GOOD = "a.jpg\ttest\tA dog .\nb.jpg\ttrain\tA cat .\nc.jpg\ttest\tA bird .\na.jpg\ttest\tA brown dog .\n"


@pytest.fixture
def write(tmp_path):
    def write(text: str | bytes):
        path = tmp_path / "captions.tsv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_one_split_is_read(write):
    captions = read_captions(write(GOOD))
    assert captions.images == ("a.jpg", "c.jpg")
    assert captions.captions == ("A dog .", "A bird .", "A brown dog .")
    assert captions.picture.tolist() == [0, 1, 0]
    assert (captions.split, captions.ignored, captions.repeated) == ("test", 1, 0)
    assert read_captions(write(GOOD), "train").captions == ("A cat .",)


def test_line_ends_byte_order_mark_and_empty_lines(write):
    captions = read_captions(write(b"\xef\xbb\xbfa.jpg\ttest\tone\r\n\r\n  \nb c.jpg\ttest\ttwo \xe7\x8a\xac"))
    assert captions.images == ("a.jpg", "b c.jpg")
    assert captions.captions == ("one", "two 犬")


def test_repeated_captions_are_kept_and_counted(write):
    captions = read_captions(write("a.jpg\ttest\tx\na.jpg\ttest\tx\nb.jpg\ttest\tx\n"))
    assert (len(captions.captions), captions.repeated) == (3, 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a.jpg\ttest\n", r"line 1: expected image, split and caption .* found 2 fields"),
        (GOOD + "d.jpg\ttest\twritten\t0\ttext\n", r"line 5: .* found 5 fields"),
        (GOOD + "d.jpg\ttest\t \n", "line 5: the caption is empty"),
        (GOOD + "\ttest\tx\n", "line 5: the image is empty"),
        (GOOD + "d.jpg\t\tx\n", "line 5: the split is empty"),
        (GOOD + "b.jpg\ttest\tx\n", "line 5: 'b.jpg' is in 'train' above and in 'test' here"),
        (GOOD + "/etc/x.jpg\ttest\tx\n", "line 5: '/etc/x.jpg' leaves the folder"),
        (GOOD + "../x.jpg\ttest\tx\n", "line 5: '../x.jpg' leaves the folder"),
        (GOOD.encode() + b"d.jpg\ttest\t\xff\n", "line 5: not UTF-8"),
        (GOOD + "d.jpg\ttest\t" + "x" * 200_000, "line 5: longer than"),
        (GOOD + "d.jpg\ttest\t" + "é" * 200_000, "line 5: longer than"),
        (GOOD.replace("test", "dev"), "no line of split 'test'; its splits are: dev, train"),
        ("", "no line of split 'test'; its splits are: none"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(write, text, said):
    with pytest.raises(DatasetError, match=said) as caught:
        read_captions(write(text))
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_that_is_missing(tmp_path):
    with pytest.raises(DatasetError, match=r"no\.tsv cannot be read"):
        read_captions(tmp_path / "no.tsv")


def test_missing_pictures_are_named(write, tmp_path):
    captions = read_captions(write("".join(f"{n}.jpg\ttest\tx\n" for n in range(6))))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.jpg").touch()
    with pytest.raises(DatasetError, match=r"5 of 6 pictures of split 'test' .* '0.jpg', '2.jpg', '3.jpg' and 2 more"):
        picture_paths(tmp_path / "images", captions)
    with pytest.raises(DatasetError, match="is no folder"):
        picture_paths(tmp_path / "nowhere", captions)
