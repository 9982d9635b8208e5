"""Files that appear whole or not at all, and never in the place of others."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from retrieval.errors import OutputError
from retrieval.store.durable import draft, put


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_put_in_its_place(tmp_path):
    put(tmp_path / "a", lambda file: file.write(b"one"))
    assert (tmp_path / "a").read_bytes() == b"one"
    assert left_in(tmp_path) == ["a"]


def test_nothing_is_written_over_unless_asked(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        put(tmp_path / "a", lambda file: file.write(b"new"))
    assert (tmp_path / "a").read_bytes() == b"old"
    put(tmp_path / "a", lambda file: file.write(b"new"), over=True)
    assert (tmp_path / "a").read_bytes() == b"new"
    assert left_in(tmp_path) == ["a"]


def test_neither_is_a_link_that_leads_nowhere(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        put(tmp_path / "a", lambda file: file.write(b"new"))
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("links", [True, False])
def test_a_draft_may_try_one_name_after_another(tmp_path, links, monkeypatch):
    if not links:  # a disk such as FAT, which gives no file a second name

        def no_link(*_args, **_more):
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", no_link)
    (tmp_path / "a").write_bytes(b"old")
    with draft(tmp_path) as begun:
        begun.file.write(b"new")
        with pytest.raises(FileExistsError):
            begun.put(tmp_path / "a")
        begun.put(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert (tmp_path / "b").read_bytes() == b"new"
    assert left_in(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_what_fails_leaves_nothing(tmp_path, error):
    def fail(file):
        file.write(b"half")
        raise error

    with pytest.raises(OutputError if error is OSError else error):
        put(tmp_path / "a", fail)
    assert left_in(tmp_path) == []


def test_private_files_are_for_their_owner_and_others_are_as_usual(tmp_path):
    before = os.umask(0o022)
    try:
        put(tmp_path / "a", lambda file: file.write(b""), private=True)
        put(tmp_path / "b", lambda file: file.write(b""))
    finally:
        os.umask(before)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "ab"] == [0o600, 0o644]


def test_a_full_disk_is_said_in_one_line(tmp_path):
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from retrieval.errors import OutputError\n"
        "from retrieval.store.durable import put\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    put(Path(sys.argv[1]), lambda file: file.write(bytes(5000)))\n"
        "except OutputError as error:\n"
        "    print(error)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program, tmp_path / "a"], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith(f"cannot write {tmp_path / 'a'}: File too large; make room")
    assert left_in(tmp_path) == []


def test_a_missing_folder_is_said(tmp_path):
    with pytest.raises(OutputError, match="No such file"):
        put(tmp_path / "none" / "a", lambda file: file.write(b""))
