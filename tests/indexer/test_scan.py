"""The walk, over real folders: what is found, in which order, and what is left out."""

import os
import socket
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from indexer.scan import scan
from retrieval.errors import RetrievalError
from retrieval.store import Entry


def touch(path: Path, data: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def found(source: Path, exclude=(), **options) -> list[str]:
    top = f"{source}/"
    return [os.fspath(entry.path).removeprefix(top) for entry in scan(source, exclude, **options)]


def problems_of(source: Path) -> dict[str, str]:
    problems: dict[str, str] = {}
    list(scan(source, (), lambda path, reason: problems.update({path.name: reason})))
    return problems


def test_media_files_in_a_fixed_order(tmp_path):
    for name in (
        "b.jpg",
        "B.JPG",
        "é.png",
        "z/1.mp4",
        "a/2.webp",
        "a/1.HEIC",
        "notes.txt",
        "jpg",
        "a/b/c.gif",
        "x.jpg.bak",
    ):
        touch(tmp_path / name)
    assert found(tmp_path) == ["B.JPG", "b.jpg", "é.png", "a/1.HEIC", "a/2.webp", "a/b/c.gif", "z/1.mp4"]


def test_an_entry_holds_size_and_time(tmp_path):
    path = touch(tmp_path / "a.jpg", b"12345")
    os.utime(path, ns=(1, 1_600_000_000_123_456_789))
    assert list(scan(tmp_path)) == [Entry(path, 5, 1_600_000_000_123_456_789)]


def test_hidden_and_system_files_are_left_out(tmp_path):
    junk = (
        "@eaDir/a.jpg",
        "#recycle/a.jpg",
        "$RECYCLE.BIN/a.jpg",
        "System Volume Information/a.jpg",
        "lost+found/a.jpg",
    )
    more = ("__MACOSX/a.jpg", ".thumbnails/a.jpg", ".hidden.jpg", "._a.jpg", "Thumbs.db", "desktop.ini")
    for name in (*junk, *more, "seen/@ea.jpg"):
        touch(tmp_path / name)
    assert found(tmp_path) == ["seen/@ea.jpg"]


def test_a_hidden_source_is_walked_when_named(tmp_path):
    touch(tmp_path / ".secret" / "a.jpg")
    assert found(tmp_path / ".secret") == ["a.jpg"]


def test_names_of_every_kind(tmp_path):
    nfc, nfd = (unicodedata.normalize(form, "café.jpg") for form in ("NFC", "NFD"))
    names = [
        b"line\nbreak.jpg",
        b"\xff\xfe.jpg",
        b"100%_.jpg",
        b" lead.jpg",
        b"-rf.jpg",
        os.fsencode(nfc),
        os.fsencode(nfd),
    ]
    for name in names:
        touch(tmp_path / os.fsdecode(name))
    assert [os.fsencode(name) for name in found(tmp_path)] == sorted(names)
    # rules are in force, yet names that no pattern can spell do no harm
    assert [os.fsencode(name) for name in found(tmp_path, ["nothing"])] == sorted(names)
    assert [os.fsencode(name) for name in found(tmp_path, ["line?break.jpg", "cafe\u0301.jpg", "\ufffd*"])] == sorted(
        [b"100%_.jpg", b" lead.jpg", b"-rf.jpg"]
    )


def test_ignore_files_have_gitignore_meaning(tmp_path):
    for name in (
        "a.jpg",
        "tmp/a.jpg",
        "tmp/keep.jpg",
        "x/tmp/a.jpg",
        "x/raw/a.jpg",
        "raw/a.jpg",
        "x/b.gif",
        "x/y/b.gif",
    ):
        touch(tmp_path / name)
    touch(tmp_path / ".sightseekignore", "\ufeff# mine\n*.gif\n/raw/\ntmp/*\n!keep.jpg\n".encode())
    assert found(tmp_path) == ["a.jpg", "tmp/keep.jpg", "x/raw/a.jpg", "x/tmp/a.jpg"]
    touch(tmp_path / "x" / ".sightseekignore", b"!b.gif\nraw\n")
    assert found(tmp_path) == ["a.jpg", "tmp/keep.jpg", "x/b.gif", "x/tmp/a.jpg", "x/y/b.gif"]
    assert found(tmp_path, ["b.gif", "/a.jpg"]) == ["tmp/keep.jpg", "x/tmp/a.jpg"]
    assert found(tmp_path, ["!*.gif", "a.jpg"]) == ["tmp/keep.jpg", "x/b.gif", "x/y/b.gif"]


def test_an_ignore_file_that_cannot_be_used_is_told(tmp_path):
    touch(tmp_path / "a.jpg")
    touch(tmp_path / ".sightseekignore", b"ok\n!\n")
    assert found(tmp_path) == ["a.jpg"]
    assert "no effect" in problems_of(tmp_path)[".sightseekignore"]
    with pytest.raises(RetrievalError, match="exclude"):
        found(tmp_path, ["!"])


def test_links_are_followed_and_loops_end(tmp_path):
    source, other = tmp_path / "source", tmp_path / "other"
    touch(source / "z" / "a.jpg")
    touch(other / "b.jpg")
    (source / "a").symlink_to(source / "z")
    (source / "z" / "loop").symlink_to(source)
    (source / "z" / "up").symlink_to(tmp_path)
    (source / "other").symlink_to(other)
    (source / "again").symlink_to(other)
    (other / "back").symlink_to(source)
    (source / "link.jpg").symlink_to(other / "b.jpg")
    assert found(source) == ["link.jpg", "z/a.jpg", "again/b.jpg"]


def test_links_to_nothing_and_in_circles_are_problems(tmp_path):
    touch(tmp_path / "a.jpg")
    (tmp_path / "dangling.jpg").symlink_to(tmp_path / "missing")
    (tmp_path / "drive").symlink_to("/nowhere/at/all")
    (tmp_path / "round").symlink_to(tmp_path / "round")
    assert found(tmp_path) == ["a.jpg"]
    problems = problems_of(tmp_path)
    assert problems["dangling.jpg"] == problems["drive"] == "no such file or directory"
    assert "symbolic links" in problems["round"]


@pytest.mark.timeout(20)
def test_pipes_and_sockets_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    os.mkfifo(tmp_path / ".sightseekignore")
    (tmp_path / "device.jpg").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fspath(tmp_path / "s.jpg"))
        assert found(tmp_path) == []
    problems: list[str] = []
    assert list(scan(tmp_path / "pipe.jpg", (), lambda path, reason: problems.append(reason))) == []
    assert problems == ["neither a file nor a folder"]


UNPRIVILEGED = """
import os, sys
from pathlib import Path
from indexer.scan import scan
os.setgid(65534); os.setuid(65534)
problems = []
entries = list(scan(Path(sys.argv[1]), (), lambda path, reason: problems.append(f"{path.name}: {reason}")))
print([entry.path.name for entry in entries], problems)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="a process of root drops its rights here; the test below serves others")
def test_an_unreadable_folder_does_not_end_the_walk(tmp_path):
    touch(tmp_path / "a" / "a.jpg")
    touch(tmp_path / "b" / "b.jpg")
    (tmp_path / "a").chmod(0)
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        if folder.stat().st_uid == os.geteuid() and folder != Path("/tmp"):
            folder.chmod(0o755)
    run = [sys.executable, "-c", UNPRIVILEGED, os.fspath(tmp_path)]
    environment = os.environ | {"PYTHONPATH": os.fspath(Path(__file__).parents[2]), "HOME": os.fspath(tmp_path)}
    done = subprocess.run(run, capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.strip() == "['b.jpg'] ['a: permission denied']", done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_an_unreadable_folder_does_not_end_the_walk_of_a_user(tmp_path):
    touch(tmp_path / "a" / "a.jpg")
    touch(tmp_path / "b" / "b.jpg")
    (tmp_path / "a").chmod(0)
    try:
        assert found(tmp_path) == ["b/b.jpg"]
        assert problems_of(tmp_path) == {"a": "permission denied"}
    finally:
        (tmp_path / "a").chmod(0o755)


def test_a_source_may_be_one_file(tmp_path):
    path = touch(tmp_path / "scan0001")
    assert [entry.path for entry in scan(path)] == [path]
    assert problems_of(tmp_path / "missing.jpg") == {"missing.jpg": "no such file or directory"}


def test_collections_are_left_out(tmp_path):
    touch(tmp_path / "album" / "catalog.sqlite")
    touch(tmp_path / "album" / "manifest.json")
    touch(tmp_path / "album" / "thumb.jpg")
    touch(tmp_path / "manifest.json")
    touch(tmp_path / "a.jpg")
    assert found(tmp_path) == ["a.jpg"]


def test_within_keeps_the_rules_above(tmp_path):
    for name in ("a/b/1.jpg", "a/b/2.jpg", "a/bb/1.jpg", "a/1.jpg", "c/1.jpg"):
        touch(tmp_path / name)
    assert found(tmp_path, within=tmp_path / "a" / "b") == ["a/b/1.jpg", "a/b/2.jpg"]
    assert found(tmp_path, within=tmp_path / "a" / "b" / "2.jpg") == ["a/b/2.jpg"]
    assert found(tmp_path, ["2.jpg"], within=tmp_path / "a") == ["a/1.jpg", "a/b/1.jpg", "a/bb/1.jpg"]
    touch(tmp_path / ".sightseekignore", b"/a/b\n")
    assert found(tmp_path, within=tmp_path / "a" / "b") == []


def test_a_very_deep_folder(tmp_path):
    folder, depth = os.open(tmp_path, os.O_RDONLY), 1100
    for _ in range(depth):
        os.mkdir("d", dir_fd=folder)
        deeper = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = deeper
    os.close(os.open("a.jpg", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    os.close(folder)
    try:
        assert found(tmp_path) == ["d/" * depth + "a.jpg"]
    finally:
        subprocess.run(["rm", "-rf", os.fspath(tmp_path / "d")], check=True)  # deeper than shutil can go
