"""The options of both stores: the file and its maximum size."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from semcache_core.protocols import Options
from semcache_core.settings import Bytes


class FileOptions(Options, frozen=True):
    """The options of the shared file; give both stores the same."""

    path: Annotated[
        str, Meta(min_length=1, description="The file. Stores and processes that name the same one share it.")
    ] = ".semcache/semcache.db"
    max_bytes: Annotated[
        Bytes,
        Meta(ge=65536, description="Size of the file, answers and vectors together; least recently used go first."),
    ] = 1024 * 1024 * 1024


class SqliteResponseOptions(FileOptions, frozen=True):
    """``[response_store] use = "sqlite"``."""


class SqliteVectorOptions(FileOptions, frozen=True):
    """``[vector_store] use = "sqlite"``."""

    max_memory: Annotated[
        Bytes, Meta(ge=1, description="Memory for vectors; scopes searched least recently leave it first.")
    ] = 256 * 1024 * 1024
