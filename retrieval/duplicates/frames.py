"""Pictures that are frames of videos."""

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.duplicates.pictures import Outlines
from retrieval.duplicates.records import Counted
from retrieval.duplicates.suggesting import Shown
from retrieval.ranking.near import OUTLINE_ALIKE, looks, unlikeness
from retrieval.types import Keys, Where

if TYPE_CHECKING:
    from retrieval.store import Collection
    from retrieval.store.records import FileFacts

_NEIGHBOURS = 8
_PAIRS_AT_ONCE = 8192


class Frames:
    """Finds which of some pictures the frames of some videos look identical to."""

    def __init__(self, collection: "Collection", where: Where | None, files: "Sequence[FileFacts]") -> None:
        self._collection = collection
        self._files = {file.id: file for file in files}
        seen = collection.item_looks(where)
        ours = seen.known & np.isin(seen.file_ids, np.array(list(self._files), np.int64))
        self._keys, self._file_ids, self._at_s = seen.keys[ours], seen.file_ids[ours], seen.at_s[ours]
        self._signatures = seen.signatures[ours]
        sizes = [(self._files[one].width, self._files[one].height) for one in self._file_ids.tolist()]
        self._sizes = np.array(sizes, np.int64).reshape(-1, 2)

    def shown(self, progress: Counted) -> list[Shown]:
        """Return the videos that show pictures; each picture once a video, at the frame the model finds nearest."""
        from retrieval.store.neighbours import near_pairs

        moving = np.array([self._files[one].kind == "video" for one in self._file_ids.tolist()], bool)
        stills, frames = np.flatnonzero(~moving), np.flatnonzero(moving)
        rows, asking = (Outlines(self._signatures[places], self._sizes[places]) for places in (stills, frames))
        maybe = near_pairs(rows, OUTLINE_ALIKE, _NEIGHBOURS, asking, progress)
        frame, still = frames[maybe.one], stills[maybe.other]
        same = np.concatenate(
            [
                self._same(frame[first : first + _PAIRS_AT_ONCE], still[first : first + _PAIRS_AT_ONCE])
                for first in range(0, len(frame), _PAIRS_AT_ONCE)
            ]
            or [np.empty(0, bool)]
        )
        return self._by_video(frame[same].tolist(), still[same].tolist())

    def _same(self, one: Keys, other: Keys) -> NDArray[np.bool_]:
        mine, theirs = (looks(self._signatures[places], self._sizes[places]) for places in (one, other))
        return unlikeness(mine, theirs) <= 1

    def _by_video(self, frames: list[int], stills: list[int]) -> list[Shown]:
        best: dict[tuple[int, int], tuple[float, float]] = {}
        for frame, still in zip(frames, stills, strict=True):
            vectors = self._collection.vectors(self._keys[[frame, still]]).astype(np.float64)
            near = min(1.0, float(vectors[0] @ vectors[1]))
            pair = int(self._file_ids[frame]), int(self._file_ids[still])
            best[pair] = max(best.get(pair, (-1.0, 0.0)), (near, float(self._at_s[frame])))
        videos: dict[int, list[tuple[FileFacts, float, float]]] = defaultdict(list)
        for (video, still), (near, at_s) in best.items():
            videos[video].append((self._files[still], at_s, near))
        return [
            Shown(self._files[video], tuple(sorted(found, key=lambda one: (one[1], bytes(one[0].path)))))
            for video, found in videos.items()
        ]
