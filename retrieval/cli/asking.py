"""What is asked of a collection: the options that every command with a query has, and asking them."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Concatenate, NamedTuple, ParamSpec, get_type_hints

import typer

from retrieval.cli.dashes import MARK
from retrieval.cli.options import CollectionOption, DeviceOption, LikeOption, MinusOption, say, settings_for
from retrieval.cli.quiet import native_libraries_silenced
from retrieval.messages import _, retold

if TYPE_CHECKING:
    from retrieval.config import SearchOptions
    from retrieval.search import Searcher
    from retrieval.store import Collection
    from retrieval.types import Cutting, Hits, Query

Own = ParamSpec("Own")


class Sort(StrEnum):
    """The order in which the best hits are shown."""

    score = "score"
    date = "date"
    path = "path"
    video = "video"


class FusionName(StrEnum):
    """How the parts of a query come together."""

    early = "early"
    rrf = "rrf"
    scores = "scores"
    hybrid = "hybrid"


class MatchName(StrEnum):
    """What a query is compared with."""

    visual = "visual"
    words = "words"
    both = "both"


class Hidden(StrEnum):
    """How alike a hit must be to a better one to be hidden."""

    none = "none"
    exact = "exact"
    identical = "identical"
    similar = "similar"


@dataclass(frozen=True)
class Request:
    """A query with its options as they stand on the command line; what is added here, each of ``asks`` takes."""

    text: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TEXT]...", help='Words; -word takes away; "a dog" + 0.5:"snow" - "people" mixes.'),
    ] = None
    collection: CollectionOption = None
    like: LikeOption = None
    minus: MinusOption = None
    where: Annotated[
        str, typer.Option("--where", metavar="EXPR", help="A filter: kind:video date:last-30-days rating>=4 ...")
    ] = ""
    k: Annotated[int, typer.Option("-k", min=1, help="How many hits.")] = 10
    offset: Annotated[int, typer.Option("--offset", min=0, help="Skip this many hits first.")] = 0
    per_video: Annotated[
        int, typer.Option("--per-video", metavar="N", min=1, help="How many moments of one video at most.")
    ] = 3
    sort: Annotated[
        Sort, typer.Option("--sort", help="Order of the best k: by score, date or path, or each video's together.")
    ] = Sort.score
    cut: Annotated[
        str,
        typer.Option(
            "--cut",
            metavar="none|auto|SCORE",
            help="Leave out what is not relevant: decided for each query (auto, auto:0.01), or below a score.",
        ),
    ] = "none"
    fusion: Annotated[
        FusionName, typer.Option("--fusion", help="How parts come together: as vectors, by ranks, by scores, or both.")
    ] = FusionName.early
    match: Annotated[
        MatchName, typer.Option("--match", help="Find by looks, by words of names and descriptions, or by both.")
    ] = MatchName.visual
    lang: Annotated[
        str, typer.Option("--lang", metavar="LANG", help="The language of the words: en, zh ...; else guessed.")
    ] = ""
    prompt: Annotated[
        str,
        typer.Option("--prompt", metavar="NAME", help="Put words into a sentence: none, photo, ensemble, or your own."),
    ] = "none"
    hide_duplicates: Annotated[
        Hidden,
        typer.Option("--hide-duplicates", help="Fold hits that are copies of a better one, or like it, into it."),
    ] = Hidden.none
    device: DeviceOption = None


class Asking(NamedTuple):
    """An open collection with its model, and the options of a request."""

    collection: "Collection"
    searcher: "Searcher"
    options: "SearchOptions"


class Answer(NamedTuple):
    """What a request found in an open collection; ``nothing`` is what to say when it found nothing, else empty."""

    collection: "Collection"
    hits: "Hits"
    nothing: str


def asks(command: Callable[Concatenate[Request, Own], None]) -> Callable[..., None]:
    """Give a command the options of ``Request`` before its own; it is called with the request they make."""
    hints = get_type_hints(Request, include_extras=True)
    fields = dataclasses.fields(Request)
    keyword = inspect.Parameter.KEYWORD_ONLY
    shared = [inspect.Parameter(one.name, keyword, default=one.default, annotation=hints[one.name]) for one in fields]
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]

    @functools.wraps(command)
    def run(*args: Own.args, **given: Own.kwargs) -> None:
        request = Request(**{one.name: given.pop(one.name) for one in fields})  # type: ignore[arg-type]
        command(request, *args, **given)

    parameters = [*shared, *(one.replace(kind=keyword) for one in own)]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def query_of(request: Request) -> "Query":
    """Read the query of a request.

    Raises:
        QueryError: it cannot be understood.
    """
    from retrieval.query import parse_query

    return parse_query(
        joined(request.text or []), like=request.like or [], minus=request.minus or [], where=request.where
    )


@contextmanager
def answered(request: Request, *, explain: bool = False) -> Iterator[Answer]:
    """Ask a request of its collection, say what there is to note, and keep the collection open for the block.

    ``explain`` asks what each part of the query added to each score.

    Raises:
        RetrievalError: as ``Collection.open``, ``embedder_for`` and ``Searcher.search``.
    """
    query = query_of(request)
    with asking(request, explain=explain, briefly=True) as (collection, searcher, options):
        hits = searcher.search(query, request.k, options)
        for note in (*collection.notes, *hits.notes):
            say(retold(note))
        yield Answer(collection, hits, "" if hits.hits else nothing_found(collection, hits))


@contextmanager
def asking(request: Request, *, explain: bool = False, briefly: bool = False) -> Iterator[Asking]:
    """Open the collection of a request, with its model, for the block; ``briefly`` where only one query is asked.

    Raises:
        RetrievalError: as ``Collection.open`` and ``embedder_for``.
    """
    settings = settings_for(request.collection, request.device)
    from retrieval.config import Cut, SearchOptions
    from retrieval.embedding import embedder_for
    from retrieval.embedding.languages import parse_language
    from retrieval.embedding.polyglot import Polyglot
    from retrieval.embedding.prompts import prompt_named
    from retrieval.store import Collection

    language = parse_language(request.lang) if request.lang else None
    options = SearchOptions(
        offset=request.offset,
        per_video=request.per_video,
        sort=request.sort.value,
        explain=explain,
        prompt=prompt_named(request.prompt, settings.prompts),
        hide_duplicates=request.hide_duplicates.value,
        fusion=request.fusion.value,
        match=request.match.value,
        cut=Cut.parse(request.cut),
    )
    with native_libraries_silenced(), Collection.open(settings.collection) as opened:
        # Words of the model's own language, most likely; for others it would be the wrong text tower.
        ahead = briefly and request.match is not MatchName.words and any(text.isascii() for text in request.text or [])
        embedder = Polyglot(embedder_for(opened.manifest.spec, settings.device, briefly=ahead), language)
        # Deciding what is relevant asks a score of queries more.
        opened.use(settings.device, briefly=briefly and options.cut.kind != "auto")
        from retrieval.search import Searcher

        searcher = Searcher(opened, embedder)
        if ahead:
            opened.refresh()  # while the text tower is read
        yield Asking(opened, searcher, options)


def joined(words: list[str]) -> str:
    """Join the shell's words to the text of a query.

    The shell has taken the quotes off by now: with a bare ``+`` or ``-`` among the words, what stands between the signs
    is one quoted part each, and several words behind a minus (``-"red umbrella"``) are taken away together.
    """
    if len(words) > 1:
        words = [_quoted_again(word) for word in words]
    if not any(word in ("+", "-") for word in words):
        return " ".join(words)
    from retrieval.query import quote_part

    pieces: list[str] = []
    part: list[str] = []
    for word in [*words, "+"]:
        if word in ("+", "-"):
            if part:
                pieces.append(quote_part(" ".join(part)))
            pieces.append(word)
            part = []
        else:
            part.append(word)
    return " ".join(pieces[:-1])


def _quoted_again(word: str) -> str:
    """Put quotes around several words that a minus takes away, unless they are a formula of their own."""
    away = word.removeprefix(MARK + "-")
    if away == word or len(away.split()) < 2 or any(one in away for one in '"('):
        return word
    return f'{MARK}-"{away}"'


def nothing_found(collection: "Collection", hits: "Hits") -> str:
    """Return what to say when a search found nothing."""
    if hits.cut is not None and not hits.cut.relevant:
        return _nothing_relevant(hits.cut, hits.searched)
    if not collection.count():
        return _("the collection is empty; sightseek index FOLDER fills it")
    if not hits.searched:
        return _("nothing found: the collection has nothing that --where selects")
    return _("nothing found")


def _nothing_relevant(cut: "Cutting", searched: int) -> str:
    if cut.p_value is None:
        message = _("nothing scores {least:g} or more: the best of {count:,} items has {best:.4f}")
        return message.format(least=cut.limit, count=searched, best=cut.best)
    message = _(
        "nothing relevant: {share:.1%} of queries for what is not there look as good, more than the {rate:.1%} allowed "
        "(--cut auto:RATE); --cut none shows the nearest all the same"
    )
    return message.format(share=cut.p_value, rate=cut.limit)
