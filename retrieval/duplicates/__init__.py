"""Files that are copies of one another, or alike: found and told, never touched."""

from retrieval.duplicates.finding import find_duplicates
from retrieval.duplicates.records import Group, Member

__all__ = ["Group", "Member", "find_duplicates"]
