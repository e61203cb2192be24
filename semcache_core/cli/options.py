"""Options that commands of every distribution share."""

from __future__ import annotations

from pathlib import Path

import click

config_option = click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    help="The configuration; else semcache.toml, SEMCACHE_CONFIG or the defaults, as everywhere.",
)
"""``--config FILE``, as the parameter ``file``."""
