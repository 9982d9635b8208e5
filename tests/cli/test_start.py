"""What starting costs and what the help says: nothing heavy is imported before it is needed."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from retrieval.cli import app
from retrieval.cli.asking import Request
from retrieval.cli.lazy import PLACES
from tests.cli.conftest import REPOSITORY, Library, run, run_process

HEAVY = ("torch", "open_clip", "faiss", "onnxruntime", "sqlalchemy", "alembic", "av", "PIL", "numpy", "rich")


def imported(*arguments: str) -> set[str]:
    """Return the top-level modules that are loaded when the command ends."""
    program = (
        "import sys, json, atexit\n"
        "atexit.register(lambda: print('\\n' + json.dumps(sorted({n.split('.')[0] for n in sys.modules}))))\n"
        "from retrieval.cli import app\n"
        "app()"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    assert ran.returncode == 0, ran.stderr
    return set(json.loads(ran.stdout.splitlines()[-1]))


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["index", "--help"], ["search", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    assert not imported(*arguments) & set(HEAVY)


def test_a_command_imports_no_other(prepared: Library) -> None:
    program = (
        "import sys, atexit\n"
        "atexit.register(lambda: print([n for n in sys.modules if n.startswith('retrieval.cli.')]))\n"
        "from retrieval.cli import app\n"
        "app()"
    )
    ran = subprocess.run([sys.executable, "-c", program, "purge", "--help"], capture_output=True, text=True, check=True)
    loaded = ran.stdout.splitlines()[-1]
    assert "retrieval.cli.maintenance" in loaded
    assert not {f"retrieval.cli.{place.module}" for place in PLACES.values()} & set(re.findall(r"[\w.]+", loaded)) - {
        "retrieval.cli.maintenance"
    }


def test_the_list_of_commands_says_what_their_help_says() -> None:
    import typer.main

    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert list(commands) == list(PLACES)
    for name, command in commands.items():
        assert command.name == name
        assert " ".join(command.help.split("\n\n")[0].split()).startswith(PLACES[name].line.removesuffix("."))
    listed = run("--help").out.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in listed] == list(PLACES)


def test_commands_are_completed() -> None:
    environment = {"_SIGHTSEEK_COMPLETE": "complete_bash", "COMP_WORDS": "sightseek d", "COMP_CWORD": "1"}
    program = "import sys; sys.argv[0] = 'sightseek'; from retrieval.cli import app; app()"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    assert ran.stdout.split() == ["doctor", "describe", "duplicates"]


def test_a_mistyped_command_is_guessed() -> None:
    assert "'search'" in run("serch").err


def test_status_loads_no_model(prepared: Library) -> None:
    loaded = imported("status", "-c", str(prepared.collection))
    assert not loaded & {"torch", "onnxruntime", "av", "PIL", "sqlalchemy", "alembic"}


def test_an_index_run_without_changes_loads_neither_model_nor_index(prepared: Library) -> None:
    loaded = imported("index", "-c", str(prepared.collection))
    assert not loaded & {*HEAVY, "pathspec", "platformdirs", "watchfiles"} - {"numpy"}


def test_a_text_query_loads_only_what_it_needs(prepared: Library) -> None:
    loaded = imported("search", "red", "-c", str(prepared.collection), "--format", "jsonl")
    assert not loaded & {"torch", "av", "PIL", "sqlalchemy", "alembic", "rich", "pillow_heif", "faiss", "pydantic"}


def test_the_starter_works_where_torch_cannot_be_imported(prepared: Library, tmp_path: Path) -> None:
    (tmp_path / "poison").mkdir()
    (tmp_path / "poison" / "torch.py").write_text("raise ImportError('torch must not be imported')\n")
    path = f"{tmp_path / 'poison'}{os.pathsep}{REPOSITORY}"
    collection = tmp_path / "collection"
    indexed = run_process("index", prepared.media, "-c", collection, "--model", "starter", PYTHONPATH=path)
    assert indexed.returncode == 0, indexed.stderr
    found = run_process("search", "a red square", "-k", "2", "--format", "paths", "-c", collection, PYTHONPATH=path)
    assert found.returncode == 0, found.stderr
    assert b"red.png" in found.stdout


def test_the_launcher_of_a_checkout() -> None:
    ran = subprocess.run(
        [sys.executable, str(REPOSITORY / "cli.py"), "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert re.fullmatch(r"sightseek \d+\.\d+\.\d+\n", ran.stdout)


def test_wrong_usage_is_two() -> None:
    assert run("no-such-command").code == 2
    assert run("index", "--no-such-option").code == 2


@pytest.mark.parametrize("name", ["README.md", "README.zh.md"])
def test_the_readme_describes_every_command_and_option(name: str) -> None:
    import typer.main

    sections = (REPOSITORY / name).read_text(encoding="utf-8").split("\n### ")
    root = typer.main.get_command(app)
    asked = {field.name for field in dataclasses.fields(Request)}  # what is looked for is told with `search`
    for command_name, command in root.commands.items():  # type: ignore[attr-defined]
        (section,) = [one for one in sections if f"`sightseek {command_name}" in one.splitlines()[0]]
        for option in command.params:
            for flag in option.opts if command_name != "export" or option.name not in asked else ():
                if flag.startswith("--") and flag not in ("--help", "--collection"):
                    assert flag in section, f"{command_name} {flag}"
        for subcommand in getattr(command, "commands", ()):
            assert f"sightseek {command_name} {subcommand}" in section


def test_doctor_finds_the_installation_sound(prepared: Library) -> None:
    ran = run("doctor", "-c", prepared.collection)
    assert ran.code == 0, ran.out
    assert "faiss" in ran.out
    assert "starter" in ran.out


def test_models_list_names_the_starter() -> None:
    ran = run("models", "list")
    assert ran.code == 0
    assert ran.out.startswith("starter")


@pytest.mark.parametrize("name", ["README.md", "README.zh.md"])
def test_the_readmes_python_runs(
    name: str, prepared: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", (REPOSITORY / name).read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "my-collection").symlink_to(prepared.collection)
    monkeypatch.chdir(tmp_path)
    exec(compile(program, name, "exec"), {})  # our own text
    assert len(capsys.readouterr().out.splitlines()) == 10
