"""Hits copied, linked and cut to a folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from retrieval.errors import OutputError
from retrieval.exports import Made, Unread, export_files
from retrieval.types import Hit
from tests.media_makers import draw_picture, write_clip, write_picture


def picture(path: Path, rank: int = 1) -> Hit:
    return Hit(rank, 0.5, str(path), "image", None, None, None, str(path), 1, 1, None, rank)


def moment(path: Path, rank: int, start_s: float, end_s: float) -> Hit:
    return picture(path, rank)._replace(kind="video", start_s=start_s, end_s=end_s, at_s=start_s)


@pytest.fixture
def media(tmp_path: Path) -> Path:
    for seed in range(3):
        path = write_picture(tmp_path / "media" / f"{seed}.png", draw_picture(seed))
        os.utime(path, ns=(10**18 + seed, 10**18 + seed))
    write_clip(tmp_path / "media" / "film.mp4", [("red", 1.0), ("blue", 1.0)], fps=10)
    return tmp_path / "media"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_copies_are_ranked_whole_and_as_old_as_their_sources(media, tmp_path):
    hits = [picture(media / "2.png", 1), picture(media / "0.png", 2)]
    made = list(export_files(hits, tmp_path / "new" / "out", "copy", digits=2))
    assert [one.path for one in made] == [tmp_path / "new" / "out" / name for name in ("01 2.png", "02 0.png")]
    for one in made:
        source = Path(one.hit.path)
        assert one.path.read_bytes() == source.read_bytes()
        assert one.path.stat().st_mtime_ns == source.stat().st_mtime_ns
        assert not one.path.is_symlink()


def test_a_video_of_many_moments_is_copied_once_at_its_best(media, tmp_path):
    hits = [picture(media / "0.png", 1), moment(media / "film.mp4", 2, 1.0, 2.0), moment(media / "film.mp4", 3, 0, 1)]
    list(export_files(hits, tmp_path / "out", "copy"))
    assert names(tmp_path / "out") == ["1 0.png", "2 film.mp4"]
    assert (tmp_path / "out" / "2 film.mp4").read_bytes() == (media / "film.mp4").read_bytes()


@pytest.mark.parametrize("how", ["copy", "link", "hardlink", "clip"])
def test_nothing_is_written_over(media, tmp_path, how):
    out = tmp_path / "out"
    out.mkdir()
    (out / "1 0.png").write_text("mine")
    (out / "1 0 (2).png").symlink_to("nowhere")
    (made,) = export_files([picture(media / "0.png")], out, how)
    assert made.path == out / "1 0 (3).png"
    assert (out / "1 0.png").read_text() == "mine"
    assert (out / "1 0 (2).png").is_symlink()
    assert made.path.read_bytes() == (media / "0.png").read_bytes()


def test_links_lead_to_the_file_from_anywhere(media, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (made,) = export_files([picture(Path("media/0.png"))], Path("out"), "link")
    assert made.path.is_symlink()
    assert made.path.readlink() == media / "0.png"


def test_a_second_name_is_the_same_file_also_behind_a_link(media, tmp_path):
    (media / "link.png").symlink_to(media / "0.png")
    (made,) = export_files([picture(media / "link.png")], tmp_path / "out", "hardlink")
    assert not made.path.is_symlink()
    assert made.path.samefile(media / "0.png")


def test_a_second_name_on_another_disk_is_refused_with_what_to_do(media, tmp_path):
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == media.stat().st_dev:
        pytest.skip("there is no other disk here")
    folder = other / f"sightseek-{os.getpid()}"
    try:
        with pytest.raises(OutputError, match="--as copy"):
            list(export_files([picture(media / "0.png")], folder, "hardlink"))
        assert names(folder) == []
    finally:
        folder.rmdir()


def test_each_moment_is_a_clip(media, tmp_path):
    hits = [
        moment(media / "film.mp4", 1, 1.0, 2.0),
        moment(media / "film.mp4", 2, 0.0, 1.0),
        picture(media / "1.png", 3),
    ]
    made = list(export_files(hits, tmp_path / "out", "clip"))
    assert names(tmp_path / "out") == ["1 film 00-00-01.000.mp4", "2 film 00-00-00.000.mp4", "3 1.png"]
    first = made[0]
    assert isinstance(first, Made)
    assert first.excerpt is not None
    assert first.excerpt.start_s == pytest.approx(1.0, abs=0.002)
    assert first.path.stat().st_mtime_ns != (media / "film.mp4").stat().st_mtime_ns


@pytest.mark.parametrize("how", ["copy", "link", "hardlink", "clip"])
def test_a_file_that_is_away_does_not_end_it(media, tmp_path, how):
    os.mkfifo(media / "pipe.png")
    hits = [picture(media / "none.png", 1), picture(media / "pipe.png", 2), picture(media / "1.png", 3)]
    found = list(export_files(hits, tmp_path / "out", how))
    assert [type(one) for one in found] == [Unread, Unread, Made]
    assert names(tmp_path / "out") == ["3 1.png"]
    assert "no such file" in found[0].reason


def test_a_folder_that_cannot_be_made_is_said(media, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        list(export_files([picture(media / "0.png")], tmp_path / "file" / "out", "copy"))


def test_a_full_disk_ends_it_and_leaves_only_whole_files(media, tmp_path):
    (media / "large.png").write_bytes(bytes(200_000))
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from retrieval.errors import OutputError\n"
        "from retrieval.exports import export_files\n"
        "from tests.exports.test_files import picture\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "media = Path(sys.argv[1])\n"
        "hits = [picture(media / name, rank) for rank, name in enumerate(('0.png', 'large.png', '1.png'), 1)]\n"
        "try:\n"
        "    list(export_files(hits, Path(sys.argv[2]), 'copy'))\n"
        "except OutputError as error:\n"
        "    print(error)\n"
    )
    assert all((media / f"{seed}.png").stat().st_size < 100_000 for seed in range(3))
    command = [sys.executable, "-c", program, media, tmp_path / "out"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "File too large; make room" in ran.stdout
    assert names(tmp_path / "out") == ["1 0.png"]
    assert (tmp_path / "out" / "1 0.png").read_bytes() == (media / "0.png").read_bytes()


def test_ctrl_c_leaves_only_whole_files(media, tmp_path):
    found = export_files([picture(media / f"{seed}.png", seed + 1) for seed in range(3)], tmp_path / "out", "copy")
    next(found)
    with pytest.raises(KeyboardInterrupt):
        found.throw(KeyboardInterrupt)
    assert names(tmp_path / "out") == ["1 0.png"]
