"""The ``sqlite`` stores: answers and vectors in one file, shared by the processes of one machine."""

from .responses import SqliteResponseStore
from .vectors import SqliteVectorStore

__all__ = ["SqliteResponseStore", "SqliteVectorStore"]
