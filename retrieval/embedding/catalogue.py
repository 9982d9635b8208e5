"""What ``models list`` shows and what ``models prepare`` does; listing needs neither torch nor the network."""

import importlib.util
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from retrieval.config import DEFAULT_MODEL
from retrieval.embedding import model_folder
from retrieval.embedding.folder import read_model_folder
from retrieval.embedding.names import ClipName, parse_name
from retrieval.embedding.recommended import RECOMMENDED, Figures
from retrieval.embedding.weights import cached_weights, hub_cache, hub_files, url_cache
from retrieval.errors import ModelError, ModelNotFound
from retrieval.messages import N_, _

_TIMEOUT_S = 10.0


class ModelRow(NamedTuple):
    """One line of ``models list``. ``size_mb`` is the size of the weights in megabytes, ``here`` whether they are
    on this machine; ``figures`` are published ones, ``None`` where none are known.
    """

    name: str
    dim: int
    size_mb: int
    here: bool
    note: str
    figures: Figures | None = None


def list_models() -> list[ModelRow]:
    """Return the built-in model and a short list of recommended OpenCLIP ones (any other can be named as well)."""
    rows = []
    try:
        folder = model_folder(DEFAULT_MODEL)
        found = read_model_folder(folder) if folder else None
    except ModelError:
        found = None
    if found is not None:
        size = sum(path.stat().st_size for path in found.path.iterdir() if path.is_file())
        rows.append(
            ModelRow(
                DEFAULT_MODEL,
                found.dim,
                round(size / 1e6),
                True,
                N_("built in: {description}").format(description=found.description),
            )
        )
    hub = importlib.util.find_spec("huggingface_hub") is not None
    for row in RECOMMENDED:
        here = hub and cached_weights({"hf_hub": row.hub}) is not None
        rows.append(ModelRow(row.name, row.dim, row.size_mb, here, row.note, row.figures))
    return rows


def prepare(name: str, report: Callable[[str], None]) -> Path:
    """Bring the weights of an OpenCLIP model to this machine: the only place that ever downloads.

    ``report`` is told, before anything is fetched, what, how much, and where to. Returns the file of weights (the
    folder, for a model that is one).

    Raises:
        ModelNotFound: unknown name, missing extra, or the hub cannot be reached within seconds.
        ModelError: the download broke off.
    """
    folder = model_folder(name)
    if folder is not None:
        report(_("{name} is in {folder}; there is nothing to fetch").format(name=name, folder=folder))
        return folder
    found = parse_name(name)
    if found.file is not None:
        report(_("{file} is a file at hand; there is nothing to fetch").format(file=found.file))
        return found.file
    from retrieval.embedding import towers

    open_clip = towers.load_libraries(name)[1]
    entry = {"hf_hub": found.hub + "/"} if found.hub else towers.published_entry(found, open_clip)
    weights = cached_weights(entry)
    if weights is None:
        _announce(found, entry, report)
        weights = towers.download(found, entry)
    else:
        report(_("the weights of {name} are already here: {weights}").format(name=name, weights=weights))
    towers.fetch_rest(found)
    return weights


def _announce(name: ClipName, entry: Mapping[str, object], report: Callable[[str], None]) -> None:
    """Find out size and reachability with one short request, and say what comes."""
    url, size = _reach(name, entry)
    place = hub_cache() if entry.get("hf_hub") else url_cache()
    much = _("{size:.0f} MB").format(size=size / 1e6) if size else _("size not stated")
    report(_("fetching {name} ({much}) from {url} to {place}").format(name=name.text, much=much, url=url, place=place))


def _reach(name: ClipName, entry: Mapping[str, object]) -> tuple[str, int]:
    """Return the address that answers and the size it states (0: none).

    Raises:
        ModelNotFound: none answers.
    """
    reason, url = "", ""
    for url in _addresses(entry):
        request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "sightseek"})
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
                return url, int(answer.headers.get("X-Linked-Size") or answer.headers.get("Content-Length") or 0)
        except urllib.error.HTTPError as error:
            reason = _("answers {code} {words}").format(code=error.code, words=error.reason)
        except (OSError, ValueError) as error:
            found = " ".join(str(getattr(error, "reason", error)).split())
            reason = _("cannot be reached ({reason:.80})").format(reason=found)
            break
    host = "/".join(url.split("/", 3)[:3]) or _("its source")
    if name.arch:
        advice = _("{host} {reason}; bring the weights of {name} ({url}) by hand and use --model '{name}@FILE'")
    else:
        advice = _(
            "{host} {reason}; bring the weights of {name} ({url}) by hand with its open_clip_config.json and use "
            "--model FOLDER"
        )
    raise ModelNotFound(advice.format(host=host, reason=reason, name=name.text, url=url))


def _addresses(entry: Mapping[str, object]) -> Iterator[str]:
    place, url = str(entry.get("hf_hub") or ""), str(entry.get("url") or "")
    if place:
        from huggingface_hub import hf_hub_url

        for file in hub_files(place):
            yield hf_hub_url(file.repo, file.name)
    elif url:
        yield url
