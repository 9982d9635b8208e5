"""The writer: brings a collection up to date with folders of pictures and videos.

``index`` does it once, ``watch`` goes on doing it. Reading is the API of ``retrieval``.
"""

from indexer.pipeline import index
from indexer.report import IndexOptions, Progress, Summary
from indexer.watch import watch

__all__ = ["IndexOptions", "Progress", "Summary", "index", "watch"]
