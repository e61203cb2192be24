"""The ``sqlite`` stores: answers and vectors in one file, shared by the processes of one machine."""

from semcache_core.builtin.sqlite.responses import SqliteResponseStore
from semcache_core.builtin.sqlite.vectors import SqliteVectorStore

__all__ = ["SqliteResponseStore", "SqliteVectorStore"]
