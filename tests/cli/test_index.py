"""``sightseek index`` and the commands around a collection, as a user calls them."""

import fcntl
import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.cli.conftest import Library, run
from tests.media_makers import draw_picture, write_picture
from tests.model_makers import write_tiny_model


def status(collection: Path) -> dict[str, object]:
    ran = run("status", "-c", collection, "--format", "json")
    assert ran.code == 0, ran.err
    loaded: dict[str, object] = json.loads(ran.out)
    return loaded


def one_line_error(ran: tuple[int, str, str], code: int = 1) -> str:
    assert ran[0] == code, ran[2]
    lines = [line for line in ran[2].splitlines() if line.startswith("sightseek:")]
    assert len(lines) == 1, ran[2]
    assert "Traceback" not in ran[2]
    return lines[0]


def test_status_counts_what_was_indexed(prepared: Library) -> None:
    found = status(prepared.collection)
    assert {"files", "items", "failed", "offline", "sources", "model", "index", "bytes"} <= set(found)
    assert found["files"] == 11
    assert found["failed"] == 0
    assert found["items"] >= 12


def test_again_embeds_nothing(library: Library) -> None:
    ran = run("index", library.media, "-c", library.collection)
    assert ran.code == 0
    assert "0 files embedded" in ran.err
    assert "11 unchanged" in ran.err


def test_without_a_path_all_sources_are_refreshed(library: Library) -> None:
    write_picture(library.media / "new.png", draw_picture(9))
    ran = run("index", "-c", library.collection)
    assert "1 added" in ran.err
    assert status(library.collection)["files"] == 12


def test_a_moved_folder_is_not_embedded_again(library: Library) -> None:
    (library.media / "drawn").rename(library.media / "other name")
    ran = run("index", "-c", library.collection)
    assert "2 moved" in ran.err
    assert "0 files embedded" in ran.err


def test_dry_run_changes_nothing(library: Library, tmp_path: Path) -> None:
    write_picture(library.media / "new.png", draw_picture(9))
    ran = run("index", "-c", library.collection, "--dry-run")
    assert "1 added" in ran.err
    assert status(library.collection)["files"] == 11
    fresh = tmp_path / "fresh"
    ran = run("index", library.media, "-c", fresh, "--dry-run", "--model", library.model)
    assert "12 added" in ran.err
    assert not fresh.exists()


def test_bad_files_are_listed_and_give_exit_three(library: Library) -> None:
    (library.media / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a picture")
    ran = run("index", "-c", library.collection)
    assert ran.code == 3
    assert "broken.jpg" in ran.err
    listed = run("status", "--failed", "-c", library.collection)
    assert listed.code == 0
    assert "broken.jpg" in listed.out
    assert run("index", "-c", library.collection).code in (0, 3)
    assert status(library.collection)["failed"] == 1


def test_an_unmounted_source_loses_nothing(library: Library) -> None:
    away = library.media.with_name("away")
    library.media.rename(away)
    ran = run("index", "-c", library.collection)
    assert ran.code == 0
    assert "offline" in ran.err
    found = status(library.collection)
    assert (found["files"], found["offline"]) == (11, 1) or found["offline"] == 11
    assert run("search", "red", "-c", library.collection).out
    away.rename(library.media)
    assert "0 files embedded" in run("index", "-c", library.collection).err
    assert status(library.collection)["offline"] == 0


def test_no_such_path(tmp_path: Path, prepared: Library) -> None:
    ran = run("index", tmp_path / "nowhere", "-c", tmp_path / "c", "--model", prepared.model)
    assert "does not exist" in one_line_error(ran)


def test_an_empty_folder_is_said(tmp_path: Path, prepared: Library) -> None:
    (tmp_path / "empty").mkdir()
    ran = run("index", tmp_path / "empty", "-c", tmp_path / "c", "--model", prepared.model)
    assert ran.code == 0
    assert "no pictures or videos" in ran.err


def test_another_model_is_refused_with_the_way_out(library: Library, tmp_path: Path) -> None:
    other = write_tiny_model(tmp_path / "other", seed=5)
    line = one_line_error(run("index", "-c", library.collection, "--model", other))
    assert "--reembed" in line
    assert run("search", "red", "-c", library.collection).code == 0


def test_reembed_changes_the_model(library: Library, tmp_path: Path) -> None:
    other = write_tiny_model(tmp_path / "other", seed=5, dim=48)
    before = status(library.collection)
    ran = run("index", "-c", library.collection, "--model", other, "--reembed")
    assert ran.code == 0, ran.err
    after = status(library.collection)
    assert after["items"] == before["items"]
    assert after["model"] != before["model"]
    assert json.loads(run("search", "red", "-k", "1", "-c", library.collection, "--format", "jsonl").out)["path"]
    assert run("verify", "-c", library.collection).code == 0


def test_a_newer_collection_is_refused(library: Library) -> None:
    with sqlite3.connect(library.collection / "catalog.sqlite") as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    for command in (("search", "red"), ("index",), ("status",)):
        assert "newer" in one_line_error(run(*command, "-c", library.collection))


def test_two_writers_are_refused(library: Library) -> None:
    with (library.collection / "lock").open("rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        line = one_line_error(run("index", "-c", library.collection))
    assert "writing" in line
    assert run("search", "red", "-c", library.collection).code == 0


@pytest.mark.parametrize("damage", ["missing", "short", "nonsense"])
def test_a_damaged_index_is_rebuilt(library: Library, damage: str) -> None:
    index = library.collection / "vectors.faiss"
    expected = run("search", "red", "-c", library.collection, "--format", "jsonl").out
    if damage == "missing":
        index.unlink()
    elif damage == "short":
        index.write_bytes(index.read_bytes()[:100])
    else:
        index.write_bytes(b"nonsense" * 100)
    assert run("search", "red", "-c", library.collection, "--format", "jsonl").out == expected
    ran = run("index", "-c", library.collection)
    assert ran.code == 0, ran.err
    assert run("verify", "-c", library.collection).code == 0
    assert run("search", "red", "-c", library.collection, "--format", "jsonl").out == expected


def test_a_damaged_catalog_is_said(library: Library) -> None:
    for name in ("catalog.sqlite-wal", "catalog.sqlite-shm"):
        (library.collection / name).unlink(missing_ok=True)
    (library.collection / "catalog.sqlite").write_bytes(b"not a database at all" * 500)
    one_line_error(run("search", "red", "-c", library.collection))
    one_line_error(run("index", "-c", library.collection))


def test_forget_and_purge(library: Library) -> None:
    ran = run("forget", library.media / "drawn", "-c", library.collection)
    assert ran.code == 0
    assert "2 files" in ran.err
    assert (library.media / "drawn").is_dir()
    assert status(library.collection)["files"] == 9
    (library.media / "red.png").unlink()
    run("index", "-c", library.collection)
    assert "1 file" in run("purge", "-c", library.collection).err
    assert run("verify", "-c", library.collection).code == 0
    assert "not in the collection" in one_line_error(run("forget", "/nowhere/at/all", "-c", library.collection))


def test_frames_cannot_change_unnoticed(library: Library) -> None:
    assert "--reembed" in one_line_error(run("index", "-c", library.collection, "--frames", "all"))
    assert "--frames" in one_line_error(run("index", "-c", library.collection, "--frames", "sometimes"), code=2)


def test_a_moved_collection_still_works(library: Library) -> None:
    moved = library.collection.with_name("elsewhere")
    shutil.move(library.collection, moved)
    assert run("search", "red", "-c", moved).code == 0
    assert run("verify", "-c", moved).code == 0


def test_native_libraries_do_not_write_over_messages(prepared: Library, tmp_path: Path) -> None:
    from tests.cli.conftest import run_process

    odd = tmp_path / "media" / "odd.tif"
    write_picture(odd, draw_picture(1), compression="tiff_lzw")
    odd.write_bytes(odd.read_bytes()[:-400])
    ran = run_process("index", tmp_path / "media", "-c", tmp_path / "c", "--model", prepared.model)
    lines = ran.stderr.decode().splitlines()
    assert lines
    assert not any("TIFF" in line and "could not read" not in line and "noted" not in line for line in lines), lines


def test_an_unfinished_change_of_model_can_be_given_up(library: Library, tmp_path: Path) -> None:
    other = write_tiny_model(tmp_path / "other", seed=5)
    (library.media / "drawn").rename(tmp_path / "drawn")
    run("index", "-c", library.collection)
    extra = tmp_path / "extra"
    shutil.copytree(tmp_path / "drawn", extra)
    assert run("index", extra, "-c", library.collection).code == 0
    shutil.rmtree(extra)
    held = one_line_error(run("index", "-c", library.collection, "--model", other, "--reembed"))
    assert "forget" in held
    assert "give it up" in one_line_error(run("index", "-c", library.collection))
    assert run("search", "red", "-c", library.collection).code == 0
    ran = run("index", "-c", library.collection, "--model", library.model)
    assert ran.code == 0, ran.err
    assert run("index", "-c", library.collection).code == 0
    assert run("verify", "-c", library.collection).code == 0


def test_a_few_pictures_are_searched_exactly_whatever_is_asked(prepared: Library) -> None:
    ran = run("index", "--index", "hnsw", "-c", prepared.collection)
    assert ran.code == 0
    assert "too few items for hnsw" in ran.err
    assert json.loads(run("status", "--format", "json", "-c", prepared.collection).out)["index"]["kind"] == "flat"
    assert run("index", "--index", "cube", "-c", prepared.collection).code == 2
