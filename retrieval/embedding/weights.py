"""Where weights of published models lie on this machine, and their digests; never downloads."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from retrieval.config import model_cache

# What OpenCLIP asks the hub for when a model states no file name, in its order.
_HUB_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
_CHECKPOINTS = (*_HUB_FILES, "open_clip_pytorch_model.safetensors", "model.safetensors", "pytorch_model.bin")


class HubFile(NamedTuple):
    """One file of a repository of the Hugging Face hub."""

    repo: str
    name: str


def hub_files(place: str) -> Iterator[HubFile]:
    """Yield what to look for, best first, for OpenCLIP's ``org/name/file`` (or ``org/name/``) notation."""
    repo, _, name = place.rpartition("/")
    if not name:
        yield from (HubFile(repo, file) for file in _HUB_FILES)
        return
    if name == "open_clip_pytorch_model.bin":
        yield HubFile(repo, "open_clip_model.safetensors")
    elif name.endswith((".bin", ".pth")):
        yield HubFile(repo, name[:-4] + ".safetensors")
    yield HubFile(repo, name)


def cached_weights(published: Mapping[str, object]) -> Path | None:
    """Return the file of a published model (an entry of OpenCLIP's table) if it is on this machine."""
    place, url = str(published.get("hf_hub") or ""), str(published.get("url") or "")
    if place:  # OpenCLIP prefers the hub; what it once kept of plain addresses is of an older format
        return next(filter(None, map(cached_hub_file, hub_files(place))), None)
    path = url_cache() / url.rsplit("/", 1)[-1]
    return path if url and path.is_file() else None


def cached_hub_file(file: HubFile) -> Path | None:
    """Return the path of a hub file in the local cache, or None. Needs ``huggingface_hub`` (it comes with OpenCLIP)."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(file.repo, file.name)
    return Path(found) if isinstance(found, str) and Path(found).is_file() else None


def hub_cache() -> Path:
    """Return the folder of the hub's cache."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def url_cache() -> Path:
    """Return the folder where OpenCLIP keeps weights that are published at a plain address."""
    return Path("~/.cache/clip").expanduser()


def checkpoint_in(folder: Path) -> Path | None:
    """Return the weights beside an ``open_clip_config.json``, by OpenCLIP's usual names, or the only checkpoint."""
    for name in _CHECKPOINTS:
        if (folder / name).is_file():
            return folder / name
    others = sorted(path for path in folder.iterdir() if path.suffix in (".safetensors", ".bin", ".pth", ".pt"))
    return others[0] if len(others) == 1 else None


def file_digest(path: Path, notebook: Path | None = None) -> str:
    """Return the SHA-256 (hex) of a file of weights.

    Gigabytes are not hashed at each start: the digest is remembered by path, size and mtime in ``digests.json`` of the
    user's cache (``notebook``).

    Raises:
        OSError: the file cannot be read. An unwritable cache is no error.
    """
    path = path.resolve()
    stat = path.stat()
    mark = [stat.st_size, stat.st_mtime_ns]
    notebook = notebook or model_cache().parent / "digests.json"
    known = _read(notebook)
    entry = known.get(str(path))
    if isinstance(entry, list) and entry[:2] == mark and len(entry) == 3:
        return str(entry[2])
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    _write(notebook, {**known, str(path): [*mark, digest]})
    return digest


def _read(notebook: Path) -> dict[str, object]:
    try:
        found = json.loads(notebook.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(notebook: Path, known: Mapping[str, object]) -> None:
    try:
        notebook.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=notebook.parent, prefix=".digests-")
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(known, stream, indent=1)
        Path(name).replace(notebook)
    except OSError:
        return
