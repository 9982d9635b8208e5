"""Options that several commands share, and how they are resolved."""

import os
import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from retrieval.config import DEFAULT_MODEL, ModelSpec, Settings, load_settings, parse_device
from retrieval.messages import _, retold

STRONGER_MODEL = "ViT-B-32-256/datacomp_s34b_b86k"


def named_path(text: str) -> Path:
    """Read a path of the command line; whether it can be used is said by the engine, in one line."""
    if not text:  # an unset variable of the shell would silently mean the current folder
        raise typer.BadParameter(_("it is empty; write . for the current folder"))
    return Path(text).expanduser()


CollectionOption = Annotated[
    Path | None,
    typer.Option(
        "-c",
        "--collection",
        metavar="DIR",
        parser=named_path,
        help="The collection's folder; else $SIGHTSEEK_COLLECTION, else one in your data folder.",
    ),
]
LikeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--like",
        metavar="FILE|ITEM",
        help="A picture, a clip, an item (film.mp4#t=12.5), a region (a.jpg#xywh=0,0,99,99), a .npy file.",
    ),
]
MinusOption = Annotated[
    list[str] | None, typer.Option("--minus", metavar="TEXT|FILE", help="Less of this; may be repeated.")
]
DeviceOption = Annotated[str | None, typer.Option("--device", metavar="auto|cpu|cuda", help="Where the model runs.")]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", help="A model's name or folder; `sightseek models list` shows them."),
]


class ReportFormat(StrEnum):
    """How a report is printed."""

    table = "table"
    json = "json"


def settings_for(collection: Path | None, device: str | None = None) -> Settings:
    """Return the settings with what the command line names put over them."""
    settings = load_settings()
    chosen = parse_device(device) if device is not None else settings.device
    folder = collection if collection is not None else settings.collection
    return replace(settings, collection=folder.absolute(), device=chosen)


def say(message: str) -> None:
    """Print a message for people, on stderr."""
    typer.echo(message, err=True)


def say_at_once(message: str) -> None:
    """Print a message on stderr from a signal handler, which may have come amid the printing of another one."""
    line = f"{message}\n"
    try:
        os.write(sys.stderr.fileno(), line.encode(sys.stderr.encoding or "utf-8", "backslashreplace"))
    except (OSError, ValueError, AttributeError):  # closed, or not a file
        return


def say_if_starter(spec: ModelSpec) -> None:
    """Say that the model in use is the small built-in one, what it knows, and how to change to a stronger one."""
    if spec.name == DEFAULT_MODEL:
        say(_("{name} is the small built-in model. {knows}").format(name=DEFAULT_MODEL, knows=retold(spec.knows)))
        say(
            _("a stronger one: sightseek models prepare {name} && sightseek index --model {name} --reembed").format(
                name=STRONGER_MODEL
            )
        )


def shown(path: Path | str) -> str:
    """Return a path as it can be printed anywhere: control characters and undecodable bytes made visible."""
    from retrieval.present import visible

    return visible(str(path))
