"""The schema of the file. A file of another ``VERSION`` is set aside and a new one created.

``responses.used`` orders entries by last use; it counts uses, not seconds, so clock changes do not matter.
``vectors.seq`` rises with every written vector and never repeats, and every deleted vector leaves a row in ``gone``:
from these two a process reads what others changed since its last look.
"""

from __future__ import annotations

import secrets
import sqlite3

APPLICATION_ID = 0x53454D43  # "SEMC"
VERSION = 1

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE responses (
    id BLOB PRIMARY KEY NOT NULL,
    keep_until REAL,
    used INTEGER NOT NULL DEFAULT 0,
    tags TEXT,
    data BLOB NOT NULL
);
CREATE INDEX responses_by_use ON responses (used);
CREATE INDEX responses_by_expiry ON responses (keep_until) WHERE keep_until IS NOT NULL;
CREATE TABLE stamps (tag TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE spaces (
    space INTEGER PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    dimensions INTEGER NOT NULL,
    prepared INTEGER NOT NULL,
    UNIQUE (fingerprint, dimensions)
);
CREATE TABLE vectors (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    space INTEGER NOT NULL,
    scope BLOB NOT NULL,
    id BLOB NOT NULL,
    keep_until REAL,
    vector BLOB NOT NULL,
    UNIQUE (id, space)
);
CREATE INDEX vectors_by_scope ON vectors (space, scope);
CREATE INDEX vectors_by_expiry ON vectors (keep_until) WHERE keep_until IS NOT NULL;
CREATE TABLE gone (seq INTEGER PRIMARY KEY AUTOINCREMENT, space INTEGER NOT NULL, id BLOB NOT NULL);
CREATE TRIGGER vector_gone AFTER DELETE ON vectors
BEGIN
    INSERT INTO gone (space, id) VALUES (old.space, old.id);
END;
"""


def create(connection: sqlite3.Connection, *, secret: bytes | None) -> None:
    """Create the tables in an empty file, in one transaction. ``secret`` is stored; None generates one."""
    connection.execute("BEGIN IMMEDIATE")
    for statement in _statements(_TABLES):
        connection.execute(statement)
    connection.execute("INSERT INTO meta VALUES ('secret', ?)", (secret or secrets.token_bytes(32),))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def is_ours(connection: sqlite3.Connection) -> bool:
    """Say whether the file is one of ours, of any version."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    return bool(application == APPLICATION_ID)


def is_current(connection: sqlite3.Connection) -> bool:
    """Say whether one of our files is of this version."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return bool(version == VERSION)


def is_empty(connection: sqlite3.Connection) -> bool:
    """Say whether the file has no content. Raises sqlite3.DatabaseError if it is damaged."""
    (objects,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return bool(objects == 0)


def probe(connection: sqlite3.Connection) -> None:
    """Read a row of every table, to find damage when the file is opened. Raises sqlite3.DatabaseError."""
    read_secret(connection)
    for table in ("responses", "stamps", "spaces", "vectors", "gone"):
        connection.execute(f"SELECT * FROM {table} LIMIT 1").fetchone()  # noqa: S608  names of our own


def read_secret(connection: sqlite3.Connection) -> bytes:
    """Return the secret stored in the file."""
    (secret,) = connection.execute("SELECT value FROM meta WHERE key = 'secret'").fetchone()
    return bytes(secret)


def _statements(script: str) -> list[str]:
    """Split a script; ``executescript`` would commit in between."""
    statements: list[str] = []
    text = ""
    for line in script.splitlines():
        text += line + "\n"
        if sqlite3.complete_statement(text):
            statements.append(text.strip())
            text = ""
    return statements
