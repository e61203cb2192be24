"""``semcache check``: the settings and components of a configuration, with defaults and the origin of each value."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
from msgspec import inspect
from rich.console import Console

from semcache_core.cli.entries import exists, opened_alone
from semcache_core.cli.group import Failed
from semcache_core.cli.options import config_option
from semcache_core.cli.output import add_rows, console, table, value_text
from semcache_core.config import Config, load
from semcache_core.errors import ConfigError, SemcacheError
from semcache_core.protocols import Embedder
from semcache_core.runtime.assembly import Assembly, Made
from semcache_core.runtime.registry import NOUNS, Registry
from semcache_core.settings import CacheOptions, Policy, Secret

_ROUTE_SHOWS = ("mode", "match", "threshold", "ttl", "stale_while_revalidate", "stale_if_error", "max_body")


@click.command()
@click.argument("named", required=False, type=click.Path(path_type=Path), metavar="[FILE]")
@config_option
@click.option("--open", "opens", is_flag=True, help="Also open every component: loads the model, reads the stores.")
def check(named: Path | None, file: Path | None, opens: bool) -> None:
    """Say what FILE would run: every setting, its value and where it comes from; and why something would not.

    Without FILE: what `semcache.toml`, SEMCACHE_CONFIG or the defaults would run. Secrets are masked. Every component
    is imported and made, none is opened, unless --open is given. The exit status is 1 where something would not run.
    """
    if named is not None and file is not None:
        raise click.UsageError("name one file: as FILE or with --config")
    try:
        config = load(named or file)
    except ConfigError as error:
        raise Failed(str(error)) from error
    assembly = Assembly(config, Registry.installed())
    assembly.make_all()
    out = console()
    problems = list(assembly.problems.messages())
    _print_settings(out, config, assembly.made)
    if opens:
        problems += asyncio.run(_open_each(out, config, assembly.made))
    else:
        out.print("Components were made, not opened; --open also opens them and shows the thresholds.", style="dim")
    for notice in filter(None, (*assembly.notices, assembly.exact_only)):
        out.print(f"notice: {notice}", style="yellow", markup=False, soft_wrap=True)
    if problems:
        click.echo(f"\nwould not run, {len(problems)} problem{'s' if len(problems) > 1 else ''}:", err=True)
        for problem in problems:
            click.echo(f"  {problem}", err=True)
        raise SystemExit(1)


def _print_settings(out: Console, config: Config, made: list[Made]) -> None:
    shown = table("setting", "value", "from")
    for name, core in (("semcache", config.cache), ("http", config.http), ("limits", config.limits)):
        add_rows(shown, list(_rows(config, name, core)))
    for each in made:
        choice = each.choice
        owner = f"{NOUNS[each.kind]}, {each.offer.distribution} {each.offer.version}"
        place = config.place_of(choice.named_at)
        add_rows(shown, [("", "", "")])
        alone = choice.named_at == f"{choice.path}.use"
        row = (choice.named_at, f'"{choice.use}" ({owner})', place) if alone else (choice.path, f"({owner})", place)
        add_rows(shown, [row])
        add_rows(shown, list(_rows(config, choice.path, each.options)))
    for number, route in enumerate(config.routes):
        given = [row for row in _rows(config, f"route[{number}]", route) if row[2] != "default"]
        own = [(path, options) for each in made for path, options in each.route_options if _is_below(path, number)]
        given += [row for path, options in own for row in _rows(config, path, options) if row[2] != "default"]
        add_rows(shown, [("", "", ""), *given])
    for number, rule in enumerate(config.normalise):
        add_rows(shown, [("", "", ""), *_rows(config, f"normalise[{number}]", rule)])
    out.print(shown)
    out.print()


def _is_below(path: str, route: int) -> bool:
    return path.startswith(f"route[{route}].")


def _rows(config: Config, path: str, options: msgspec.Struct) -> Iterator[tuple[str, str, str]]:
    for field in msgspec.structs.fields(options):
        place = f"{path}.{field.encode_name}"
        value = getattr(options, field.name)
        if isinstance(value, msgspec.Struct):
            yield from _rows(config, place, value)
            continue
        text = str(Secret("")) if config.hides(place) else value_text(value, inspect.type_info(field.type))
        yield place, text, config.place_of(place)


async def _open_each(out: Console, config: Config, made: list[Made]) -> list[str]:
    """Open and close each component in turn; return the errors of those that cannot be opened."""
    problems: list[str] = []
    for each in made:
        name, where = f"{NOUNS[each.kind]} {each.choice.use!r}", config.where(each.choice.named_at)
        try:
            if not exists(each.component):
                out.print(f"not there yet, made at the first start: {name}", markup=False)
                continue
            async with opened_alone(each.component, each.kind):
                out.print(f"opened: {name}", markup=False)
                if each.kind == "embedders":
                    _print_policies(out, config, each.component)
        except (SemcacheError, OSError) as error:
            problems.append(f"{where}: {name} cannot be opened: {error}")
        except Exception as error:  # noqa: BLE001  a plugin's code may raise anything, and check must report it
            problems.append(f"{where}: {name} cannot be opened: {type(error).__name__}: {error}")
    return problems


def _print_policies(out: Console, config: Config, embedder: Embedder) -> None:
    out.print(f"  fingerprint: {embedder.fingerprint}", markup=False)
    out.print(f"  dimensions: {embedder.dimensions}, window: {embedder.max_tokens} tokens", markup=False)
    policies = config.policies(embedder)
    shown = table("route", *_ROUTE_SHOWS)
    everywhere = ("(all others)", policies.base)
    for name, policy in (*((suffix.decode(), policy) for suffix, policy in policies.routes), everywhere):
        add_rows(shown, [(name, *_policy_cells(policy))])
    out.print(shown)


def _policy_cells(policy: Policy) -> list[str]:
    kinds = {field.name: inspect.type_info(field.type) for field in msgspec.structs.fields(CacheOptions)}
    return [value_text(getattr(policy, name), kinds[name]) for name in _ROUTE_SHOWS]
