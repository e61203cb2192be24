"""``python -m tests.crossing --requests 1000000 --seed 1``: does any caller ever get what is not theirs?

Run it in the root of the checkout, with every distribution and the test group installed.
"""

from __future__ import annotations

import sys
import time

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from .plan import WORLD, in_processes, quiet, worlds
from .report import show
from .setups import SETUPS
from .world import Run, run

_NAMES = [setup.name for setup in SETUPS]


@click.command()
@click.option("--requests", default=100_000, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=1, show_default=True, type=int, help="Equal seeds send equal requests.")
@click.option("--jobs", default=2, show_default=True, type=click.IntRange(1), help="Processes.")
@click.option("--setup", "name", type=click.Choice(_NAMES), help="Only this set-up.")
@click.option("--world", type=int, help="Only this world of the set-up, to repeat a failure.")
@click.option("--hazards/--no-hazards", default=True, show_default=True, help="Also what caches usually fail at.")
def main(requests: int, seed: int, jobs: int, name: str | None, world: int | None, hazards: bool) -> None:
    """Send randomised requests of many callers, and compare each answer with what its caller may see."""
    console = Console(width=None if sys.stdout.isatty() else 170)
    setups = [setup for setup in SETUPS if name in (None, setup.name)]
    plan = list(worlds(requests, seed, setups=setups, hazards=hazards))
    began = time.monotonic()
    if world is not None:
        quiet()
        results = {each.name: [run(Run(each, seed, world, min(requests, WORLD), hazards))] for each in setups}
    else:
        bar = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*bar, TimeRemainingColumn(), console=console) as progress:
            task = progress.add_task("requests", total=sum(each.requests for each in plan))
            results = in_processes(plan, processes=jobs, on_progress=lambda count: progress.advance(task, count))
    if show(results, seconds=time.monotonic() - began, console=console):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
