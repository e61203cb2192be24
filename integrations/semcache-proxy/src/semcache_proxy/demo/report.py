"""The demo's table: it shows only facts of the answers."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from .exchange import Seen, Step
from .script import MEANINGS

_COLOURS = {"HIT": "green", "STALE": "green", "MISS": "yellow", "BYPASS": "magenta"}


def show(console: Console, steps: Sequence[Step], seen: Sequence[Seen]) -> None:
    """Print the table, the meaning of its reasons, and the savings."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, title_justify="left", title_style="bold")
    table.title = "what each HTTP answer said"
    table.add_column("request")
    for heading in ("outcome", "reason"):
        table.add_column(heading, no_wrap=True)
    for heading in ("similarity", "latency", "tokens\nsaved"):
        table.add_column(heading, justify="right", no_wrap=True)
    for step, answer in zip(steps, seen, strict=True):
        table.add_row(f"[bold]{step.shows}[/bold]\n{step.caller}: {step.prompt}", *_cells(answer))
    console.print(table)
    for reason in dict.fromkeys(answer.reason for answer in seen):
        if reason in MEANINGS:
            console.print(f"  [bold]{reason}[/bold]: {MEANINGS[reason]}")
    console.print("  [bold]latency[/bold]: until the first byte of the answer's body")
    hits = [answer for answer in seen if answer.saved is not None]
    saved = sum(answer.saved or 0 for answer in hits)
    console.print(f"\n{len(hits)} of {len(seen)} requests never reached the upstream; {saved} tokens saved.")


def _cells(answer: Seen) -> tuple[str, ...]:
    colour = _COLOURS.get(answer.outcome, "white")
    outcome = answer.outcome if answer.status == 200 else f"{answer.outcome} ({answer.status})"
    return (
        f"[{colour}]{outcome}[/{colour}]",
        answer.reason,
        "" if answer.similarity is None else f"{answer.similarity:.3f}",
        f"{answer.milliseconds:.1f} ms",
        "" if answer.saved is None else str(answer.saved),
    )
