"""Configuration files: one is a configuration, or a ConfigError that says where the mistake is."""

from __future__ import annotations

import tempfile
from pathlib import Path

from semcache_core.config import Config, load
from semcache_core.errors import ConfigError

_FOLDER = tempfile.TemporaryDirectory(prefix="semcache-fuzz-")
_FILE = Path(_FOLDER.name) / "semcache.toml"


def check(data: bytes) -> None:
    """Load the bytes as a file."""
    _FILE.write_bytes(data)
    loaded = _loaded()
    if isinstance(loaded, Config):
        assert "hunter2" not in repr(loaded)
    else:
        assert _FILE.name in loaded or loaded.startswith("$HUSH: "), f"it does not say where the mistake is: {loaded}"
        assert "hunter2" not in loaded, f"it quotes a secret: {loaded}"


def _loaded() -> Config | str:
    """Return the configuration, or the message of the error."""
    try:
        return load(_FILE, environ={"HUSH": "hunter2 " * 4})
    except ConfigError as error:
        return str(error)
