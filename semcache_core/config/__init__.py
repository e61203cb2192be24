"""Configuration: a TOML file and the environment over it, or a mapping, made into one frozen ``Config``."""

from .load import load
from .model import Choice, Config

__all__ = ["Choice", "Config", "load"]
