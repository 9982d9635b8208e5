"""``sightseek models``: which models there are, fetching one on request, and writing one as a folder of ONNX files."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from retrieval.cli.options import named_path, say
from retrieval.columns import padded
from retrieval.messages import _, retold

app = typer.Typer(
    help="List models, fetch one, or export one.", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)


@app.command("list")
def list_models() -> None:
    """List the models that `index --model NAME` takes."""
    from retrieval.embedding.catalogue import list_models as rows_of

    rows = rows_of()
    width = max(len(row.name) for row in rows)
    for row in rows:
        here = _("here") if row.here else _("to prepare")
        typer.echo(f"{row.name:<{width}}  {row.size_mb:>6,} MB  {padded(here, 10)}  {retold(row.note)}".rstrip())
    say(_("any other OpenCLIP name ARCH/TAG works as well, a checkpoint as ARCH@FILE, and a folder with a model.json"))


@app.command("prepare")
def prepare(name: Annotated[str, typer.Argument(metavar="NAME", help="A name from `models list`.")]) -> None:
    """Download a model's weights. Nothing else ever downloads."""
    from retrieval.embedding.catalogue import prepare as fetch

    place = fetch(name, say)
    say(_("ready: {place}").format(place=place))
    say(_("use it with: sightseek index --model {name} --reembed").format(name=name))


@app.command("export")
def export(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An OpenCLIP model, as `index --model` takes it.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", parser=named_path, help="The folder to write the model to.")
    ],
    force: Annotated[bool, typer.Option("--force", help="Replace the model that is in FOLDER.")] = False,
    int8: Annotated[
        Path | None,
        typer.Option(
            "--int8",
            metavar="PICTURES",
            parser=named_path,
            help="Compute the image tower in eight bits, set by the pictures in this folder: faster, with vectors a "
            "little different.",
        ),
    ] = None,
) -> None:
    """Write an OpenCLIP model as a folder of ONNX files, which is then used without PyTorch."""
    folder = _onnx_folder(name) if int8 else None
    if int8 and folder:
        from retrieval.training.int8_export import export_in_eight_bits

        export_in_eight_bits(folder, int8, out, force=force, report=say)
        size = sum(path.stat().st_size for path in out.iterdir())
    else:
        size = _export_clip(name, out, force, int8)
    say(_("written: {folder} ({size:,.0f} MB)").format(folder=out.absolute(), size=size / 1e6))
    say(_("use it with: sightseek index --model {name}").format(name=out.absolute()))


def _export_clip(name: str, out: Path, force: bool, int8: Path | None) -> int:
    """Export with PyTorch; return the size of both towers in bytes."""
    from retrieval.embedding.towers import load_libraries

    load_libraries(name)
    from retrieval.training.clip_export import export_clip
    from retrieval.training.int8_export import put_in_eight_bits

    finish = partial(put_in_eight_bits, pictures=int8, report=say) if int8 else None
    made = export_clip(name, out, force=force, report=say, finish=finish)
    return made.image_bytes + made.text_bytes


def _onnx_folder(name: str) -> Path | None:
    """Return the folder of a model that is a folder of ONNX files already."""
    from retrieval.embedding import model_folder

    folder = model_folder(name)
    return folder if folder and (folder / "model.json").is_file() else None
