"""What was found, or all that a collection holds, as files of other kinds: copies, tables, vectors."""

from retrieval.exports.files import Made, Unread, export_files
from retrieval.exports.gathered import Gathered, gather_all, gather_hits, whole_files
from retrieval.exports.tables import write_csv, write_jsonl, write_parquet
from retrieval.exports.vectors import write_npz

__all__ = [
    "Gathered",
    "Made",
    "Unread",
    "export_files",
    "gather_all",
    "gather_hits",
    "whole_files",
    "write_csv",
    "write_jsonl",
    "write_npz",
    "write_parquet",
]
