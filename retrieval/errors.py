"""What can go wrong, as one tree; every message is one line that says what to do.

::

    RetrievalError                 exit code 1 on the command line
    ├── MediaError                 a file that cannot be read: recorded with its reason, never the end of a run
    ├── OptionError                a setting or option with a value that makes no sense (exit code 2)
    ├── QueryError                 a query or a filter that cannot be understood (exit code 2)
    ├── ModelError                 a model that cannot be opened
    │   ├── ModelNotFound          no such model, or its weights are not on this machine
    │   └── ModelMismatch          the collection was made with another model
    ├── CollectionError            a collection that cannot be used
    │   ├── CollectionNotFound     nothing has been indexed there yet
    │   ├── CollectionLocked       another process is writing to it
    │   ├── CollectionTooNew       it was written by a newer version
    │   └── CollectionCorrupt      its catalog is damaged
    ├── OutputError                results that cannot be written where they were to go
    └── DatasetError               an evaluation or training set that cannot be read
"""


class RetrievalError(Exception):
    """Base of all errors meant for the user; ``str`` is one line that says what is wrong and what to do."""

    exit_code = 1


class MediaError(RetrievalError):
    """A picture or video that cannot be decoded."""


class OptionError(RetrievalError):
    """A setting or an option whose value makes no sense."""

    exit_code = 2


class QueryError(RetrievalError):
    """A query or filter that cannot be understood."""

    exit_code = 2


class ModelError(RetrievalError):
    """A model that cannot be opened or run."""


class ModelNotFound(ModelError):
    """No model of that name, or its weights are not on this machine."""


class ModelMismatch(ModelError):
    """The collection's vectors were made by another model than the one asked for."""


class CollectionError(RetrievalError):
    """A collection that cannot be used."""


class CollectionNotFound(CollectionError):
    """The folder holds no collection."""


class CollectionLocked(CollectionError):
    """Another process is writing to the collection."""


class CollectionTooNew(CollectionError):
    """The collection was written by a newer version of sightseek."""


class CollectionCorrupt(CollectionError):
    """The catalog of the collection is damaged."""


class OutputError(RetrievalError):
    """Results that cannot be written where they were to go."""


class DatasetError(RetrievalError):
    """A folder of pictures and captions that cannot be read."""
