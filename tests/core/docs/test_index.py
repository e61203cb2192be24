"""Getting started works when it is typed as it stands: every program, every server, every request."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from semcache_core.config import load
from semcache_proxy.loopback import Served

REPOSITORY = Path(__file__).parents[3]
PAGE = (REPOSITORY / "docs" / "index.md").read_text("utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
PYTHON = [text for language, text in BLOCKS if language == "python"]
SHELL = [text for language, text in BLOCKS if language == "sh"]

sdk, decorated, blocking, fastapi_service, wsgi_service = PYTHON
install, serve, curl_proxy, install_fastapi, uvicorn, curl_fastapi, gunicorn, waitress = SHELL


async def _chat(request: Request) -> JSONResponse:
    body = await request.json()
    text = f"Answer to: {body['messages'][-1]['content']}"
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    return JSONResponse({"id": "c-1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]})


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    with Served(Starlette(routes=[Route("/v1/chat/completions", _chat, methods=["POST"])])) as server:
        yield server.url


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a working directory with the page's two services and nothing else."""
    for program in (fastapi_service, wsgi_service):
        name = re.match(r"# (\w+\.py)\n", program)
        assert name, "a service says in its first line which file it is"
        (tmp_path / name[1]).write_text(program)
    return tmp_path


def environment(**variables: str) -> dict[str, str]:
    """Return an environment in which the programs beside this interpreter are found first."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SEMCACHE_")}
    return {**kept, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", **variables}


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def running(command: str, *, written: str, folder: Path) -> Iterator[str]:
    """Run a server of the page on a free port; ``written`` is the port that the page names. Yield the URL."""
    port = free_port()
    arguments = shlex.split(command.replace(written, str(port)))
    with (folder / "log").open("w+") as log:
        process = subprocess.Popen(arguments, cwd=folder, env=environment(), stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < deadline and not _listens(port):
                time.sleep(0.05)
            assert process.poll() is None, (folder / "log").read_text()
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _listens(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/.semcache/health", timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def sent(command: str, url: str) -> dict[str, str]:
    """Run a ``curl -i`` of the page against ``url``, and return the headers of the answer."""
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    arguments = shlex.split(re.sub(r"http://127\.0\.0\.1:\d+", url, command.replace("\\\n", "")))
    answer = subprocess.run([*arguments, "--silent"], capture_output=True, text=True, timeout=60, check=True).stdout
    head = answer.replace("\r", "").partition("\n\n")[0].splitlines()
    assert head[0].split()[1] == "200", answer
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}


def run(program: str, folder: Path) -> list[str]:
    """Run a program in an empty folder, and return the lines that it prints."""
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=90, check=True
    ).stdout.splitlines()


def cache_does(command: str, url: str) -> list[str]:
    """Send a request of the page twice, and once without its credential; return what ``X-Cache`` says each time."""
    nameless, removed = re.subn(r'-H "Authorization: [^"]*" ', "", command)
    assert removed == 1
    answers = [sent(command, url), sent(command, url), sent(nameless, url)]
    if answers[2]["x-cache"] == "BYPASS":
        assert answers[2]["cache-status"] == "semcache; fwd=bypass; detail=no-identity"
    return [answer["x-cache"] for answer in answers]


@pytest.mark.parametrize("command", [install, install_fastapi])
def test_what_the_page_installs_is_in_the_repository(command: str) -> None:
    folders = re.findall(r"(\./[\w/-]+)", command)
    assert folders
    assert [each for each in folders if not (REPOSITORY / each / "pyproject.toml").is_file()] == []


def test_the_proxy_answers_the_sdk_and_curl(upstream: str, tmp_path: Path) -> None:
    command = serve.replace("https://llm.example", upstream).strip() + " --port 8080"
    with running(command, written="8080", folder=tmp_path) as url:
        assert run(sdk.replace("http://127.0.0.1:8080", url), tmp_path) == ["Answer to: How do I reset my password?"]
        # Only this machine reaches it, so a caller without a credential uses the cache as well.
        assert cache_does(curl_proxy, url) == ["MISS", "HIT", "MISS"]


def test_the_decorated_function_asks_the_model_where_the_comments_say_so(tmp_path: Path) -> None:
    assert run(decorated, tmp_path) == ["asking the model about the shop", "asking the model about the bank"]


def test_the_blocking_calls_run(tmp_path: Path) -> None:
    assert run(blocking, tmp_path) == ["empty-scope", "See Account.", "0.0"]
    assert run(blocking, tmp_path) == ["See Account.", "1.0"]
    reworded = blocking.replace("How do I change", "How can I change")
    assert reworded != blocking
    assert run(reworded, tmp_path)[0] == "See Account.", "a paraphrase is answered, too"


def test_the_fastapi_service_answers_a_known_caller_from_the_cache(folder: Path) -> None:
    with running(uvicorn, written="8000", folder=folder) as url:
        assert cache_does(curl_fastapi, url) == ["MISS", "HIT", "BYPASS"]


@pytest.mark.parametrize("command", [gunicorn, waitress], ids=["gunicorn", "waitress"])
def test_the_wsgi_service_answers_a_known_caller_from_the_cache(command: str, folder: Path) -> None:
    with running(command, written="8001", folder=folder) as url:
        assert cache_does(curl_fastapi, url) == ["MISS", "HIT", "BYPASS"]


def test_the_configuration_is_checked_without_a_complaint(tmp_path: Path) -> None:
    (toml,) = (text for language, text in BLOCKS if language == "toml")
    (tmp_path / "semcache.toml").write_text(toml)
    done = subprocess.run(
        ["semcache", "check", "semcache.toml"],
        cwd=tmp_path,
        env=environment(SEMCACHE_SECRET="s" * 32),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert load(tmp_path / "semcache.toml", environ={"SEMCACHE_SECRET": "s" * 32}).cache.namespace == "support-bot"
