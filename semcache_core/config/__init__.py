"""Configuration: a TOML file overridden by the environment, or a mapping, as one frozen ``Config``."""

from semcache_core.config.load import load
from semcache_core.config.model import Choice, Config

__all__ = ["Choice", "Config", "load"]
