"""``python -m tests.fuzz --minutes 60``: looks for inputs that break what reads untrusted bytes.

Run it in the root of the checkout, with every distribution and the group ``fuzz`` installed. Each target has its share
of the time; what is found is saved beside the seeds, where an ordinary test replays it.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from .watch import CORPUS, LONGEST, TARGETS

_STATUS = re.compile(r"#(\d+)\s+\w+\s+cov: (\d+) ft: (\d+) corp: (\d+)")
_MEMORY = 1024
_HANGS = 60


@click.command()
@click.option("--minutes", default=60.0, show_default=True, type=click.FloatRange(0, min_open=True))
@click.option("--target", "chosen", type=click.Choice(TARGETS), multiple=True, help="Only these; else all.")
@click.option("--corpus", type=click.Path(path_type=Path), help="Where to keep the inputs that reach new code.")
@click.option("--seed", default=1, show_default=True, type=int)
def main(minutes: float, chosen: tuple[str, ...], corpus: Path | None, seed: int) -> None:
    """Fuzz the targets one after another, and print what was reached and found."""
    console = Console()
    targets = chosen or TARGETS
    seconds = max(1, int(minutes * 60 / len(targets)))
    table = Table("target", "inputs", "a second", "branches", "features", "kept", "found")
    found: list[str] = []
    bar = (TextColumn("{task.description:14}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with tempfile.TemporaryDirectory(prefix="semcache-fuzz-") as folder, Progress(*bar, console=console) as progress:
        task = progress.add_task("", total=seconds * len(targets))
        for turn, target in enumerate(targets):
            progress.update(task, description=target, completed=turn * seconds)
            work = (corpus or Path(folder)) / target
            work.mkdir(parents=True, exist_ok=True)
            output = _run(target, work, seconds=seconds, seed=seed, tick=lambda: progress.advance(task, 1))
            lines = [line for line in output.splitlines() if line.startswith(("FOUND ", "==", "SUMMARY"))]
            found += lines
            table.add_row(target, *_figures(output, seconds), str(len(lines)))
    console.print(table)
    for line in found:
        console.print(line, markup=False, highlight=False)
    if found:
        raise SystemExit(1)


def _run(target: str, work: Path, *, seconds: int, seed: int, tick: Callable[[], None]) -> str:
    """Fuzz one target; return what libFuzzer and the target printed."""
    seeds = CORPUS / target
    command = [sys.executable, "-m", f"{__package__}.child", target, str(seeds)]
    command += [f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={LONGEST}", f"-rss_limit_mb={_MEMORY}"]
    command += [f"-timeout={_HANGS}", f"-artifact_prefix={seeds}/found-", "-print_final_stats=1", str(work), str(seeds)]
    with tempfile.TemporaryFile("w+") as output:
        child = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            while child.poll() is None:
                time.sleep(1)
                tick()
        finally:
            child.kill()
            child.wait()
        output.seek(0)
        return output.read()


def _figures(output: str, seconds: int) -> list[str]:
    """Return the last that libFuzzer told of itself: inputs, a second, branches, features, kept."""
    told: list[tuple[str, ...]] = _STATUS.findall(output)
    inputs, *others = told[-1] if told else ("0", "0", "0", "0")
    return [f"{int(inputs):,}", f"{int(inputs) / seconds:,.0f}", *others]


if __name__ == "__main__":
    main()
