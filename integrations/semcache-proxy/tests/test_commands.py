"""``semcache serve`` and ``semcache demo``, as somebody types them."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from rich.console import Console

from semcache_core.cli.group import program
from semcache_core.errors import ConfigError, SemcacheError
from semcache_proxy.commands.serve import is_loopback, read_headers
from semcache_proxy.demo.exchange import Seen
from semcache_proxy.demo.play import curl_line, play, staged
from semcache_proxy.demo.report import show
from semcache_proxy.demo.script import STEPS
from semcache_proxy.listening import is_itself
from semcache_proxy.occupant import occupant
from semcache_proxy.upstream import Upstream

CONFIG = """
[semcache]
match = "exact"
[vector_store]
use = "memory"
[response_store]
use = "memory"
"""
SAME_NAME = """
from semcache_core.plugin import Component, hookimpl

@hookimpl
def semcache_verifiers():
    return [Component("text-guard", factory="somewhere:Else", summary="has the name of a built-in")]
"""


@contextlib.contextmanager
def command(name: str, *arguments: str, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a command of the proxy in a process of its own; killed at the end if it still runs."""
    with subprocess.Popen(
        [sys.executable, "-c", "from semcache_core.cli import main; main()", name, *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def wait_for(url: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            httpx.get(url)
        except httpx.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


# -- serve ------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def stalling(go_on: threading.Event, *, rest: bytes) -> Iterator[str]:
    """Serve half an answer, and ``rest`` once it may go on; then hang up."""

    def answer(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n")
            go_on.wait(20)
            connection.sendall(rest)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, args=(listener,))
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        go_on.set()
        thread.join(20)


def test_a_running_stream_is_finished_before_a_terminated_proxy_ends(tmp_path: Path) -> None:
    (tmp_path / "semcache.toml").write_text(CONFIG)
    go_on = threading.Event()
    port = free_port()
    with (
        stalling(go_on, rest=b"4\r\nmore\r\n0\r\n\r\n") as upstream,
        command("serve", "--upstream", upstream, "--port", str(port), cwd=tmp_path) as process,
    ):
        wait_for(f"http://127.0.0.1:{port}/.semcache/health")
        with httpx.stream("GET", f"http://127.0.0.1:{port}/v1/stream") as answer:
            pieces = answer.iter_bytes()
            assert next(pieces) == b"half"
            process.send_signal(signal.SIGTERM)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.5)
            go_on.set()
            assert b"".join(pieces) == b"more"
        process.wait(20)


def test_an_upstream_that_breaks_off_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "semcache.toml").write_text(CONFIG)
    go_on = threading.Event()
    port = free_port()
    with (
        stalling(go_on, rest=b"") as upstream,
        command("serve", "--upstream", upstream, "--port", str(port), cwd=tmp_path) as process,
    ):
        assert process.stdout is not None
        next(line for line in process.stdout if "->" in line)
        with httpx.stream("GET", f"http://127.0.0.1:{port}/v1/stream") as answer:
            go_on.set()
            with pytest.raises(httpx.RemoteProtocolError):
                answer.read()
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == f"semcache: {upstream} broke off its answer (RemoteProtocolError)\n"


def test_an_answer_that_is_cut_off_at_the_end_is_told_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "semcache.toml").write_text(CONFIG)
    port = free_port()
    with (
        stalling(threading.Event(), rest=b"") as upstream,
        command("serve", "--upstream", upstream, "--port", str(port), "--drain", "1", cwd=tmp_path) as process,
    ):
        assert process.stdout is not None
        next(line for line in process.stdout if "->" in line)
        with httpx.stream("GET", f"http://127.0.0.1:{port}/v1/stream") as answer:
            process.send_signal(signal.SIGTERM)
            with pytest.raises(httpx.RemoteProtocolError):
                answer.read()
        (told,) = process.stdout.read().splitlines()
        assert "timeout graceful shutdown exceeded" in told


def test_serve_says_where_requests_go_once_it_listens(tmp_path: Path) -> None:
    (tmp_path / "semcache.toml").write_text(CONFIG)
    with command("serve", "--upstream", "http://127.0.0.1:9/base/", "--port", "0", cwd=tmp_path) as process:
        assert process.stdout is not None
        line = next(line for line in process.stdout if "->" in line)
        told = re.fullmatch(r"semcache: (http://127\.0\.0\.1:\d+)/PATH -> http://127\.0\.0\.1:9/base/PATH\n", line)
        assert told
        assert httpx.get(told[1] + "/.semcache/health").status_code == 200


def test_an_interrupted_proxy_ends_without_complaint(tmp_path: Path) -> None:
    (tmp_path / "semcache.toml").write_text(CONFIG)
    with command("serve", "--upstream", "http://127.0.0.1:9", "--port", "0", cwd=tmp_path) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if "->" in line)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert process.stdout.read() == ""


def test_a_configuration_that_is_wrong_stops_the_start_and_is_told(tmp_path: Path) -> None:
    (tmp_path / "semcache.toml").write_text('[embedder]\nuse = "onxn"\n')
    with command("serve", "--upstream", "http://127.0.0.1:9", "--port", "0", cwd=tmp_path) as process:
        assert process.stdout is not None
        told = process.stdout.read()
        assert process.wait(20) == 2
    assert "embedder.use" in told
    assert "did you mean 'onnx'?" in told
    assert "Traceback" not in told


def test_a_configuration_that_shows_wrong_when_the_cache_opens_has_the_same_status(tmp_path: Path) -> None:
    (tmp_path / "semcache.toml").write_text('[embedder]\nuse = "onnx"\npath = "no-such-folder"\n')
    with command("serve", "--upstream", "http://127.0.0.1:9", "--port", "0", cwd=tmp_path) as process:
        assert process.stdout is not None
        told = process.stdout.read()
        assert process.wait(20) == 2
    assert "no folder 'no-such-folder' (embedder.path)" in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("variable", "value", "upstream"),
    [
        ("SSL_CERT_FILE", "no-such-file.pem", "https://127.0.0.1:9"),
        ("http_proxy", "nonsense://me:s3cret@proxy.example", "http://llm.example"),
    ],
)
def test_an_environment_that_is_trusted_and_wrong_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, upstream: str
) -> None:
    (tmp_path / "semcache.toml").write_text(CONFIG)
    monkeypatch.setenv(variable, value)
    monkeypatch.setenv("no_proxy", "")
    with command("serve", "--upstream", upstream, "--port", "0", "--trust-env", cwd=tmp_path) as process:
        assert process.stdout is not None
        told = process.stdout.read()
        assert process.wait(20) == 2
    assert "which --trust-env makes count, is wrong" in told
    assert "s3cret" not in told
    assert "Traceback" not in told


def test_a_port_that_is_taken_is_one_line_before_anything_is_opened(tmp_path: Path) -> None:
    (tmp_path / "semcache.toml").write_text(CONFIG)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        with command("serve", "--upstream", "http://127.0.0.1:9", "--port", port, cwd=tmp_path) as process:
            assert process.stdout is not None
            told = process.stdout.read()
            assert process.wait(20) == 1
    assert re.fullmatch(
        rf"semcache: port {port} on 127\.0\.0\.1 is taken by .+ \(address already in use\): stop it, or choose another "
        r"port with --port; 0 takes a free one\n",
        told,
    )


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="this system has no /proc")
def test_the_program_that_has_taken_a_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert f"(process {os.getpid()})" in (occupant(port) or "")
    assert occupant(port) is None


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_an_ipv6_address_is_announced_as_it_is_written_in_a_url(tmp_path: Path) -> None:
    (tmp_path / "semcache.toml").write_text(CONFIG)
    arguments = ("--upstream", "http://127.0.0.1:9", "--host", "[::1]", "--port", "0")
    with command("serve", *arguments, cwd=tmp_path) as process:
        assert process.stdout is not None
        line = next(line for line in process.stdout if "->" in line)
    assert re.match(r"semcache: http://\[::1\]:\d+/PATH", line)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--upstream", "llm.example"], "must begin with http:// or https://"),
        (["--upstream", "http://127.0.0.1:9", "--set-header", "authorization"], "NAME: VALUE"),
        (["--upstream", "http://127.0.0.1:9", "--set-header", "a: {env=NOT_SET_ANYWHERE}"], "NOT_SET_ANYWHERE"),
        (["--upstream", "http://127.0.0.1:9", "--set-header", "a: Bearer {env=EMPTY}"], "EMPTY, which is empty"),
        (["--upstream", "http://127.0.0.1:9", "--config", "missing.toml"], "missing.toml"),
        (["--upstream", "http://localhost:8080/v1"], "where this proxy itself would listen"),
        (["--upstream", "http://127.0.0.1:9", "--drain", "-1"], "--drain"),
        (["--upstream", "http://127.0.0.1:9", "--read-timeout", "0"], "--read-timeout"),
        (["--upstream", "http://127.0.0.1:9", "--max-connections", "0"], "--max-connections"),
        (["--upstream", "http://127.0.0.1:9", "--read-timeout", "nan"], "--read-timeout"),
        (["--upstream", "http://127.0.0.1:9", "--connect-timeout", "inf"], "--connect-timeout"),
        (["--upstream", "http://127.0.0.1:9", "--port", "65536"], "--port"),
        (["--upstream", "http://127.0.0.1:9", "--host", ""], "--host"),
        (["--upstream", "http://127.0.0.1:9", "--host", "no-such-host.invalid"], "cannot be looked up"),
        (["--upstream", "http://127.0.0.1:9", "--host", "192.0.2.1", "--port", "0"], "has no such address"),
        (["--upstream", "http://127.0.0.1:99999"], "its port must be a number"),
        (["--upstream", "http://exa mple"], "its host is not a name"),
        (["--upstream", "http://h/a b"], "percent-encode"),
        (["--upstream", "http://127.0.0.1:9", "--set-header", "Content-Length: 3"], "--set-header 'content-length'"),
        (["--upstream", "http://127.0.0.1:9", "--set-header", "Host: a"], "name another host with --upstream"),
        (["--upstream", "http://127.0.0.1:9", "--set-header", "transfer-encoding: chunked"], "--set-header"),
        (["--upstream", "http://127.0.0.1:9", "--set-header", "A: b", "--set-header", "a: c"], "it is set twice"),
        (["--upstream", "http://127.0.0.1:9", "--set-header", "a: {env:HOME}"], "{env=NAME}"),
        (["--upstream", "http://127.0.0.1:9", "--set-header", "a: Bearer {nv=HOME}"], "{env=NAME}"),
        (["--upstream", "http://127.0.0.1:9", "--set-header", "a: Bearer ${HOME}"], "{env=NAME}"),
        (["--upstream", "http://127.0.0.1:9", "--set-header", "a: {env=}"], "{env=NAME}"),
        (["--upstream", "http://127.0.0.1:9", "--set-header", "api-key: x", "--host", "0.0.0.0"], "http.open_relay"),
    ],
)
def test_serve_refuses_what_cannot_work(arguments: list[str], told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMPTY", " ")
    result = CliRunner().invoke(program, ["serve", *arguments])
    assert result.exit_code == 2
    assert told in result.output


def test_the_demo_refuses_an_upstream_that_is_none_with_the_same_status() -> None:
    result = CliRunner().invoke(program, ["demo", "--upstream", "llm.example"])
    assert result.exit_code == 2
    assert "must begin with http:// or https://" in result.output


@pytest.mark.parametrize(
    "upstream",
    [
        "ftp://me:s3cret@llm.example",
        "http://me:s3cret@llm.example",
        "http://me:s3cret@llm.example:port",
        "me:s3cret@llm.example",
        "http://llm.example/?key=s3cret",
        "llm.example#s3cret",
    ],
)
def test_a_secret_in_a_wrong_upstream_is_not_printed(upstream: str) -> None:
    result = CliRunner().invoke(program, ["serve", "--upstream", upstream])
    assert result.exit_code == 2
    assert "upstream" in result.output
    assert "s3cret" not in result.output


def test_a_variable_in_a_header_is_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_KEY", "s3cret")
    assert read_headers(("Authorization: Bearer {env=LLM_KEY}",)) == ((b"authorization", b"Bearer s3cret"),)


def test_a_secret_that_is_no_header_value_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_KEY", "s3cret\n")
    monkeypatch.setenv("LLM_KEY_WITH_LINES", "s3\ncret")
    assert read_headers(("authorization: {env=LLM_KEY}",)) == ((b"authorization", b"s3cret"),)
    with pytest.raises(ConfigError) as refused:
        read_headers(("authorization: {env=LLM_KEY_WITH_LINES}",))
    assert "cret" not in str(refused.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost"])
def test_a_loopback_address_is_for_this_machine_only(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "llm.example"])
def test_any_other_address_is_not(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("upstream", "host", "port", "itself"),
    [
        ("http://localhost:8080", "127.0.0.1", 8080, True),
        ("http://localhost.:8080", "127.0.0.1", 8080, True),
        ("http://0.0.0.0:8080", "127.0.0.1", 8080, True),
        ("http://0.0.0.0:8080", "0.0.0.0", 8080, True),
        ("http://0x7f000001:8080", "127.0.0.1", 8080, True),
        ("http://[::ffff:127.0.0.1]:8080", "localhost", 8080, True),
        ("http://127.0.0.2:8080", "0.0.0.0", 8080, True),
        ("http://127.0.0.2:8080", "127.0.0.1", 8080, False),
        ("http://192.0.2.7:8080", "0.0.0.0", 8080, False),
        ("http://no-such-host.invalid:8080", "0.0.0.0", 8080, False),
        ("http://[::1]:8080", "::", 8080, True),
        ("http://10.0.0.7", "10.0.0.7", 80, True),
        ("http://127.0.0.1:8080", "127.0.0.1", 8081, False),
        ("http://127.0.0.1:8080", "10.0.0.7", 8080, False),
        ("https://llm.example:8080", "127.0.0.1", 8080, False),
    ],
)
def test_a_proxy_is_not_its_own_upstream(upstream: str, host: str, port: int, itself: bool) -> None:
    assert is_itself(Upstream.parse(upstream), host=host, port=port) is itself


# -- demo -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def quiet() -> Console:
    return Console(file=StringIO(), width=160)


def played(console: Console, *without: str) -> dict[str, Seen]:
    with staged(console, upstream=None, model="demo", key=None, without=without) as stage:
        return dict(zip((step.shows for step in STEPS), play(console, stage, STEPS), strict=True))


def test_the_demo_shows_what_hits_and_what_misses(quiet: Console) -> None:
    seen = played(quiet)
    assert {shows: (answer.outcome, answer.reason) for shows, answer in seen.items()} == {
        "a new question": ("MISS", "empty-scope"),
        "the same again": ("HIT", "exact"),
        "in other words": ("HIT", "semantic"),
        "the same, streamed": ("HIT", "exact"),
        "the same, another caller": ("MISS", "empty-scope"),
        "a question with a number": ("MISS", "below-threshold"),
        "another number in it": ("MISS", "numbers"),
    }
    assert seen["in other words"].similarity is not None
    assert 0.93 <= seen["in other words"].similarity < 1
    assert seen["the same, streamed"].text == seen["a new question"].text
    assert seen["the same, streamed"].saved == seen["a new question"].tokens
    assert seen["a new question"].milliseconds > 600 > seen["in other words"].milliseconds


def test_without_its_guard_the_demo_gives_the_wrong_answer_to_another_number(quiet: Console) -> None:
    swapped = played(quiet, "text-guard")["another number in it"]
    assert (swapped.outcome, swapped.reason) == ("HIT", "semantic")


def test_every_cell_of_the_table_is_what_an_answer_said() -> None:
    console = Console(file=StringIO(), width=160)
    told = Seen(
        status=200, outcome="HIT", reason="made-up", similarity=0.777, milliseconds=12.34, tokens=4321, text="x"
    )
    show(console, STEPS[:1], [told])
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(cell in printed for cell in ("HIT", "made-up", "0.777", "12.3 ms", "4321"))


def test_an_answer_that_is_no_success_says_so_in_the_table() -> None:
    console = Console(file=StringIO(), width=160)
    refused = Seen(status=401, outcome="MISS", reason="-", similarity=None, milliseconds=1, tokens=None, text="")
    show(console, STEPS[:1], [refused])
    assert "MISS (401)" in console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.slow
def test_the_proxy_of_the_demo_can_be_kept_and_asked_with_curl(tmp_path: Path) -> None:
    with command("demo", "--keep", cwd=tmp_path) as process:
        assert process.stdout is not None
        line = next(line for line in process.stdout if line.startswith("curl "))
        url = re.search(r"http://\S+", line)
        body = re.search(r"-d '(.*)'", line)
        key = re.search(r"Bearer [\w-]+", line)
        assert url
        assert body
        assert key
        headers = {"authorization": key[0], "content-type": "application/json"}
        assert httpx.post(url[0], content=body[1], headers=headers).headers["x-cache"] == "HIT"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def test_a_demo_whose_upstream_does_not_answer_ends_after_the_first_request(quiet: Console) -> None:
    with (
        staged(quiet, upstream="http://127.0.0.1:9", model="m", key="sk-s3cret", without=("text-guard",)) as stage,
        pytest.raises(SemcacheError, match=r"the first request was answered 502: is --upstream where"),
    ):
        play(quiet, stage, STEPS)


def test_a_plugin_that_keeps_the_demo_from_starting_is_told_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = tmp_path / "semcache_same-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: semcache-same\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[semcache]\nsame = same_name\n")
    (tmp_path / "same_name.py").write_text(SAME_NAME)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    with command("demo", cwd=tmp_path) as process:
        assert process.stdout is not None
        told = process.stdout.read()
        assert process.wait(20) == 1
    assert re.search(r"^ERROR: +semcache: verifier 'text-guard' .* is offered by .*semcache-same 1", told, re.M)
    assert re.search(r"^semcache: the server for http://127\.0\.0\.1:\d+ did not start$", told, re.M)
    assert "Traceback" not in told


def test_a_real_credential_is_not_printed_with_the_curl_line(quiet: Console) -> None:
    with staged(quiet, upstream="http://127.0.0.1:9", model="m", key="sk-s3cret", without=("text-guard",)) as stage:
        assert "s3cret" not in curl_line(stage)
        assert "$OPENAI_API_KEY" in curl_line(stage)
