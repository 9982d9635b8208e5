"""``manifest.json``: what a collection was made with, for people and other programs. The catalog decides."""

import json
from dataclasses import asdict
from pathlib import Path

from retrieval.store import durable
from retrieval.store.records import Manifest

FILE = "manifest.json"


def render(manifest: Manifest) -> bytes:
    """Return the file's content."""
    data = {
        "version": manifest.version,
        "created_at": manifest.created_at,
        "model": manifest.spec.to_json(),
        "sampling": asdict(manifest.sampling),
        "index": asdict(manifest.index),
    }
    return json.dumps(data, indent=2).encode() + b"\n"


def is_current(folder: Path, manifest: Manifest) -> bool:
    """Say whether the file says what the catalog says."""
    try:
        return (folder / FILE).read_bytes() == render(manifest)
    except OSError:
        return False


def write(folder: Path, manifest: Manifest) -> None:
    """Write the file unless it is current.

    Raises:
        CollectionError: it cannot be written.
    """
    if not is_current(folder, manifest):
        durable.replace(folder / FILE, lambda file: file.write(render(manifest)))
