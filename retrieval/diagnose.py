"""What ``sightseek doctor`` looks at: the installation, the machine, the built-in model and the collection."""

import contextlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from retrieval.errors import CollectionNotFound, RetrievalError
from retrieval.messages import _

_NEEDED = ("numpy", "pillow", "pillow-heif", "av", "onnxruntime", "tokenizers", "sqlalchemy", "alembic")
_FAISS_BUILDS = ("faiss-cpu", "faiss-gpu", "faiss-gpu-cuvs", "faiss-gpu-cu12-cuvs", "faiss-gpu-cu13-cuvs")
_SAMPLED = 256
_SPARE_BYTES = 500_000_000


class Finding(NamedTuple):
    """One thing looked at; ``advice`` is empty when there is nothing to do."""

    name: str
    value: str
    ok: bool = True
    advice: str = ""


def examine(collection: Path) -> list[Finding]:
    """Look at everything; never raises for what it finds, since finding it is the point."""
    return [
        Finding(
            "python",
            _("{version} on {system}").format(
                version=platform.python_version(), system=f"{platform.system()} {platform.machine()}"
            ),
        ),
        Finding(_("processors"), _("{count} usable").format(count=len(_usable_processors()))),
        *_packages(),
        _faiss(),
        _onnxruntime(),
        _torch(),
        _sqlite(),
        _full_text(),
        _starter(),
        *_collection(collection),
        _space(collection),
    ]


def _usable_processors() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _packages() -> Iterator[Finding]:
    for package in _NEEDED:
        version = _version(package)
        if version is None:
            yield Finding(package, _("missing"), False, "pip install --force-reinstall sightseek")
        else:
            yield Finding(package, version)


def _faiss() -> Finding:
    builds = [f"{name} {version}" for name in _FAISS_BUILDS if (version := _version(name))]
    if not builds:
        return Finding("faiss", _("missing"), False, "pip install faiss-cpu")
    if len(builds) > 1:
        advice = _("these overwrite one another: pip uninstall -y faiss-cpu faiss-gpu-cuvs, then install one of them")
        return Finding("faiss", ", ".join(builds), False, advice)
    hint = ""
    if shutil.which("nvidia-smi") and builds[0].startswith("faiss-cpu"):
        hint = _("to search on the GPU: pip uninstall -y faiss-cpu && pip install faiss-gpu-cuvs")
    return Finding("faiss", builds[0], advice=hint)


def _onnxruntime() -> Finding:
    try:
        import onnxruntime
    except ImportError as error:
        return Finding(_("onnx providers"), str(error), False, "pip install --force-reinstall onnxruntime")
    names = [name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers()]
    return Finding(_("onnx providers"), ", ".join(names))


def _torch() -> Finding:
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("open_clip") is None:
        return Finding("openclip", _("not installed"), advice=_("for stronger models: pip install 'sightseek[clip]'"))
    return Finding(
        "openclip",
        _("{version} with torch {torch}").format(version=_version("open_clip_torch"), torch=_version("torch")),
    )


def _sqlite() -> Finding:
    version = sqlite3.sqlite_version
    ok = sqlite3.sqlite_version_info >= (3, 35)
    return Finding("sqlite", version, ok, "" if ok else _("use a Python whose SQLite is 3.35 or newer"))


def _full_text() -> Finding:
    try:
        with contextlib.closing(sqlite3.connect(":memory:")) as catalog:
            catalog.execute("CREATE VIRTUAL TABLE words USING fts5 (told, tokenize = 'unicode61 remove_diacritics 2')")
    except sqlite3.OperationalError as error:
        return Finding("sqlite fts5", str(error), False, _("use a Python whose SQLite was built with FTS5"))
    return Finding("sqlite fts5", _("words can be searched"))


def _starter() -> Finding:
    from retrieval.config import DEFAULT_MODEL
    from retrieval.embedding import check_files, model_folder, open_embedder

    try:
        folder = model_folder(DEFAULT_MODEL)
        problems = check_files(folder) if folder is not None else []
        if problems:
            return Finding("starter", problems[0], False, "pip install --force-reinstall sightseek")
        vectors = open_embedder(DEFAULT_MODEL).embed_texts(["a dog"])
    except RetrievalError as error:
        return Finding("starter", str(error), False, "pip install --force-reinstall sightseek")
    return Finding("starter", _("{count} numbers a vector, files as they were released").format(count=vectors.shape[1]))


def _collection(folder: Path) -> Iterator[Finding]:
    from retrieval.embedding.base import all_alike
    from retrieval.store import Collection

    name = _("collection")
    try:
        with Collection.open(folder) as opened:
            stats = opened.stats()
            # Nothing is nearer to nothing: this gives the oldest items, loads the index, and tells of damage.
            some = opened.search(np.zeros((1, opened.manifest.spec.dim), np.float32), _SAMPLED).keys[0]
            alike = all_alike(opened.vectors(some[some >= 0]))
            notes = list(opened.notes)
    except CollectionNotFound:
        yield Finding(name, _("none yet at {folder}").format(folder=folder), advice="sightseek index FOLDER")
        return
    except RetrievalError as error:
        yield Finding(name, str(error), False)
        return
    held = _("{files:,} files, {items:,} items, model {model}")
    yield Finding(name, held.format(files=stats.files, items=stats.items, model=stats.model))
    for note in notes:
        yield Finding(name, note, False, "sightseek verify --repair")
    if alike:
        advice = _("use another model: sightseek index --model NAME --reembed")
        found = _("all pictures have nearly the same vector, so searches mean nothing")
        yield Finding(_("vectors"), found, False, advice)
    for source in stats.sources:
        if source.offline:
            yield Finding(
                _("source"),
                _("{path} is offline").format(path=source.path),
                advice=_("mount it, or sightseek forget it"),
            )


def _space(folder: Path) -> Finding:
    place = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(place).free
    ok = free > _SPARE_BYTES
    return Finding(
        _("disk"),
        _("{size:,.1f} GB free").format(size=free / 1e9),
        ok,
        "" if ok else _("make room: an index run may not finish"),
    )
