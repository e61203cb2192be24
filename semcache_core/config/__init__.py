"""Configuration: a TOML file and the environment over it, or a mapping, made into one frozen ``Config``."""

from semcache_core.config.load import load
from semcache_core.config.model import Choice, Config

__all__ = ["Choice", "Config", "load"]
