"""The commands by name, each with one line of help; a command's module is imported when the command is called."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, NamedTuple

import typer
import typer.main

from retrieval.messages import N_, current
from retrieval.spoken import LANGUAGES


class Place(NamedTuple):
    """Where a command is: a function, or an application of commands below it; ``line`` is how its help begins."""

    module: str
    name: str
    line: str
    command_class: str = ""


PLACES = {
    "index": Place("indexing", "index", N_("Index folders of photos and videos, or refresh what is indexed.")),
    "search": Place(
        "searching", "search", N_("Find pictures and moments of video, best first."), "previews.WithPreview"
    ),
    "explain": Place(
        "explaining",
        "explain",
        N_("Show what in a picture, or a frame of a video, matches a query: a heat map and boxes."),
        "dashes.QueryCommand",
    ),
    "export": Place(
        "exporting",
        "export",
        N_("Write what is found as files: copies, links, clips, a contact sheet, a table, or vectors."),
        "dashes.QueryCommand",
    ),
    "status": Place("maintenance", "status", N_("Say what the collection holds.")),
    "verify": Place("maintenance", "verify", N_("Check that files, rows, vectors and the index agree.")),
    "forget": Place("maintenance", "forget", N_("Drop a file or folder from the collection.")),
    "purge": Place("maintenance", "purge", N_("Drop what is gone or offline from the collection.")),
    "doctor": Place(
        "maintenance", "doctor", N_("Check the installation, the machine and the collection, with advice.")
    ),
    "bench": Place(
        "benching",
        "bench",
        N_("Measure how fast this machine indexes and searches what the collection holds, and say what limits it."),
    ),
    "tag": Place(
        "labelling",
        "tag",
        N_("Say which words fit pictures and moments of video, with the probability that each applies."),
    ),
    "describe": Place(
        "labelling", "describe", N_("Describe pictures and moments of video by the nearest sentences of a bank.")
    ),
    "duplicates": Place(
        "duplicating",
        "duplicates",
        N_("List files that are copies of one another or alike, with what could be spared."),
    ),
    "evaluate": Place(
        "evaluation", "evaluate", N_("Measure recall@1/5/10 and median rank, text to image and image to text.")
    ),
    "train": Place(
        "training", "train", N_("Fine-tune the starter or any OpenCLIP model on your own pictures with captions.")
    ),
    "models": Place("models", "app", N_("List models, fetch one, or export one.")),
}


class Commands(Mapping[str, Any]):
    """The commands as Typer keeps them, in the language in use; each is made when it is first asked for."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - Typer's private class
        if name not in self._made:
            self._made[name] = _translated(_made(name, PLACES[name]))
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(PLACES)

    def __len__(self) -> int:
        return len(PLACES)


def stand_in(name: str) -> Any:  # noqa: ANN401 - Typer's private class
    """Return a command that can do nothing but be listed."""
    return _translated(_command_of(lambda: None, name, help=PLACES[name].line))


def _made(name: str, place: Place) -> Any:  # noqa: ANN401
    found = getattr(import_module(f"retrieval.cli.{place.module}"), place.name)
    if isinstance(found, typer.Typer):
        command = typer.main.get_command(found)
        command.name = name
        return command
    module, _dot, kind = place.command_class.partition(".")
    return _command_of(found, name, cls=getattr(import_module(f"retrieval.cli.{module}"), kind) if kind else None)


def _command_of(function: Any, name: str, **more: Any) -> Any:  # noqa: ANN401
    alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    alone.command(name, **more)(function)
    return typer.main.get_command(alone)


def _translated(command: Any) -> Any:  # noqa: ANN401
    if current() != LANGUAGES[0]:
        from retrieval.cli.help import translate

        translate([command])
    return command
