"""Vector indexes in a file that says what it holds."""

import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from retrieval.config import IndexSpec
from retrieval.messages import _
from retrieval.store import durable, exact, seal
from retrieval.store.flat import Flat, Miscounted, faiss_module, read_flat, write_flat
from retrieval.store.listed import Listed, beginning_of, read_lists
from retrieval.store.records import Mark
from retrieval.store.seal import IndexDamaged, Seal, Sealing
from retrieval.types import FloatMatrix, Keys

if TYPE_CHECKING:
    from retrieval.store.approximate import Approximate


def save(path: Path, index: "Flat | Approximate", at: Mark) -> None:
    """Write an index to its file, sealed with the generation it has; vectors beside it go first.

    Raises:
        CollectionError: it cannot be written; the former file stays.
    """
    if isinstance(index, Flat):
        durable.replace(path, lambda file: _write(file, index, at))
        path.with_name(exact.FILE).unlink(missing_ok=True)
        return
    index.exact.flush()

    def both(file: BinaryIO) -> None:
        """Give the vectors beside it their name last, so that a kill finds two files of one training."""
        _write(file, index, at)
        file.flush()
        os.fsync(file.fileno())
        index.exact.settle()

    durable.replace(path, both)


def pass_through(path: Path, count: int, blocks: Iterable[tuple[Keys, FloatMatrix]], at: Mark) -> bool:
    """Write an exact index of ``count`` vectors that come in blocks with their keys, without holding them.

    Returns whether there were so many, else the former file stays.

    Raises:
        CollectionError: it cannot be written; the former file stays.
    """

    def write(file: BinaryIO) -> None:
        sealing = Sealing(file)
        write_flat(sealing.write, at.dim, count, blocks)
        sealing.end(Seal(at.lineage, at.model_id, at.generation, count, at.dim))

    try:
        durable.replace(path, write)
    except Miscounted:
        return False
    path.with_name(exact.FILE).unlink(missing_ok=True)
    return True


def _write(file: BinaryIO, index: "Flat | Approximate", at: Mark) -> None:
    """Write the index as FAISS does, followed by a seal that ``faiss.read_index`` does not look at."""
    if isinstance(index, Flat):
        sealing = Sealing(file)
        index.write(sealing.write)
    else:
        faiss = faiss_module()
        sealing = Sealing(file, beginning_of(index.dim, index.spec.lists) if index.spec.kind == "ivfpq" else 0)
        faiss.write_index(index.codes, faiss.PyCallbackIOWriter(sealing.write))
    sealing.end(Seal(at.lineage, at.model_id, at.generation, index.total, index.dim))


def load(path: Path, at: Mark, spec: IndexSpec) -> "tuple[Flat | Approximate, Seal]":
    """Read an index and check it against its seal, and the vectors beside it against both.

    Raises:
        FileNotFoundError: there is no file.
        IndexDamaged: it was cut short or changed, or is of another kind than ``spec`` says.
    """
    # FAISS takes about as long to import as the checksum takes to compute, which needs no lock of Python's.
    ahead = threading.Thread(target=faiss_module) if spec.kind != "flat" else None
    if ahead is not None:
        ahead.start()
    try:
        with path.open("rb") as file:
            found = seal.check(file)
            flat = read_flat(file, found.dim, found.vectors)
            if flat is not None:
                return flat, found
            file.seek(0)
            return _read(file, path, at, spec, found), found
    finally:
        if ahead is not None:
            ahead.join()


def load_briefly(path: Path, at: Mark, spec: IndexSpec) -> "tuple[Flat | Approximate | Listed, Seal]":
    """Do what ``load`` does, without FAISS where it can be left out; good for a few queries.

    Raises:
        FileNotFoundError, IndexDamaged: as ``load``.
    """
    if spec.kind == "ivfpq":
        with path.open("rb") as file:
            lists = read_lists(file, at.dim, spec.lists)
            if lists is not None:
                # The codes are not read, and the keys are held against those of the vectors and of the catalog.
                found = seal.check_beginning(file, beginning_of(at.dim, spec.lists))
                if len(lists.keys) != found.vectors:
                    raise IndexDamaged(_("it holds something else than it says"))
                return Listed(spec, lists, _beside(path, at, found, np.sort(lists.keys))), found
    return load(path, at, spec)


def _read(file: BinaryIO, path: Path, at: Mark, spec: IndexSpec, found: Seal) -> "Flat | Approximate":
    from retrieval.store.approximate import Approximate, ids_of, spec_of

    faiss = faiss_module()
    try:
        codes = faiss.read_index(faiss.PyCallbackIOReader(file.read))
    except RuntimeError as error:
        raise IndexDamaged(_("it is no FAISS index")) from error
    if codes.ntotal != found.vectors or codes.d != found.dim:
        raise IndexDamaged(_("it holds something else than it says"))
    if isinstance(codes, faiss.IndexIDMap2) and isinstance(faiss.downcast_index(codes.index), faiss.IndexFlat):
        return Flat.adopting(codes)
    own = spec_of(codes, spec)
    if own is None:
        raise IndexDamaged(_("it is of another kind than the catalog says"))
    return Approximate(own, codes, _beside(path, at, found, ids_of(codes)))


def _beside(path: Path, at: Mark, found: Seal, keys: Keys) -> exact.Exact:
    """Return the vectors beside an index that holds these keys, ascending."""
    try:
        beside = exact.load(path.with_name(exact.FILE), at, found.vectors)
    except FileNotFoundError:
        raise IndexDamaged(_("{name} is missing").format(name=exact.FILE)) from None
    if not np.array_equal(keys, beside.all_keys):
        raise IndexDamaged(_("it does not belong to {name}").format(name=exact.FILE))
    return beside
