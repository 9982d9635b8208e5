"""All of sightseek from Python: make a collection, index a folder, search it, look at the hits, use the vectors.

python docs/example.py FOLDER COLLECTION       # FOLDER holds pictures or videos; COLLECTION is made if need be
"""

import sys
from pathlib import Path

from indexer import IndexOptions, Progress, index
from retrieval import Collection, CollectionNotFound, Searcher, SearchOptions, open_embedder, parse_query


def fill(folder: Path, where: Path) -> None:
    """Bring the collection up to date with the folder; only what is new is embedded."""
    embedder = open_embedder()  # the built-in model; or a folder, or "ViT-B-32/laion2b_s34b_b79k"
    try:
        collection = Collection.open(where, write=True)
    except CollectionNotFound:
        collection = Collection.create(where, embedder.spec)

    def show(progress: Progress) -> None:
        print(f"{progress.done} of {progress.total}", end="\r", file=sys.stderr)

    with collection:
        summary = index(collection, embedder, [folder], IndexOptions(exclude=("*.tmp",)), show)
        print(f"{summary.embedded} files embedded, {summary.same} unchanged, {len(summary.failed)} failed")
        for path, reason in summary.failed:  # a bad file is a value, never the end of a run
            print(f"  {path}: {reason}")


def look(where: Path) -> None:
    """Ask in words, with a filter, by an item that was found, and by a mix of both."""
    with Searcher.open(where) as searcher:
        found = searcher.search("a red circle", k=3)
        print(f"among {found.searched} items:")
        for hit in found.hits:
            moment = "" if hit.at_s is None else f" at {hit.at_s:.1f} s ({hit.start_s:.1f}-{hit.end_s:.1f})"
            print(f"  {hit.rank}. {hit.score:.3f} {Path(hit.path).name}{moment}")

        query = parse_query('"a red circle" - 0.5:"a blue square"', like=[found.hits[0].item], where="kind:image")
        print(query)
        for hit in searcher.search(query, k=2, options=SearchOptions(explain=True)).hits:
            print(f"  {Path(hit.path).name}: " + ", ".join(f"{one.share:+.3f}" for one in hit.shares))

        best = [hit for _, hit in zip(range(5), searcher.iterate("a red circle"), strict=False)]
        vectors = searcher.collection.vectors([hit.key for hit in best])  # (5, dim) float32, rows of length 1
        words = searcher.embedder.embed_texts(["a red circle", "a blue square"])
        print(f"which of two names fits better: {(vectors @ words.T).argmax(axis=1)}")


if __name__ == "__main__":
    fill(Path(sys.argv[1]), Path(sys.argv[2]))
    look(Path(sys.argv[2]))
