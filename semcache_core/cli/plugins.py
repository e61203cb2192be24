"""``semcache plugins``: what is installed, by kind, and what does not work."""

from __future__ import annotations

import click

from semcache_core.cli.output import add_rows, console, table
from semcache_core.runtime.registry import KINDS, Kind, Registry


@click.command()
def plugins() -> None:
    """List every component that is installed, and every plugin that does not work.

    A component's name is what stands after `use =` in the configuration.
    """
    registry = Registry.installed()
    out = console()
    components = table("kind", "name", "from", "version", "what it is")
    out.print(add_rows(components, [row for kind in KINDS for row in _rows(registry, kind)]))
    if registry.failures:
        out.print()
        broken = table("does not work", "version", "stage", "reason")
        rows = [(each.distribution, each.version, each.stage, each.message) for each in registry.failures]
        out.print(add_rows(broken, rows))


def _rows(registry: Registry, kind: Kind) -> list[tuple[str, ...]]:
    offers = registry.offers(kind)
    names = [offer.component.name for offer in offers]
    title = kind.replace("_", " ")
    if not offers:
        return [(title, "(none)", "", "", "")]
    rows: list[tuple[str, ...]] = []
    for offer in offers:
        own = offer.component.name
        name = own if names.count(own) == 1 else f"{offer.distribution}/{own}"
        rows.append((title if not rows else "", name, offer.distribution, offer.version, offer.component.summary))
    return rows
