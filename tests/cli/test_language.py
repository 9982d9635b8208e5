"""The command line in Chinese: which words are translated, which are not, and what it costs."""

import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from retrieval.cli import app
from retrieval.columns import cells
from retrieval.messages import use
from retrieval.spoken import LANGUAGES
from tests.cli.conftest import Library, run, run_process
from tests.cli.test_start import HEAVY, imported
from tests.media_makers import draw_picture, write_clip, write_picture

_CHINESE = re.compile("[\u4e00-\u9fff]")


@pytest.fixture
def chinese(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands that run in this process speak Chinese."""
    monkeypatch.setenv("SIGHTSEEK_LANG", "zh")
    yield
    use("en")


def on_terminal(*arguments: str | Path, **environment: str) -> str:
    """Run the command with a terminal as its stdout; return what it prints there."""
    ours, theirs = os.openpty()
    heard: list[bytes] = []

    def listen() -> None:
        try:
            while piece := os.read(ours, 4096):
                heard.append(piece)
        except OSError:  # what Linux says once nobody holds the other end
            return

    listener = threading.Thread(target=listen)
    listener.start()
    ran = run_process(*arguments, stdout=theirs, **environment)
    os.close(theirs)
    listener.join()
    os.close(ours)
    assert ran.returncode == 0, ran.stderr
    return b"".join(heard).decode().replace("\r\n", "\n")


def commands(command: Any = None, *names: str) -> Iterator[tuple[str, ...]]:
    """Yield the names that lead to each command."""
    command = command or typer.main.get_command(app)
    yield names
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, *names, name)


@pytest.mark.parametrize("names", list(commands()), ids=lambda names: " ".join(names))
def test_every_help_is_in_chinese(names: tuple[str, ...], chinese: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    ran = run(*names, "--help")
    assert ran.code == 0
    assert ran.out.startswith("用法：")
    for line in ran.out.splitlines():
        # What is not Chinese is the left column, names and examples: no three English words in a row.
        text = re.sub(r"^  \S+(?:, \S+)*(?: \S+)?|`[^`]*`|\"[^\"]*\"|torchrun.*|sightseek .*|Usage.*", "", line)
        assert not re.search(r"\b[a-z]{2,} [a-z]{2,} [a-z]{2,}\b", text), line
    sections = ran.out.split("\n\n")
    assert len(sections) >= 3
    for row in sections[-1].splitlines()[1:]:
        assert _CHINESE.search(row) or row.startswith("  -") or len(row) < 60, row


def test_lines_of_help_fit_the_terminal() -> None:
    for columns, name in (("60", "index"), ("80", "train"), ("110", "evaluate")):
        ran = run_process(name, "--help", SIGHTSEEK_LANG="zh", PYTHONIOENCODING="utf-8", COLUMNS=columns)
        lines = [line for line in ran.stdout.decode().splitlines() if _CHINESE.search(line)]
        assert max(map(cells, lines)) <= int(columns)
        assert max(map(cells, lines)) > int(columns) - 16  # and they make use of it


def test_two_runs_may_speak_two_languages(chinese: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "选项：" in run("--help").out
    monkeypatch.setenv("SIGHTSEEK_LANG", "en")
    assert "Options:" in run("--help").out
    assert "Options:" in run("search", "--help").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("search --zzzz", "没有这个选项：--zzzz"),
        ("search --lik", "没有这个选项：--lik（相近的选项：--like"),
        ("searh x", "没有命令 'searh'。是不是要用 'search'？"),
        ("qqqq", "没有命令 'qqqq'。"),
        ("explain", "缺少参数 '[TEXT]... FILE|ITEM'。"),
        ("train a b", "缺少选项 '--out'。"),
        ("search x -k 0", "'-k' 的值无效：0 不在范围 x>=1 之内"),
        ("search x -k abc", "'-k' 的值无效：'abc' 不是整数"),
        ("train a b --out c --decay x", "'--decay' 的值无效：'x' 不是数字"),
        ("search x --format yaml", "'--format' 的值无效：'yaml' 不在 'table'"),
        ("status extra", "多余的参数（extra）"),
        ("status --failed=3", "选项 '--failed' 不带值。"),
        ("search x --like", "选项 '--like' 后面需要一个值。"),
    ],
)
def test_wrong_usage_is_said_in_chinese(arguments: str, said: str, chinese: None) -> None:
    ran = run(*arguments.split())
    assert ran.code == 2
    assert ran.out == ""
    assert ran.err.splitlines()[-1].startswith(f"错误：{said}")
    assert "Error" not in ran.err


def test_wrong_usage_in_english_is_as_typer_says_it() -> None:
    ran = run("search", "--zzzz")
    assert ran.code == 2
    assert "Try '" in ran.err
    assert ran.err.splitlines()[-1] == "Error: No such option: --zzzz"


def test_without_a_command_the_help_is_shown(chinese: None) -> None:
    ran = run("models")
    assert ran.code == 2
    assert ran.err.startswith("用法：")
    assert "错误" not in ran.err


def test_a_terminal_without_chinese_characters_gets_english() -> None:
    ran = run_process("--help", SIGHTSEEK_LANG="zh", PYTHONIOENCODING="ascii")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(b"Usage:")
    ran = run_process("--help", SIGHTSEEK_LANG="zh", PYTHONIOENCODING="latin-1:strict")
    assert ran.stdout.startswith(b"Usage:")


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "gbk", "big5hkscs"])
def test_a_terminal_with_chinese_characters_gets_chinese(encoding: str) -> None:
    ran = run_process("--help", SIGHTSEEK_LANG="zh", PYTHONIOENCODING=encoding)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.decode(encoding).startswith("用法：")


def test_the_locale_decides_when_nothing_else_does() -> None:
    locale = {"LC_ALL": "", "LC_MESSAGES": "", "LANGUAGE": "", "SIGHTSEEK_LANG": "", "PYTHONIOENCODING": "utf-8"}
    assert run_process("--help", **locale | {"LANG": "zh_CN.UTF-8"}).stdout.decode().startswith("用法：")
    assert run_process("--help", **locale | {"LANG": "de_DE.UTF-8"}).stdout.startswith(b"Usage:")
    assert run_process("--help", **locale | {"LANG": "zh_CN.UTF-8", "SIGHTSEEK_LANG": "en"}).stdout[:6] == b"Usage:"


def test_what_programs_read_is_the_same_in_every_language(
    prepared: Library, monkeypatch: pytest.MonkeyPatch, chinese: None
) -> None:
    for arguments in (
        ("status", "--format", "json"),
        ("status", "--failed", "--format", "json"),
        ("search", "red", "--format", "jsonl"),
        ("search", "red", "--format", "paths"),
        ("models", "--help"),
    ):
        said = {}
        for language in LANGUAGES:
            monkeypatch.setenv("SIGHTSEEK_LANG", language)
            where = () if arguments[0] == "models" else ("-c", str(prepared.collection))
            ran = run(*arguments, *where)
            assert ran.code == 0, ran.err
            said[language] = ran.out
        assert (said["zh"] == said["en"]) == (arguments[0] != "models")


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="there are no terminals to be made here")
@pytest.mark.parametrize(
    ("arguments", "headings"),
    [
        (("search", "red"), ("分数", "文件", "片段")),
        (("search", "red", "--explain", "--hide-duplicates", "exact"), ("各部分", "相似")),
        (("duplicates", "--level", "similar"), ("建议", "程度", "相似度", "理由")),
    ],
)
def test_tables_on_a_terminal_have_headings_in_chinese(
    prepared: Library, tmp_path: Path, arguments: tuple[str, ...], headings: tuple[str, ...]
) -> None:
    collection = prepared.collection
    if arguments[0] == "duplicates":
        collection = tmp_path / "c"
        for name in ("one", "other"):
            write_picture(tmp_path / "media" / f"{name}.png", draw_picture(1))
        assert run("index", tmp_path / "media", "-c", collection, "--model", prepared.model).code == 0
    environment = {"SIGHTSEEK_LANG": "zh", "PYTHONIOENCODING": "utf-8", "COLUMNS": "200"}
    shown = on_terminal(*arguments, "-c", collection, **environment)
    assert all(heading in shown.splitlines()[0] for heading in headings)
    in_pipe = run_process(*arguments, "-c", collection, **environment).stdout.decode()
    assert in_pipe
    assert not _CHINESE.search(in_pipe)


def test_why_files_cannot_be_read_is_said_in_chinese(prepared: Library, tmp_path: Path, chinese: None) -> None:
    media = tmp_path / "media"
    whole = write_picture(media / "whole.png", draw_picture(1, (200, 150))).read_bytes()
    (media / "cut.png").write_bytes(whole[: len(whole) // 2])
    (media / "words.jpg").write_bytes(b"words")
    clip = write_clip(media / "whole.mp4", [("red", 2.0)], fps=10).read_bytes()
    (media / "cut.mp4").write_bytes(clip[: len(clip) // 2])
    ran = run("index", media, "-c", tmp_path / "c", "--model", prepared.model)
    assert ran.code == 3
    lines = [line for line in ran.err.splitlines() if "无法读取" in line]
    assert len(lines) == 3
    for line in lines:
        assert not re.search(r"[a-z]{2,} [a-z]{2,}", line.replace(str(media), "")), line
    kept = run("status", "--failed", "--format", "json", "-c", tmp_path / "c").out
    assert not _CHINESE.search(kept.encode().decode("unicode_escape"))


def test_chinese_loads_nothing_heavy(monkeypatch: pytest.MonkeyPatch) -> None:
    english = imported("--help")
    monkeypatch.setenv("SIGHTSEEK_LANG", "zh")
    monkeypatch.setenv("PYTHONIOENCODING", "utf-8")
    chinese = imported("--help")
    assert not chinese & set(HEAVY)
    assert chinese - english <= {"gettext", "unicodedata", "locale", "_locale", "struct", "_struct"}


def test_a_library_user_is_not_spoken_to_in_chinese() -> None:
    import subprocess
    import sys

    program = "from retrieval import messages; import retrieval, indexer; print(messages._('Options'))"
    environment = {**os.environ, "SIGHTSEEK_LANG": "zh", "LANG": "zh_CN.UTF-8"}
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert ran.stdout == "Options\n"
