"""The ``semcache`` program: lazy commands, clean errors, and what each command says."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import textwrap
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from semcache_core import SemanticCache
from semcache_core.cli.group import program
from semcache_core.errors import EmbedderUnavailable
from semcache_core.remedies import pip_install
from semcache_core.runtime.registry import Registry
from semcache_core.runtime.validation import core_version
from semcache_core.testing import CountingEmbedder

WORDS = """
from semcache_core.plugin import Component, hookimpl

@hookimpl
def semcache_embedders():
    return [Component("words", factory="words_embedder:Words", summary="words, hashed")]

@hookimpl
def semcache_commands():
    return [Component("wave", factory="words_embedder:wave", summary="wave a hand")]
"""
WORDS_EMBEDDER = """
import click
from semcache_core.protocols import Options
from semcache_core.testing import CountingEmbedder

class Words(CountingEmbedder):
    Options = Options

    def __init__(self, options):
        super().__init__()

@click.command()
def wave():
    click.echo("o/")
"""
CONFIG = """
[semcache]
namespace = "bot"
jitter = 0

[embedder]
use = "words"

[vector_store]
use = "sqlite"
path = "cache.db"

[response_store]
use = "sqlite"
path = "cache.db"

[http]
identity_secret = { env = "CLI_SECRET" }

[[route]]
path = "/ask"
ttl = "never"
"""

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install another distribution's embedder and command, and stand in a directory with a configuration."""
    site = tmp_path / "site"
    info = site / "semcache_words-0.3.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: semcache-words\nVersion: 0.3\n")
    (info / "entry_points.txt").write_text("[semcache]\nwords = words_plugin\n")
    (site / "words_plugin.py").write_text(WORDS)
    (site / "words_embedder.py").write_text(WORDS_EMBEDDER)
    monkeypatch.syspath_prepend(str(site))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("CLI_SECRET", "hunter2-hunter2-hunter2-hunter2-")
    Path("my.toml").write_text(CONFIG)


@pytest.fixture
def run() -> Run:
    """Run the program in this process."""
    return lambda *arguments: CliRunner().invoke(program, arguments)


def _break_a_plugin(tmp_path: Path) -> None:
    info = tmp_path / "site" / "semcache_broken-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: semcache-broken\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[semcache]\nbroken = no_such_module_here\n")


# -- the program ------------------------------------------------------------------------------------------------------


def test_the_help_lists_the_commands_of_every_distribution_without_importing_them(run: Run) -> None:
    result = run("--help")

    assert result.exit_code == 0
    assert "wave     wave a hand" in result.output
    assert "check    say what a configuration would run" in result.output
    assert "words_embedder" not in sys.modules


def test_a_command_of_another_distribution_runs(run: Run) -> None:
    assert run("wave").output == "o/\n"
    assert run("semcache-words/wave").output == "o/\n"


def test_what_is_logged_while_a_spinner_turns_stands_on_a_line_of_its_own(run: Run) -> None:
    run("plugins")
    terminal = Console(file=StringIO(), force_terminal=True, color_system=None)
    with terminal.status("a moment") as status:
        status.update(spinner="line")  # Draws it.
        logging.getLogger("semcache.test").warning("loading")
    assert "\x1b[2Ksemcache: loading\n" in terminal.file.getvalue()  # type: ignore[attr-defined]


def test_an_unknown_command_is_one_line_with_a_suggestion_and_exit_status_2(run: Run) -> None:
    result = run("chekc")

    assert result.exit_code == 2
    assert result.stderr.startswith("semcache: no command named 'chekc'; installed: 'check'")
    assert result.stderr.endswith("; did you mean 'check'?\n")


def test_serve_without_the_proxy_says_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    # The real program in an interpreter that sees the core only.
    code = "import sys; sys.argv = ['semcache', 'serve']; from semcache_core.cli import main; main()"
    core = """
    import importlib.metadata as metadata
    found = [each for each in metadata.distributions() if each.name == "semcache-core"]
    import semcache_core.runtime.registry as registry
    registry.distributions = lambda: found
    """

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(core) + code], capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert done.stderr == (
        "semcache: no command named 'serve'; installed: 'check', 'explain', 'plugins', 'purge', 'stats'; "
        f"it comes with: {pip_install('semcache-proxy')}\n"
    )


def test_without_click_the_program_says_what_to_install() -> None:
    code = """
import importlib.util as util
real = util.find_spec
util.find_spec = lambda name: None if name == "click" else real(name)
from semcache_core.cli import main
main()
"""

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert done.stderr == f"semcache: click not installed: {pip_install('semcache-core[cli]')}\n"


def test_a_wrong_configuration_is_one_line_without_a_traceback_and_exit_status_2(run: Run) -> None:
    Path("bad.toml").write_text("[semcache]\ntll = 3\n")

    for command in (("stats", "--config", "bad.toml"), ("purge", "--everything", "--config", "bad.toml")):
        result = run(*command)

        assert result.exit_code == 2
        assert result.stderr == "semcache: bad.toml: semcache.tll: unknown option; did you mean 'ttl'?\n"


# -- plugins ----------------------------------------------------------------------------------------------------------


def test_plugins_lists_components_by_kind_with_owner_and_version(run: Run) -> None:
    lines = [line.split() for line in run("plugins").output.splitlines()]

    assert any(line[:2] == ["embedders", "onnx"] or "words" in line for line in lines)
    assert ["words", "semcache-words", "0.3", "words,", "hashed"] in [line[-5:] for line in lines]
    assert any(line[:1] == ["sqlite"] and line[1] == "semcache-core" for line in lines)


def test_plugins_shows_what_does_not_work_and_why(run: Run, tmp_path: Path) -> None:
    _break_a_plugin(tmp_path)

    result = run("plugins")

    assert result.exit_code == 0
    (line,) = (line for line in result.output.splitlines() if line.startswith("semcache-broken"))
    assert line.split()[1:3] == ["1", "import"]
    assert "No module named 'no_such_module_here'" in line


def test_plugins_writes_a_name_offered_twice_with_its_distribution(run: Run, tmp_path: Path) -> None:
    info = tmp_path / "site" / "other_words-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-words\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[semcache]\nwords = other_words_plugin\n")
    (tmp_path / "site" / "other_words_plugin.py").write_text(WORDS)

    result = run("plugins")

    assert "other-words/words" in result.output
    assert "semcache-words/words" in result.output
    assert run("wave").stderr.startswith("semcache: command 'wave' is offered by other-words 1 and semcache-words 0.3")


# -- check ------------------------------------------------------------------------------------------------------------


def _settings(output: str) -> dict[str, list[str]]:
    rows = [line.split() for line in output.splitlines()]
    return {row[0]: row[1:] for row in rows if row and "." in row[0]}


def test_check_prints_every_setting_with_its_value_and_its_origin(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEMCACHE_LIMITS__DRAIN", "1s")

    result = run("check", "my.toml")

    assert result.exit_code == 0, result.stderr
    settings = _settings(result.output)
    assert settings["semcache.namespace"] == ['"bot"', "my.toml"]
    assert settings["semcache.ttl"] == ['"1d"', "default"]
    assert settings["semcache.max_body"] == ['"4', 'MiB"', "default"]
    assert settings["limits.drain"] == ['"1s"', "$SEMCACHE_LIMITS__DRAIN"]
    assert settings["embedder.use"] == ['"words"', "(embedder,", "semcache-words", "0.3)", "my.toml"]
    assert settings["vector_store.path"] == ['"cache.db"', "my.toml"]
    assert settings["route[0].ttl"] == ['"never"', "my.toml"]
    assert settings["key_extractors.openai-chat.turns"] == ['"exact-prefix"', "default"]


def test_check_shows_what_a_route_says_to_an_extractor(run: Run) -> None:
    text = Path("my.toml").read_text()
    Path("my.toml").write_text(text + 'json = { text = "$.q" }\n')

    result = run("check", "my.toml")

    assert result.exit_code == 0, result.stderr
    settings = _settings(result.output)
    assert settings["route[0].json.text"] == ['"$.q"', "my.toml"]
    assert "route[0].json.methods" not in settings, "it is a default"


def test_check_masks_secrets(run: Run) -> None:
    result = run("check", "my.toml")

    assert "hunter2" not in result.output
    assert _settings(result.output)["http.identity_secret"] == ["********", "$CLI_SECRET"]


def test_check_masks_whatever_comes_from_a_variable_and_passwords_in_addresses(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOMETHING", "x-hush")
    Path("my.toml").write_text(
        '[semcache]\nnamespace = "redis://me:hunter2@host/0"\n[http]\nignore_headers = ["x-a", { env = "SOMETHING" }]\n'
    )

    settings = _settings(run("check", "my.toml").output)

    assert settings["semcache.namespace"] == ['"redis://me:********@host/0"', "my.toml"]
    assert settings["http.ignore_headers"] == ["********", "my.toml"]


def test_check_shows_tables_inside_tables_and_masks_the_keys_of_tokens(run: Run) -> None:
    Path("my.toml").write_text(
        '[http.jwt]\nclaims = ["sub"]\nalgorithms = ["HS256"]\nkey = "hunter2, and more than 32 bytes of it"\n'
        '[[route]]\npath = "/ask"\ncompare = { after = "Question:" }\n'
    )

    result = run("check", "my.toml")

    settings = _settings(result.output)
    assert "hunter2" not in result.output + result.stderr
    assert settings["http.jwt.key"] == ["********", "my.toml"]
    assert settings["http.jwt.claims"] == ['["sub"]', "my.toml"]
    assert settings["route[0].compare.after"] == ['"Question:"', "my.toml"]


def test_check_without_a_file_says_what_the_defaults_would_run(run: Run) -> None:
    settings = _settings(run("check").output)

    assert settings["vector_store.use"] == [
        '"sqlite"',
        "(vector",
        "store,",
        "semcache-core",
        f"{core_version()})",
        "default",
    ]


def test_check_opens_nothing_unless_it_is_asked_to(run: Run) -> None:
    assert run("check", "my.toml").exit_code == 0
    assert not Path("cache.db").exists()

    result = run("check", "--open", "my.toml")

    assert result.exit_code == 0, result.stderr
    assert not Path("cache.db").exists()
    assert "not there yet, made at the first start: response store 'sqlite'" in result.output
    assert "opened: embedder 'words'" in result.output
    assert "fingerprint: counting/1/64" in result.output
    assert ["/ask", '"on"', '"semantic"', "0.9", '"never"', "0", "0", '"4', 'MiB"'] in [
        line.split() for line in result.output.splitlines()
    ]


def test_check_tells_every_reason_why_something_would_not_run_and_exits_with_1(run: Run, tmp_path: Path) -> None:
    _break_a_plugin(tmp_path)
    Path("my.toml").write_text(
        '[embedder]\nuse = "wods"\n[vector_store]\nuse = "memory"\nmax_bites = 3\n[response_store]\nuse = "memory"\n'
    )

    result = run("check", "my.toml")

    assert result.exit_code == 1
    assert "would not run, 2 problems:" in result.stderr
    assert "no embedder named 'wods' (my.toml: embedder.use)" in result.stderr
    assert "did you mean 'words'?" in result.stderr
    assert "a plugin does not work: semcache-broken 1 (import)" in result.stderr
    assert "my.toml: vector_store.max_bites: unknown option; did you mean 'max_bytes'?" in result.stderr
    assert "response_store.use" in result.output


def test_check_of_a_file_that_cannot_be_read_at_all_exits_with_1(run: Run) -> None:
    result = run("check", "nowhere.toml")

    assert (result.exit_code, result.stderr) == (1, "semcache: nowhere.toml: there is no such file\n")


def test_check_open_says_what_cannot_be_opened(run: Run) -> None:
    Path("cache.db").mkdir()

    result = run("check", "--open", "my.toml")

    assert result.exit_code == 1
    assert "my.toml: response_store.use: response store 'sqlite' cannot be opened: " in result.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("stats", "--config", "my.toml"),
        ("purge", "--config", "my.toml", "--everything"),
        ("check", "my.toml", "--open"),
    ],
)
def test_a_file_that_a_command_finds_damaged_is_told_and_left_as_it_is(run: Run, command: tuple[str, ...]) -> None:
    Path("cache.db").write_bytes(b"no database at all" * 100)

    result = run(*command)

    assert result.exit_code == 1
    assert result.stderr.count("cache.db is not a database; it was left as it is") >= 1
    assert Path("cache.db").read_bytes() == b"no database at all" * 100
    assert sorted(path.name for path in Path().iterdir()) == ["cache.db", "my.toml"]


def test_check_shows_notices(run: Run) -> None:
    Path("my.toml").write_text('[semcache]\nmatch = "exact"\n[verifiers]\nuse = []\n')

    result = run("check", "my.toml")

    assert "notice: no verifier is in use" in result.output
    assert result.exit_code == 0


# -- stats ------------------------------------------------------------------------------------------------------------


def _fill(**stored: dict[str, Any]) -> None:
    """Store answers through the public API: prompt -> what ``store`` is told besides."""

    async def fill() -> None:
        async with SemanticCache.from_toml("my.toml") as cache:
            for prompt, options in stored.items():
                assert await cache.store(prompt.replace("_", " "), "an answer", **options)

    asyncio.run(fill())


def test_stats_counts_what_the_store_holds(run: Run) -> None:
    _fill(what_is_the_capital_of_France={}, where_is_my_parcel_today={}, how_do_I_reset_it={"ttl": 0.001})

    counted = json.loads(run("stats", "--config", "my.toml", "--json").output)

    assert counted["entries"] == 3
    assert counted["exact_only"] == 1
    assert counted["expired"] == 1
    assert counted["bytes"] > 30
    assert counted["oldest"] <= counted["newest"]


def test_stats_of_an_empty_store_says_where_else_to_ask(run: Run) -> None:
    result = run("stats", "--config", "my.toml")

    assert ["entries", "0"] in [line.split() for line in result.output.splitlines()]
    assert "ask it with --url" in result.output


class _Proxy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        allowed = self.path == "/.semcache/stats" and self.headers["semcache-debug"] == "token"
        counted = {"hits": {"exact": 1200}, "hit_rate": 0.5, "bypasses": {"no-identity": 3, "of-next-year": 1}}
        body = json.dumps(counted).encode() if allowed else b"{}"
        self.send_response(200 if allowed else 403)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None: ...


@pytest.fixture
def proxy() -> Any:
    """Serve the statistics page of a proxy that wants a token."""
    server = HTTPServer(("127.0.0.1", 0), _Proxy)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_stats_asks_a_running_proxy(run: Run, proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEMCACHE_DEBUG_TOKEN", "token")

    lines = [line.split() for line in run("stats", "--url", proxy).output.splitlines()]

    assert ["hits:", "exact", "1,200"] in lines
    assert ["hit", "rate", "0.5"] in lines


def test_stats_says_what_a_reason_code_means_and_what_to_do(
    run: Run, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEMCACHE_DEBUG_TOKEN", "token")

    output = run("stats", "--url", proxy).output

    assert "bypasses: no-identity 3 Nothing in the request says who asks" in " ".join(output.split())
    assert "http.identity_add" in output
    assert ["bypasses:", "of-next-year", "1"] in [line.split() for line in output.splitlines()]


def test_stats_of_a_proxy_that_wants_a_token_says_so(run: Run, proxy: str) -> None:
    result = run("stats", "--url", proxy)

    assert result.exit_code == 1
    assert result.stderr.endswith("answered 403 Forbidden; set SEMCACHE_DEBUG_TOKEN\n")


@pytest.mark.parametrize(
    ("status", "hint"),
    [(404, "Not Found; is it a semcache proxy?"), (503, "; its cache is not open: the proxy's log says why")],
)
def test_stats_of_a_server_that_has_none_says_what_to_look_at(
    run: Run, proxy: str, monkeypatch: pytest.MonkeyPatch, status: int, hint: str
) -> None:
    monkeypatch.setattr(_Proxy, "do_GET", lambda self: self.send_error(status))

    result = run("stats", "--url", proxy)

    assert result.exit_code == 1
    assert result.stderr.endswith(f"{hint}\n")


def test_stats_of_a_proxy_that_is_not_there_is_one_line(run: Run) -> None:
    result = run("stats", "--url", "http://127.0.0.1:9")

    assert result.exit_code == 1
    assert "http://127.0.0.1:9/.semcache/stats gave no statistics" in result.stderr
    assert "is a proxy running there?" in result.stderr


def test_stats_asks_no_other_scheme(run: Run) -> None:
    assert "begins with http:// or https://" in run("stats", "--url", "file:///etc/passwd").stderr


# -- purge ------------------------------------------------------------------------------------------------------------


def _entries(run: Run) -> int:
    return int(json.loads(run("stats", "--config", "my.toml", "--json").output)["entries"])


def _found(prompt: str, **options: Any) -> bool:
    async def find() -> bool:
        async with SemanticCache.from_toml("my.toml") as cache:
            return bool(await cache.lookup(prompt, **options))

    return asyncio.run(find())


def test_purge_changes_nothing_without_yes(run: Run) -> None:
    _fill(what_is_the_capital_of_France={}, where_do_parcels_go_to={})

    result = run("purge", "--everything", "--config", "my.toml")

    assert result.output == "would forget 2 of 2 entries; nothing was changed, --yes does it\n"
    assert _entries(run) == 2


def test_purge_of_an_empty_store_says_where_else_answers_may_be(run: Run) -> None:
    assert "is known to its own process only" in run("purge", "--config", "my.toml", "--everything").output


def test_purge_by_tag_forgets_the_entries_with_that_tag(run: Run) -> None:
    _fill(what_is_the_capital_of_France={"tags": ["geo"]}, where_do_parcels_go_to={"tags": ["post"]})

    assert "would forget 1 of 2" in run("purge", "--tag", "geo", "--config", "my.toml").output
    assert run("purge", "--tag", "geo", "--yes", "--config", "my.toml").output == "forgot 1 of 2 entries\n"

    assert _entries(run) == 1
    assert not _found("what is the capital of France")
    assert _found("where do parcels go to")


def test_purge_by_namespace_leaves_the_others(run: Run) -> None:
    _fill(what_is_the_capital_of_France={}, where_do_parcels_go_to={"namespace": "other"})

    assert run("purge", "--namespace", "other", "--yes", "--config", "my.toml").output == "forgot 1 of 2 entries\n"

    assert _found("what is the capital of France")
    assert not _found("where do parcels go to", namespace="other")


@pytest.mark.parametrize("what", [("--everything",), ("--tag", "geo")])
def test_a_process_that_is_running_never_serves_what_was_purged(run: Run, what: tuple[str, ...]) -> None:
    async def serve() -> list[bool]:
        async with SemanticCache.from_toml("my.toml") as cache:
            await cache.store("what is the capital of France", "Paris", tags=["geo"])
            before = await cache.lookup("what is the capital of France")
            await asyncio.to_thread(run, "purge", *what, "--yes", "--config", "my.toml")
            await asyncio.sleep(1.0)
            exact = await cache.lookup("what is the capital of France")
            near = await cache.lookup("what is the capital of France please")
            return [bool(found) for found in (before, exact, near)]

    assert asyncio.run(serve()) == [True, False, False]


def test_purge_needs_no_embedder(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def down(self: CountingEmbedder) -> CountingEmbedder:
        raise EmbedderUnavailable("the model is gone")

    _fill(what_is_the_capital_of_France={}, where_do_parcels_go_to={})
    monkeypatch.setattr(CountingEmbedder, "__aenter__", down)

    result = run("purge", "--everything", "--yes", "--config", "my.toml")

    assert (result.exit_code, result.stdout) == (0, "forgot 2 of 2 entries\n")
    assert "semcache: the model is gone; " in result.stderr
    assert _entries(run) == 0


def test_purge_of_a_store_that_is_out_of_reach_is_one_line(run: Run) -> None:
    Path("cache.db").symlink_to("nowhere/cache.db")

    result = run("purge", "--everything", "--yes", "--config", "my.toml")

    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert "cache.db" in result.stderr


def test_purge_before_takes_dates_and_ages(run: Run) -> None:
    _fill(what_is_the_capital_of_France={})

    assert "would forget 0 of 1" in run("purge", "--before", "7d", "--config", "my.toml").output
    assert "would forget 0 of 1" in run("purge", "--before", "2020-01-31", "--config", "my.toml").output
    assert "would forget 1 of 1" in run("purge", "--before", "2100-01-31T12:00", "--config", "my.toml").output


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "say what to forget: --tag, --namespace, --before or --everything"),
        (("--everything", "--tag", "x"), "--everything leaves nothing to select"),
        (("--before", "soon"), "--before wants a date such as 2026-01-31 or an age such as 7d, not 'soon'"),
    ],
)
def test_purge_refuses_what_it_does_not_understand(run: Run, arguments: tuple[str, ...], reason: str) -> None:
    result = run("purge", "--config", "my.toml", *arguments)

    assert result.exit_code == 2
    assert reason in result.stderr


# -- what every command shares ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["check", "explain", "plugins", "purge", "stats"])
def test_every_command_takes_the_configuration_by_the_same_option(name: str) -> None:
    command = Registry.installed().load("commands", name)

    assert [option for option in command.params if "--config" in option.opts and option.name == "file"]


def test_plugins_marks_what_a_configuration_uses(run: Run) -> None:
    rows = [line.split() for line in run("plugins", "--config", "my.toml").output.splitlines()]

    assert {row[-1] for row in rows if "sqlite" in row[:3]} == {"yes"}
    assert not {row[-1] for row in rows if "memory" in row[:3]} & {"yes"}


def test_check_takes_one_file(run: Run) -> None:
    assert run("check", "--config", "my.toml").exit_code == 0
    assert run("check", "my.toml", "--config", "my.toml").exit_code == 2


@pytest.mark.parametrize(
    "command",
    [
        ("stats",),
        ("purge", "--everything"),
        ("purge", "--everything", "--yes"),
        ("explain", "--prompt", "How do I reset my password?"),
    ],
    ids=" ".join,
)
def test_a_command_that_looks_makes_no_file(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)

    result = run(*command)

    assert result.exit_code == 0, result.stderr
    assert not (tmp_path / ".semcache").exists()
