"""The program: its commands come from the hook ``semcache_commands`` and are imported when run."""

from __future__ import annotations

import logging
import sys
from typing import Any

import click

from semcache_core.config.problems import is_text
from semcache_core.errors import ConfigError, PluginError, SemcacheError
from semcache_core.runtime.registry import Offer, Registry
from semcache_core.runtime.validation import core_version

_REGISTRY = "semcache_core.runtime.registry"


class Failed(click.ClickException):
    """A command failed: one line, no traceback, exit status 1."""

    def show(self, file: Any = None) -> None:
        """Write the message to standard error."""
        click.echo(f"semcache: {self.message}", file=file, err=True)


class Misused(Failed):
    """The arguments or the configuration are wrong: exit status 2."""

    exit_code = 2


class Program(click.Group):
    """A group whose commands are the installed ones; listing them imports none of them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments of the program and its command. Raises Misused for one that is no text."""
        for text in args:
            if not is_text(text):
                raise Misused(f"the argument {text!r} has a byte that is not UTF-8")
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return every command's name, as ``distribution/name`` if two distributions offer it."""
        return [_name(ctx, offer) for offer in _registry(ctx).offers("commands")]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command. Raises Misused if it does not exist or cannot be imported."""
        try:
            command = _registry(ctx).load("commands", cmd_name)
        except SemcacheError as error:
            raise Misused(str(error)) from error
        if not isinstance(command, click.Command):
            raise Misused(f"command {cmd_name!r}: its factory is no click.Command; tell its maker")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from their summaries, without importing them."""
        rows = [(_name(ctx, offer), offer.component.summary) for offer in _registry(ctx).offers("commands")]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; expected errors are printed as one line."""
        try:
            return super().invoke(ctx)
        except (ConfigError, PluginError) as error:
            raise Misused(str(error)) from error
        except SemcacheError as error:
            raise Failed(str(error)) from error


def _registry(ctx: click.Context) -> Registry:
    """Return the registry of installed plugins, read once per run."""
    if _REGISTRY not in ctx.meta:
        ctx.meta[_REGISTRY] = Registry.installed()
    registry: Registry = ctx.meta[_REGISTRY]
    return registry


def _name(ctx: click.Context, offer: Offer) -> str:
    name = offer.component.name
    others = [each for each in _registry(ctx).offers("commands") if each.component.name == name]
    return f"{offer.distribution}/{name}" if len(others) > 1 else name


@click.command(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="What a command takes: semcache COMMAND --help",
)
@click.version_option(core_version(), prog_name="semcache-core")
def program() -> None:
    """The semantic cache for LLM and API answers."""
    log = logging.getLogger("semcache")
    if not any(isinstance(handler, _Lines) for handler in log.handlers):
        log.addHandler(_Lines())
        log.setLevel(logging.INFO)


class _Lines(logging.Handler):
    """Prints log records of the cache and its plugins as lines on standard error, for example while a model loads."""

    def emit(self, record: logging.LogRecord) -> None:
        # Not click.echo: a spinner replaces standard error, and click.echo writes to the stream below it, so the line
        # would continue the spinner's.
        sys.stderr.write(f"semcache: {record.getMessage()}\n")
