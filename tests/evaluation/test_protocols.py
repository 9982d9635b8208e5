"""Protocols: the forms that captions come in, and what is said when data are not those of the protocol."""

import io
import json
import os
from pathlib import Path

import pytest

from retrieval.errors import DatasetError, OptionError
from retrieval.evaluation import forms
from retrieval.evaluation.protocols import LINES, PROTOCOLS, open_dataset, protocol_named
from retrieval.evaluation.published import published_for

FIVE = ("one", "two", "three", "four", "five")


@pytest.fixture
def images(tmp_path):
    for name in ("a.jpg", "b.jpg", "c.png", "d.mp4"):
        path = tmp_path / "images" / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return tmp_path / "images"


@pytest.fixture
def write(tmp_path):
    def write(text: str, name: str = "captions") -> Path:
        path = tmp_path / name
        path.write_bytes(text.encode())
        return path

    return write


def karpathy(*pictures: dict[str, object]) -> str:
    """JSON of Karpathy's form with what his files hold besides, which is not read."""
    made = [
        {"imgid": at, "sentids": [1], **one, "sentences": [{"raw": raw, "tokens": raw.split()} for raw in one["said"]]}
        for at, one in enumerate(pictures)
    ]
    return json.dumps({"dataset": "made", "images": made})


def picture(name: str, *said: str, split: str = "test", **more: str) -> dict[str, object]:
    return {"filename": name, "split": split, "said": said, **more}


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda one: one.name)
def test_protocols_are_found_by_name(protocol):
    assert protocol_named(protocol.name) == protocol


def test_the_published_protocols_are_as_published():
    counts = {one.name: (one.split, one.images, one.captions, one.folds) for one in PROTOCOLS}
    assert counts == {
        "captions": ("test", None, None, 1),
        "flickr8k": ("test", 1000, 5000, 1),
        "flickr30k": ("test", 1000, 5000, 1),
        "coco-1k": ("test", 5000, 25000, 5),
        "coco-5k": ("test", 5000, 25000, 1),
        "msrvtt-1ka": ("test", 1000, 1000, 1),
    }
    for name in ("flickr8k", "flickr30k", "coco-5k", "msrvtt-1ka"):
        assert published_for(name)


def test_a_protocol_that_is_not_known():
    with pytest.raises(OptionError, match="'imagenet' is not known; use captions, flickr8k"):
        protocol_named("imagenet")


@pytest.mark.parametrize("name", ["flickr8k", "flickr30k", "captions"])
def test_lines_and_karpathy_s_json_give_the_same(name, images, write):
    lines = write("a.jpg\ttest\tA dog .\na.jpg\ttest\tA brown dog .\nb.jpg\ttest\tA cat .\nc.png\ttrain\tA bird .\n")
    data = write(
        karpathy(
            picture("a.jpg", "A dog .", "A brown  dog ."),
            picture("b.jpg", "A cat ."),
            picture("c.png", "A bird .", split="train"),
        ),
        "captions.json",
    )
    protocol = protocol_named(name)
    one, other = (open_dataset(protocol, images, path) for path in (lines, data))
    assert one.captions.images == other.captions.images == ("a.jpg", "b.jpg")
    assert one.captions.captions == other.captions.captions == ("A dog .", "A brown dog .", "A cat .")
    assert one.captions.ignored == other.captions.ignored == 1
    assert one.paths == (images / "a.jpg", images / "b.jpg")
    assert one.digest != other.digest


def test_of_coco_five_captions_count_and_the_folder_is_part_of_the_name_where_there_is_one(images, write):
    (images / "val2014").mkdir()
    (images / "val2014" / "x.jpg").touch()
    data = karpathy(picture("x.jpg", *FIVE, "six", filepath="val2014"), picture("a.jpg", *FIVE, filepath="train2014"))
    dataset = open_dataset(protocol_named("coco-5k"), images, write(data))
    assert dataset.captions.images == ("val2014/x.jpg", "a.jpg")
    assert dataset.captions.captions == FIVE * 2


def test_counts_that_are_not_met_are_said_or_refused(images, write):
    path = write("a.jpg\ttest\tA dog .\nb.jpg\tdev\tA cat .\n")
    protocol = protocol_named("flickr8k")
    assert open_dataset(protocol, images, path).notes == (
        "protocol flickr8k has 1,000 pictures and 5,000 captions, this has 1 and 1; "
        "figures are not comparable with published ones",
    )
    assert "on split 'test', this is 'dev'" in open_dataset(protocol, images, path, "dev").notes[0]
    for split in (None, "dev"):
        with pytest.raises(DatasetError, match=r"protocol flickr8k .*; give the whole dataset, or leave --strict out"):
            open_dataset(protocol, images, path, split, strict=True)
    whole = protocol._replace(images=1, captions=1)
    assert open_dataset(whole, images, path, strict=True).notes == ()
    assert open_dataset(LINES, images, path, strict=True).notes == ()


def test_folds_need_pictures(images, write):
    with pytest.raises(DatasetError, match="has 1 pictures, too few for 5 folds"):
        open_dataset(protocol_named("coco-1k"), images, write(karpathy(picture("a.jpg", "x"))))


def test_msr_vtt_names_videos_without_their_suffix(images, write):
    rows = 'key,vid_key,video_id,sentence\nret0,msr1,d,"a person, connecting  something"\n'
    dataset = open_dataset(protocol_named("msrvtt-1ka"), images, write(rows))
    assert dataset.paths == (images / "d.mp4",)
    assert dataset.captions.captions == ("a person, connecting something",)
    (images / "d.webm").touch()
    with pytest.raises(DatasetError, match=r"both d\.mp4 and d\.webm; captions need exactly one"):
        open_dataset(protocol_named("msrvtt-1ka"), images, write(rows))
    with pytest.raises(DatasetError, match="no picture or video named e"):
        open_dataset(protocol_named("msrvtt-1ka"), images, write(rows.replace(",d,", ",e,")))
    with pytest.raises(DatasetError, match="is no folder of videos"):
        open_dataset(protocol_named("msrvtt-1ka"), images / "nowhere", write(rows))


def test_csv_with_and_without_a_split(images, write):
    captions = protocol_named("captions")
    plain = open_dataset(captions, images, write("image,caption\r\na.jpg,A dog\r\n\r\nb.jpg,A cat\r\n"), "any")
    assert (plain.captions.images, plain.captions.split) == (("a.jpg", "b.jpg"), "any")
    split = write("Title,File,Split\nA dog,a.jpg,train\nA cat,b.jpg,test\n")
    assert open_dataset(captions, images, split).captions.captions == ("A cat",)


def test_text_files_of_the_same_names(images, tmp_path):
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "a.txt").write_text("A dog\n\nA brown dog\n")
    (texts / "c.txt").write_text("A bird")
    (texts / "notes.md").write_text("nothing of interest")
    dataset = open_dataset(protocol_named("captions"), images, texts)
    assert dataset.captions.images == ("a.jpg", "c.png")
    assert dataset.captions.captions == ("A dog", "A brown dog", "A bird")
    before = dataset.digest
    (texts / "c.txt").write_text("A crow")
    assert open_dataset(protocol_named("captions"), images, texts).digest != before
    (texts / "z.txt").write_text("A bee")
    with pytest.raises(DatasetError, match="no picture or video named z"):
        open_dataset(protocol_named("captions"), images, texts)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("coco-5k", "a.jpg\ttest\tx\n", "looks like lines .*; protocol coco-5k reads Karpathy's JSON"),
        ("msrvtt-1ka", '{"images": []}', "looks like Karpathy's JSON; protocol msrvtt-1ka reads CSV"),
        ("captions", "{", "is no JSON that can be read"),
        ("captions", '{"annotations": []}', 'has no list "images"'),
        ("captions", '{"images": [{"filename": "a.jpg"}]}', "picture 1: expected filename, split and sentences"),
        ("captions", '{"images": [7]}', "picture 1: expected filename"),
        ("captions", karpathy(picture("../a.jpg", "x")), r"picture 1: '\.\./a\.jpg' leaves the folder"),
        ("captions", karpathy(picture("a.jpg", " ")), "picture 1: the caption is empty"),
        ("captions", "name,words\na.jpg,x\n", "line 1: none of its columns is named image or"),
        ("captions", "image,caption\na.jpg\n", "line 2: 1 cells where the first row names 2"),
        ("captions", "image,caption\n/a.jpg,x\n", "line 2: '/a.jpg' leaves the folder"),
        ("captions", "image,caption\na.jpg," + "x" * 200_000, "line 2: longer than"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(images, write, name, text, said):
    with pytest.raises(DatasetError, match=said) as caught:
        open_dataset(protocol_named(name), images, write(text))
    assert len(str(caught.value).splitlines()) == 1


def test_files_that_are_too_large_or_no_text(images, tmp_path, monkeypatch):
    captions = protocol_named("captions")
    path = tmp_path / "captions.csv"
    path.write_bytes(b"image,caption\na.jpg,\xff\n")
    with pytest.raises(DatasetError, match="not UTF-8"):
        open_dataset(captions, images, path)
    with pytest.raises(DatasetError, match="cannot be read"):
        open_dataset(captions, images, tmp_path / "nowhere")
    monkeypatch.setattr(forms, "MAX_JSON_BYTES", 10)
    path.write_text(karpathy(picture("a.jpg", "x")))
    with pytest.raises(DatasetError, match="is larger than 10 bytes"):
        open_dataset(captions, images, path)
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "a.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DatasetError, match="a text file is not UTF-8"):
        open_dataset(captions, images, texts)
    monkeypatch.setattr(forms, "MAX_TEXT_BYTES", 1)
    with pytest.raises(DatasetError, match="is larger than 1 bytes"):
        open_dataset(captions, images, texts)


def test_the_counts_of_flickr8k_are_those_of_its_files():
    data = Path(os.environ.get("SIGHTSEEK_DATA", Path(__file__).parents[3] / "shared" / "data")) / "flickr8k"
    if not (data / "captions.tsv").is_file():
        pytest.skip(f"{data} has no captions.tsv")
    dataset = open_dataset(protocol_named("flickr8k"), data / "images", data / "captions.tsv", "dev")
    assert (len(dataset.paths), len(dataset.captions.captions)) == (1000, 5000)
    assert dataset.notes == (
        "protocol flickr8k is measured on split 'test', this is 'dev'; figures are not comparable with published ones",
    )


def test_json_may_begin_with_a_byte_order_mark(images, write):
    path = write("\ufeff" + karpathy(picture("a.jpg", "one")))
    assert open_dataset(protocol_named("captions"), images, path).captions.captions == ("one",)


def test_a_line_without_an_end_is_not_read_whole(monkeypatch):
    monkeypatch.setattr(forms, "MAX_LINE", 10)
    file = io.StringIO("x" * 1000)
    with pytest.raises(DatasetError, match="line 1: longer than 10 characters"):
        list(forms._bounded(Path("a.csv"), file))
    assert file.tell() == 11
