"""``semcache plugins``: the installed components, by kind, and the broken plugins."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import click

from semcache_core.cli.options import config_option
from semcache_core.cli.output import add_rows, console, table
from semcache_core.config import load
from semcache_core.runtime.assembly import Assembly
from semcache_core.runtime.registry import KINDS, Kind, Offer, Registry


@click.command()
@config_option
def plugins(file: Path | None) -> None:
    """List every component that is installed, and every plugin that does not work.

    A component's name is the value of `use =` in the configuration. With --config, the components in use are marked.
    """
    registry = Registry.installed()
    used = _used(file, registry) if file is not None else []
    out = console()
    components = table("kind", "name", "from", "version", "what it is", *(("in use",) if file is not None else ()))
    out.print(add_rows(components, [row for kind in KINDS for row in _rows(registry, kind, used)]))
    if registry.failures:
        out.print()
        broken = table("does not work", "version", "stage", "reason")
        rows = [(each.distribution, each.version, each.stage, each.message) for each in registry.failures]
        out.print(add_rows(broken, rows))


def _used(file: Path, registry: Registry) -> list[Offer]:
    """Return the components that the configuration uses, with defaults; its mistakes are reported by `check`."""
    assembly = Assembly(load(file), registry)
    assembly.make_all()
    return [made.offer for made in assembly.made]


def _rows(registry: Registry, kind: Kind, used: Collection[Offer]) -> list[tuple[str, ...]]:
    offers = registry.offers(kind)
    names = [offer.component.name for offer in offers]
    title = kind.replace("_", " ")
    if not offers:
        return [(title, "(none)", "", "", "")]
    rows: list[tuple[str, ...]] = []
    for offer in offers:
        own = offer.component.name
        name = own if names.count(own) == 1 else f"{offer.distribution}/{own}"
        mark = ("yes",) if offer in used else ()
        row = (title if not rows else "", name, offer.distribution, offer.version, offer.component.summary)
        rows.append((*row, *mark))
    return rows
