"""``semcache demo``: watch the cache answer, on this machine."""

from __future__ import annotations

import os
import threading

import click
import httpx
from rich.console import Console

from semcache_proxy.demo.play import curl_line, play, staged
from semcache_proxy.demo.report import show
from semcache_proxy.demo.script import STEPS


@click.command()
@click.option("--upstream", metavar="URL", help="A real OpenAI-like server, instead of the demo's own stand-in.")
@click.option("--model", default="demo", show_default=True, help="The model to ask the upstream for.")
@click.option(
    "--without", multiple=True, type=click.Choice(["text-guard"]), help="Leave a verifier out and see what for."
)
@click.option("--keep", is_flag=True, help="Leave the proxy running afterwards, and print a curl line for it.")
def demo(upstream: str | None, model: str, without: tuple[str, ...], keep: bool) -> None:
    """Send a handful of requests through the real proxy and show what the cache made of each.

    With --upstream, OPENAI_API_KEY is the credential.
    """
    console = Console()
    key = os.environ.get("OPENAI_API_KEY") if upstream is not None else None
    try:
        with staged(console, upstream=upstream, model=model, key=key, without=without) as stage:
            show(console, STEPS, play(console, stage, STEPS))
            if keep:
                console.print("\nThe proxy keeps running; ask it yourself, and stop it with Ctrl-C:\n")
                click.echo(curl_line(stage))
                _wait_for_interrupt()
    except httpx.HTTPError as error:
        raise click.ClickException(f"a request through the proxy failed: {type(error).__name__}") from error


def _wait_for_interrupt() -> None:
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        return
