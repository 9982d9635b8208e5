"""``sightseek tag`` and ``sightseek describe``: words and sentences for pictures and moments of video."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from retrieval.cli.options import CollectionOption, DeviceOption, ModelOption, named_path, say, settings_for, shown
from retrieval.cli.progress import counting, progress_display
from retrieval.cli.quiet import native_libraries_silenced
from retrieval.messages import N_, _, retold

if TYPE_CHECKING:
    from retrieval.config import Settings
    from retrieval.embedding import Embedder
    from retrieval.labels import Calibration, FileVectors, Unread
    from retrieval.store import Collection
    from retrieval.types import Where

_LONG = 200
_LOOKED_AT = 100
_NOTES = 3


class LabelFormat(StrEnum):
    """How labels are printed."""

    table = "table"
    jsonl = "jsonl"


FilesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="FILE|ITEM", help="Pictures, clips, or items such as film.mp4#t=12.5."),
]
FormatOption = Annotated[LabelFormat, typer.Option("--format", help="How to print them.")]
WhereOption = Annotated[
    str, typer.Option("--where", metavar="EXPR", help="Only these of the collection, without FILE: kind:video ...")
]


class _Opened(NamedTuple):
    """What labels come from: a collection (or none), and its model."""

    collection: "Collection | None"
    embedder: "Embedder"


def tag(  # noqa: PLR0913 - a command's options are its parameters
    files: FilesArgument = None,
    collection: CollectionOption = None,
    where: WhereOption = "",
    words: Annotated[
        Path | None,
        typer.Option("--words", metavar="FILE", parser=named_path, help="Choose from these, a word or phrase a line."),
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="How many words at most.")] = 5,
    least: Annotated[
        float | None,
        typer.Option("--min", metavar="SCORE", min=-1.0, max=1.0, help="Only words with this score or more."),
    ] = None,
    fmt: FormatOption = LabelFormat.table,
    model: ModelOption = None,
    calibration: Annotated[
        Path | None,
        typer.Option("--calibration", metavar="FILE", parser=named_path, help="What makes scores probabilities."),
    ] = None,
    device: DeviceOption = None,
) -> None:
    """Say which words fit pictures and moments of video, with the probability that each applies.

    Without FILE, all that the collection has, or what --where selects of it.
    """
    from retrieval.embedding.kept import label_cache
    from retrieval.labels import Words, builtin_words, read_calibration, read_words, showing, tag_file, word_vectors

    listed = read_words(words) if words is not None else builtin_words()
    given = read_calibration(calibration) if calibration is not None else None
    chosen = _chosen(files, where)
    for note in listed.notes:
        say(note)
    with native_libraries_silenced(), _opened(settings_for(collection, device), files, collection, model) as source:
        if words is not None:
            _say_text_notes(listed.words, source.embedder)
        with progress_display(N_("texts")) as show:
            vectors = word_vectors(listed.words, source.embedder, cache=label_cache(), progress=counting(show))
        known = Words(listed.words, vectors, _fitting(given, source.embedder))

        def lines(file: "FileVectors") -> Iterator[str]:
            for found in tag_file(file, known, k, -1.0 if least is None else least):
                yield showing.tags_json(found) if fmt is LabelFormat.jsonl else _cells(showing.tags_row(found))

        unread = _print_all(source, files, chosen, lines)
    _leave(unread)


def describe(  # noqa: PLR0913 - a command's options are its parameters
    files: FilesArgument = None,
    collection: CollectionOption = None,
    where: WhereOption = "",
    bank: Annotated[
        Path | None,
        typer.Option(
            "--bank",
            metavar="FILE",
            parser=named_path,
            help="Choose from these, a sentence a line or image TAB split TAB caption.",
        ),
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="How many sentences.")] = 3,
    fmt: FormatOption = LabelFormat.table,
    model: ModelOption = None,
    device: DeviceOption = None,
) -> None:
    """Describe pictures and moments of video by the nearest sentences of a bank.

    Without FILE, all that the collection has, or what --where selects of it.
    """
    from retrieval.embedding.kept import label_cache
    from retrieval.labels import builtin_sentences, describe_file, read_bank, sentence_vectors, showing

    sentences = (read_bank(bank) if bank is not None else builtin_sentences()).sentences
    chosen = _chosen(files, where)
    if bank is None:
        say(
            _("chosen from {count} built-in sentences; --bank FILE chooses from your own, a sentence a line").format(
                count=len(sentences)
            )
        )
    with native_libraries_silenced(), _opened(settings_for(collection, device), files, collection, model) as source:
        _say_if_cut(sentences, source.embedder)
        with progress_display(N_("texts")) as show:
            vectors = sentence_vectors(sentences, source.embedder, cache=label_cache(), progress=counting(show))

        def lines(file: "FileVectors") -> Iterator[str]:
            for found in describe_file(file, sentences, vectors, k):
                if fmt is LabelFormat.jsonl:
                    yield showing.sentences_json(found)
                else:
                    yield from map(_cells, showing.sentences_rows(found))

        unread = _print_all(source, files, chosen, lines)
    _leave(unread)


def _chosen(files: Sequence[str] | None, where: str) -> "Where | None":
    """Read the filter.

    Raises:
        OptionError: files are given as well.
    """
    from retrieval.errors import OptionError
    from retrieval.query import parse_where

    if files and where:
        raise OptionError(_("--where chooses from the collection; give either files or --where"))
    return parse_where(where)


@contextmanager
def _opened(
    settings: "Settings", files: Sequence[str] | None, named: Path | None, model: str | None
) -> "Iterator[_Opened]":
    """Open the collection and its model; for files neither has to exist, unless it is named."""
    from retrieval.config import DEFAULT_MODEL
    from retrieval.embedding import embedder_for, open_embedder
    from retrieval.errors import CollectionNotFound, ModelError
    from retrieval.store import Collection

    try:
        opened = Collection.open(settings.collection)
    except CollectionNotFound:
        if not files or named is not None:
            raise
        yield _Opened(None, open_embedder(model or settings.model or DEFAULT_MODEL, settings.device))
        return
    with opened:
        if model is not None:
            embedder = open_embedder(model, settings.device)
            same = embedder.spec.fingerprint() == opened.manifest.spec.fingerprint()
            if not files:
                opened.check_model(embedder.spec)
            yield _Opened(opened if same else None, embedder)
            return
        try:
            source = _Opened(opened, embedder_for(opened.manifest.spec, settings.device))
        except ModelError as error:
            if not files or named is not None:
                raise
            say(_("the collection is not used: {reason}").format(reason=shown(retold(str(error)))))
            source = _Opened(None, open_embedder(settings.model or DEFAULT_MODEL, settings.device))
        yield source


def _fitting(given: "Calibration | None", embedder: "Embedder") -> "Calibration | None":
    """Return the calibration to use; when there is none for the model, say so once."""
    from retrieval.labels import builtin_calibration

    found = given if given is not None else builtin_calibration()
    if found is not None and found.fits(embedder.spec):
        return found
    if given is not None:
        reason = _("the calibration was made for another model or other prompts")
    else:
        reason = _("there is no calibration for model {name}").format(name=shown(embedder.spec.name))
    say(
        _(
            "the scores are cosines, not probabilities: {reason}; python -m retrieval.labels.calibrate makes one for "
            "--calibration FILE"
        ).format(reason=reason)
    )
    return None


def _say_text_notes(words: Sequence[str], embedder: "Embedder") -> None:
    """Say what the model makes of a user's words, as far as the first of them tell."""
    notes = dict.fromkeys(note for word in words[:_LOOKED_AT] for note in embedder.text_notes(word))
    for note in list(notes)[:_NOTES]:
        say(note)


def _say_if_cut(sentences: Sequence[str], embedder: "Embedder") -> None:
    cut = sum(1 for text in sentences if len(text) > _LONG and embedder.text_notes(text))
    if cut:
        say(
            _("{cut:,} of {count:,} sentences are longer than the model reads; only their beginnings count").format(
                cut=cut, count=len(sentences)
            )
        )


def _print_all(
    source: _Opened,
    files: Sequence[str] | None,
    where: "Where | None",
    lines: "Callable[[FileVectors], Iterator[str]]",
) -> "list[Unread]":
    """Print the labels of each file as they are known; return what could not be read."""
    from retrieval.labels import Unread, in_collection, of_files

    unread = []
    seen = 0
    if files:
        found: Iterator[FileVectors | Unread] = of_files(files, source.embedder, source.collection)
    else:
        assert source.collection is not None
        found = in_collection(source.collection, where)
    for file in found:
        if isinstance(file, Unread):
            unread.append(file)
            continue
        seen += 1
        for note in file.notes:
            say(_("noted of {path}: {reason}").format(path=shown(file.path), reason=retold(note)))
        for line in lines(file):
            typer.echo(line)
    if not seen and not unread and source.collection is not None:
        empty = not source.collection.count()
        say(
            _("the collection is empty; sightseek index FOLDER fills it")
            if empty
            else _("nothing found: the collection has nothing that --where selects")
        )
    sys.stdout.flush()
    return unread


def _cells(row: Sequence[str]) -> str:
    return "\t".join(row)


def _leave(unread: "list[Unread]") -> None:
    for file in unread:
        say(_("could not read {path}: {reason}").format(path=shown(file.path), reason=retold(file.reason)))
    if unread:
        raise typer.Exit(3)
