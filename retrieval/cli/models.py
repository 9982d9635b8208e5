"""``sightseek models``: which models there are, and fetching one on request."""

from typing import Annotated

import typer

from retrieval.cli.options import say

app = typer.Typer(help="List models, or fetch one.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_models() -> None:
    """List the models that `index --model NAME` takes."""
    from retrieval.embedding.catalogue import list_models as rows_of

    rows = rows_of()
    width = max(len(row.name) for row in rows)
    for row in rows:
        here = "here" if row.here else "to prepare"
        typer.echo(f"{row.name:<{width}}  {row.size_mb:>6,} MB  {here:<10}  {row.note}".rstrip())
    say("any other OpenCLIP name ARCH/TAG works as well, a checkpoint as ARCH@FILE, and a folder with a model.json")


@app.command("prepare")
def prepare(name: Annotated[str, typer.Argument(metavar="NAME", help="A name from `models list`.")]) -> None:
    """Download a model's weights. Nothing else ever downloads."""
    from retrieval.embedding.catalogue import prepare as fetch

    place = fetch(name, say)
    say(f"ready: {place}")
    say(f"use it with: sightseek index --model {name} --reembed")
