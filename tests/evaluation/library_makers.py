"""Makes small real collections for evaluations: files are decoded, embedded and stored as an index run does it."""

from collections.abc import Iterable
from pathlib import Path

from retrieval.config import Sampling
from retrieval.embedding import Embedder
from retrieval.embedding.stream import Embedded, Failed, Job, embed_stream
from retrieval.store import Collection, Entry


def make_collection(folder: Path, embedder: Embedder, sources: Iterable[Path]) -> Collection:
    """Make a collection of all files below the sources, open for writing."""
    collection = Collection.create(folder, embedder.spec)
    with collection.transaction() as writer:
        for root in sources:
            source = writer.add_source(root)
            paths = sorted(path for path in root.rglob("*") if path.is_file())
            for result in embed_stream(map(Job, paths), embedder, sampling=Sampling(), workers=1):
                found = result.job.path.stat()
                entry = Entry(result.job.path, found.st_size, found.st_mtime_ns)
                match result:
                    case Embedded():
                        writer.put(source.id, entry, result.info, result.digest, result.items, result.vectors)
                    case Failed():
                        writer.put_failed(source.id, entry, result.reason)
    return collection
