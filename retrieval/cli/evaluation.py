"""``sightseek evaluate``: how well a model, or the served engine, finds what is described."""

from pathlib import Path
from typing import Annotated

import typer

from retrieval.cli.evaluation_runs import Asking, Call, Extras, Source, run_dataset, run_library, run_served
from retrieval.cli.options import CollectionOption, DeviceOption, ModelOption, ReportFormat, named_path, settings_for
from retrieval.errors import OptionError
from retrieval.messages import _

_Images = Annotated[
    Path | None, typer.Argument(metavar="[IMAGES_DIR]", parser=named_path, help="The folder of pictures (or videos).")
]
_Captions = Annotated[
    Path | None,
    typer.Argument(
        metavar="[CAPTIONS]", parser=named_path, help="Lines of: image TAB split TAB caption; see --protocol for more."
    ),
]
_Split = Annotated[str | None, typer.Option("--split", help="Which split to use; the protocol's own, else test.")]
_Protocol = Annotated[
    str | None,
    typer.Option(
        "--protocol",
        metavar="NAME",
        help="flickr8k, flickr30k, coco-1k, coco-5k, msrvtt-1ka, or captions: any CSV, JSON, lines or text files.",
    ),
]
_Strict = Annotated[bool, typer.Option("--strict", help="Fail when split or counts are not those of the protocol.")]
_Unique = Annotated[bool, typer.Option("--unique-captions", help="Equal captions are one query (class names).")]
_Frames = Annotated[
    str, typer.Option("--frames", metavar="SAMPLING", help="Frames of videos: auto, keyframes, every:2s, all.")
]
_Measures = Annotated[
    str, typer.Option("--measures", metavar="NAMES", help="More of them, as in 'R@20 RR nDCG@10 AP Recall@5'.")
]
_K = Annotated[int | None, typer.Option("-k", min=1, help="With -c: how many hits are looked at (10).")]
_Where = Annotated[str, typer.Option("--where", metavar="EXPR", help="With -c: the filter that searches have.")]
_Queries = Annotated[
    Path | None,
    typer.Option("--queries", metavar="FILE", parser=named_path, help="Measure labelled queries on a collection."),
]
_Against = Annotated[
    Path | None,
    typer.Option("--against", metavar="FILE", parser=named_path, help="Compare with a run that --dump wrote."),
]
_Dump = Annotated[
    Path | None, typer.Option("--dump", metavar="FILE", parser=named_path, help="Write each query as a JSON line.")
]
_Html = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", parser=named_path, help="Write a report with the worst queries."),
]
_Published = Annotated[bool, typer.Option("--published", help="Show published figures of the protocol beside.")]
_Grades = Annotated[
    Path | None,
    typer.Option("--grades", metavar="FILE", parser=named_path, help="Judgements: image, image#n and scores 1-4."),
]
_Describe = Annotated[
    str | None,
    typer.Option("--describe", metavar="SPLIT", help="Score descriptions made of this split's sentences."),
]


def evaluate(  # noqa: PLR0913 - a command's options are its parameters
    images_dir: _Images = None,
    captions_tsv: _Captions = None,
    split: _Split = None,
    model: ModelOption = None,
    protocol: _Protocol = None,
    strict: _Strict = False,
    unique_captions: _Unique = False,
    measures: _Measures = "",
    frames: _Frames = "auto",
    collection: CollectionOption = None,
    k: _K = None,
    where: _Where = "",
    queries: _Queries = None,
    against: _Against = None,
    dump: _Dump = None,
    html: _Html = None,
    published: _Published = False,
    grades: _Grades = None,
    describe: _Describe = None,
    device: DeviceOption = None,
    fmt: Annotated[ReportFormat, typer.Option("--format", help="How to print it.")] = ReportFormat.table,
) -> None:
    """Measure recall@1/5/10 and median rank, text to image and image to text.

    Text to image: the one right picture. Image to text: a hit if any of its captions is among the first k.
    Ties count against the model. With -c the searches of a collection are measured beside exact search, with
    --queries labelled queries on your own collection.
    """
    call = Call(settings_for(collection, device), model, collection is not None, fmt)
    asking = Asking(measures, unique_captions, frames, k, where)
    extras = Extras(against, dump, html, published, grades, describe)
    _check(call, asking, extras, queries, images_dir, of_captions=strict or (protocol or split) is not None)
    if queries is not None:
        run_library(queries, call, asking, extras)
    elif images_dir is None or captions_tsv is None:
        raise OptionError(_("name the folder of pictures and the captions, or labelled queries with --queries FILE"))
    else:
        source = Source(images_dir, captions_tsv, protocol, split, strict)
        (run_served if call.on_collection else run_dataset)(source, call, asking, extras)


def _check(
    call: Call, asking: Asking, extras: Extras, queries: Path | None, images_dir: Path | None, *, of_captions: bool
) -> None:
    """Refuse options that do not go together.

    Raises:
        OptionError: two of them, or one without what it needs.
    """
    on_collection = call.on_collection or queries is not None
    if queries is not None and images_dir is not None:
        raise OptionError(_("--queries asks a collection; leave the folder and the captions out"))
    if queries is not None and of_captions:
        raise OptionError(
            _("--protocol, --split and --strict are of captioned pictures; leave them out with --queries")
        )
    for name, given, fits in (
        ("-k", asking.k is not None, on_collection),
        ("--where", bool(asking.where), call.on_collection and queries is None),
        ("--unique-captions", asking.unique_captions, queries is None),
        ("--frames", asking.frames != "auto", not on_collection),
        ("--published", extras.published, not on_collection),
        ("--grades", extras.grades is not None, not on_collection),
        ("--describe", extras.describe is not None, not on_collection),
    ):
        if given and not fits:
            raise OptionError(
                _("{name} does not go with what is measured here; see sightseek evaluate --help").format(name=name)
            )
    extras.check()
