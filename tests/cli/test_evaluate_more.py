"""What ``sightseek evaluate`` does besides: protocols, measures, comparisons, a collection, judgements, files."""

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Library, Ran, run, run_process
from tests.media_makers import write_picture
from tests.model_makers import COLOURS


@pytest.fixture(scope="module")
def captioned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of colours; a test split that the tiny model knows, and a train split of other sentences."""
    folder = tmp_path_factory.mktemp("captioned")
    lines = []
    for name, colour in COLOURS.items():
        write_picture(folder / "images" / f"{name}.png", Image.new("RGB", (64, 48), colour))
        lines += [f"{name}.png\ttest\ta photo of something {name}", f"{name}.png\ttest\t{name}"]
    write_picture(folder / "images" / "other.png", Image.new("RGB", (64, 48), (9, 99, 99)))
    lines += ["other.png\ttrain\ta photo of something red", "other.png\ttrain\ta photo of snow"]
    (folder / "captions.tsv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def evaluate(captioned: Path, prepared: Library):
    def evaluate(*more: str | Path) -> Ran:
        model = () if "-c" in more else ("--model", prepared.model)
        return run("evaluate", captioned / "images", captioned / "captions.tsv", *model, *more)

    return evaluate


def test_measures_are_printed_with_intervals_and_counts(evaluate) -> None:
    ran = evaluate("--measures", "nDCG@10 MRR mean_rank")
    assert ran.code == 0, ran.err
    head, _, *rows = ran.out.splitlines()
    assert head.endswith("split test: 8 pictures, 16 captions")
    assert rows[0].split()[:5] == ["text", "->", "image", "16", "8"]
    assert rows[1].split()[:5] == ["image", "->", "text", "8", "16"]
    assert [row.split()[0] for row in rows[5:8]] == ["nDCG@10", "RR", "mean_rank"]
    assert rows[5].split()[1:] == ["100.0", "[100.0,", "100.0]"] * 2


def test_a_run_is_dumped_and_compared_with_itself_and_with_others(evaluate, tmp_path: Path) -> None:
    dump = tmp_path / "run.jsonl"
    ran = evaluate("--dump", dump)
    assert ran.code == 0, ran.err
    assert f"24 queries written to {dump}" in ran.err
    lines = [json.loads(line) for line in dump.read_text().splitlines()]
    assert (len(lines), lines[0]["direction"], lines[-1]["direction"]) == (24, "text_to_image", "image_to_text")
    worse = [{**line, "rank": 8, "ranks": [8]} if not line["is_picture"] else line for line in lines]
    dump.write_text("".join(json.dumps(line) + "\n" for line in worse))
    ran = evaluate("--against", dump, "--format", "json")
    against = json.loads(ran.out)["against"]
    assert against["text_to_image"]["R@5"]["difference"] == 100
    assert against["text_to_image"]["R@5"]["p"] < 0.02
    assert against["image_to_text"]["R@5"] == {
        "this": 100.0, "other": 100.0, "difference": 0.0, "interval_95": [0.0, 0.0], "p": 1.0,
    }  # fmt: skip
    assert "against run.jsonl" in evaluate("--against", dump).out
    dump.write_text(dump.read_text().replace("something red", "anything red"))
    ran = evaluate("--against", dump)
    assert ran.code == 1
    assert "text -> image" in ran.out  # what took long is shown all the same
    assert "is a run of other queries: 4 of 48 records" in ran.err


def test_a_protocol_says_or_refuses_what_is_not_its_own(evaluate) -> None:
    ran = evaluate("--protocol", "flickr8k", "--published")
    assert ran.code == 0, ran.err
    assert "protocol flickr8k has 1,000 pictures and 5,000 captions, this has 8 and 16" in ran.err
    assert "protocol flickr8k, split test" in ran.out
    published = ran.out[ran.out.index("published figures") :]
    assert "UVSE (VGG19), trained" in published
    assert "-/86.3/-" in published
    assert "LAION-AI/CLIP_benchmark" in published
    assert "(this run)" in published
    ran = evaluate("--protocol", "flickr8k", "--strict")
    assert (ran.code, ran.out, len(ran.err.splitlines())) == (1, "", 1)
    ran = evaluate("--protocol", "imagenet")
    assert ran.code == 2
    assert "use captions, flickr8k" in ran.err


def test_published_figures_are_json_without_holes(evaluate) -> None:
    ran = evaluate("--protocol", "flickr8k", "--published", "--format", "json")
    rows = json.loads(ran.out, parse_constant=pytest.fail)["published"]
    assert {"model", "text_to_image", "image_to_text", "source"} == set(rows[0])
    assert rows[-1]["text_to_image"]["R@1"] is None
    ran = evaluate("--published")
    assert ran.code == 0
    assert "no published figures are known" in ran.err


def test_a_collection_is_measured_beside_exact_search(evaluate, prepared: Library, tmp_path: Path) -> None:
    """Its pictures have the same bytes, in another folder."""
    ran = run("evaluate", prepared.media, _lines(tmp_path), "-c", prepared.collection, "--measures", "RR")
    assert ran.code == 0, ran.err
    assert "flat index, first 10 hits: 8 queries, gallery of 11 files" in ran.out
    rows = {line.split()[0]: line.split() for line in ran.out.splitlines() if line.strip()}
    assert rows["R@1"][1:] == ["75.00", "75.00", "0.00", "[0.00,", "0.00]", "25.00"]  # red and blue tie with the clip
    ran = run(
        "evaluate", prepared.media, _lines(tmp_path), "-c", prepared.collection, "--format", "json", "-k", "5",
        "--where", "kind:image ext:png", "--html", tmp_path / "report.html", "--dump", tmp_path / "dump",
    )  # fmt: skip
    data = json.loads(ran.out)
    assert (data["text_to_image"], data["k"], data["items"]) == ({"R@1": 100.0, "R@5": 100.0}, 5, 8)
    assert data["index_loss"] == {"R@1": 0.0, "R@5": 0.0}
    assert data["where"] == "kind:image and ext:png"
    assert len((tmp_path / "dump").read_text().splitlines()) == 8
    assert "as it is served" in (tmp_path / "report.html").read_text()
    ran = evaluate("-c", prepared.collection)
    assert (ran.code, len(ran.err.splitlines())) == (0, 0)


def _lines(folder: Path) -> Path:
    path = folder / "lines.tsv"
    path.write_text("".join(f"{name}.png\ttest\t{name}\n" for name in COLOURS))
    return path


def test_judgements_and_descriptions_stand_beside_the_figures(evaluate, tmp_path: Path) -> None:
    grades = tmp_path / "grades.txt"
    names = list(COLOURS)
    rows = [(f"{a}.png", f"{b}.png#1", 4 if a == b else 1) for b in names[:3] for a in names[:4]]
    grades.write_text("".join(f"{a}\t{b}\t{n}\t{n}\t{n}\n" for a, b, n in [*rows, ("x.png", "y.png#0", 2)]))
    ran = evaluate("--grades", grades, "--describe", "train", "--format", "json")
    assert ran.code == 0, ran.err
    data = json.loads(ran.out)
    assert (data["grades"]["pairs"], data["grades"]["skipped"], data["grades"]["queries"]) == (12, 1, 3)
    assert data["grades"]["nDCG@5"] == 100
    assert data["grades"]["kendall"] > 0.5
    assert (data["describe"]["images"], data["describe"]["bank"]) == (8, 2)
    ran = evaluate("--grades", grades, "--describe", "train")
    assert "judgements: 12 pairs, 3 captions (1 left out)" in ran.out
    assert "BLEU-4" in ran.out


def test_labelled_queries_on_a_collection(prepared: Library, tmp_path: Path) -> None:
    queries = tmp_path / "queries.tsv"
    queries.write_text("".join(f"{name}\t{prepared.media / f'{name}.png'}\n" for name in ("green", "yellow", "white")))
    dump, html = tmp_path / "dump", tmp_path / "report.html"
    ran = run("evaluate", "--queries", queries, "-c", prepared.collection, "--dump", dump, "--html", html)
    assert ran.code == 0, ran.err
    assert "3 queries, gallery of" in ran.out
    assert "report written to" in ran.err
    ran = run("evaluate", "--queries", queries, "-c", prepared.collection, "--against", dump, "--format", "json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["against"]["library"]["R@1"]["difference"] == 0


def test_a_report_shows_what_went_worst(captioned: Path, prepared: Library, tmp_path: Path) -> None:
    lines = tmp_path / "captions.tsv"
    lines.write_text("red.png\ttest\tsomething green\ngreen.png\ttest\ta green car\n")
    ran = run("evaluate", captioned / "images", lines, "--model", prepared.model, "--html", tmp_path / "report.html")
    assert ran.code == 0, ran.err
    assert f"report written to {tmp_path / 'report.html'}" in ran.err
    assert "something green" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--measures", "F1"], "measure 'F1' is not known"),
        (["--measures", "R"], "needs a depth"),
        (["--frames", "sometimes"], "is not known; use auto"),
        (["-k", "5"], "-k does not go with what is measured here"),
        (["--where", "ext:png"], "--where does not go with"),
        (["--queries", "x.tsv"], "leave the folder and the captions out"),
        (["--against", "nowhere"], "--against nowhere: there is no such file"),
        (["--dump", "."], "--dump .: this is no ordinary file"),
        (["--html", "/"], "--html /: this is no ordinary file"),
        (["--dump", "same", "--html", "same"], "--html same: another option names this file as well"),
        (["--against", __file__, "--dump", __file__], "another option names this file as well"),
        (["--describe", "test"], "by their own captions"),
        (["--grades", "nowhere"], "--grades nowhere: there is no such file"),
        (["--dump", "no/where"], "--dump no/where: there is no folder"),
        (["--html", "no/where"], "--html no/where: there is no folder"),
        (["-c", "here", "--published"], "--published does not go with"),
        (["-c", "here", "--frames", "all"], "--frames does not go with"),
    ],
)
def test_options_that_make_no_sense_are_wrong_usage(evaluate, arguments: list[str], said: str) -> None:
    ran = evaluate(*arguments)
    assert (ran.code, len(ran.err.splitlines()), ran.out) == (2, 1, "")
    assert said in ran.err


def test_something_to_measure_must_be_named(captioned: Path) -> None:
    for arguments in ([], [captioned / "images"]):
        ran = run("evaluate", *arguments)
        assert ran.code == 2
        assert "name the folder of pictures and the captions, or labelled queries" in ran.err


def test_help_imports_nothing_heavy() -> None:
    ran = run_process("evaluate", "--help", PYTHONPROFILEIMPORTTIME="1")
    assert ran.returncode == 0
    assert b"--protocol" in ran.stdout
    for name in (b"numpy", b"onnxruntime", b"faiss", b"torch", b"jinja2"):
        assert b"| " + name not in ran.stderr.replace(b"|   ", b"| "), name


def test_captions_that_name_no_split_do_not_describe_their_own_pictures(captioned: Path, prepared: Library) -> None:
    table = captioned / "captions.csv"
    table.write_text("image,caption\n" + "".join(f"{name}.png,{name}\n" for name in COLOURS))
    ran = run(
        "evaluate", captioned / "images", table, "--protocol", "captions", "--describe", "train",
        "--model", prepared.model,
    )  # fmt: skip
    assert (ran.code, ran.out) == (2, "")
    assert "--describe train would describe pictures by their own captions" in ran.err


def test_figures_are_shown_though_the_other_run_does_not_fit(prepared: Library, tmp_path: Path) -> None:
    queries, dump = tmp_path / "queries.tsv", tmp_path / "dump"
    queries.write_text(f"green\t{prepared.media / 'green.png'}\n")
    ran = run("evaluate", "--queries", queries, "-c", prepared.collection, "--dump", dump)
    assert ran.code == 0, ran.err
    assert dump.stat().st_mode & 0o777 == 0o600
    queries.write_text(f"red\t{prepared.media / 'red.png'}\n")
    ran = run("evaluate", "--queries", queries, "-c", prepared.collection, "--against", dump)
    assert ran.code == 1
    assert "is a run of other queries" in ran.err
    assert "1 queries, gallery of" in ran.out


def test_options_of_captioned_pictures_do_not_go_with_labelled_queries(prepared: Library, tmp_path: Path) -> None:
    queries = tmp_path / "queries.tsv"
    queries.write_text(f"green\t{prepared.media / 'green.png'}\n")
    for more in (["--strict"], ["--split", "dev"], ["--protocol", "flickr8k"]):
        ran = run("evaluate", "--queries", queries, "-c", prepared.collection, *more)
        assert (ran.code, ran.out) == (2, "")
        assert "leave them out with --queries" in ran.err
