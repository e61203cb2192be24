"""The table at the end of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from .world import Result

_COLUMNS = (
    *("exact hit", "semantic hit", "joined", "stale", "stale on error", "miss", "bypass", "untouched"),
    *("only if cached", "left"),
)


def show(results: Mapping[str, list[Result]], *, seconds: float, console: Console) -> int:
    """Print what happened in each set-up and every fault; return the number of faults."""
    table = Table(title="requests by how they were answered", title_justify="left")
    table.add_column("set-up")
    for name in ("requests", *_COLUMNS, "crossings"):
        table.add_column(name, justify="right")
    everything: Counter[str] = Counter()
    faults: list[str] = []
    for name, worlds in results.items():
        kinds = sum((world.kinds for world in worlds), Counter[str]())
        found = [fault for world in worlds for fault in world.faults]
        table.add_row(name, *_figures(kinds, len(found)))
        everything += kinds
        faults += found
    table.add_section()
    table.add_row("all", *_figures(everything, len(faults)), style="bold")
    console.print(table)
    for fault in faults[:20]:
        console.print(fault, markup=False, highlight=False, soft_wrap=True)
    count = everything.total() - everything["left"]
    console.print(f"{count:,} requests in {seconds:,.0f} s ({count / seconds:,.0f}/s), crossings: {len(faults)}")
    return len(faults)


def _figures(kinds: Counter[str], faults: int) -> list[str]:
    return [f"{kinds.total() - kinds['left']:,}", *(f"{kinds[name]:,}" for name in _COLUMNS), str(faults)]
