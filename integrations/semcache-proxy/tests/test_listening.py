"""Where the proxy listens, if a name has several addresses: each 127.x.y.z is this machine's, 192.0.2.1 is nobody's."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from semcache_core.errors import ConfigError, SemcacheError
from semcache_proxy.listening import bound

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere 127.0.0.2 has to be set up first")

Name = Callable[..., None]


@pytest.fixture
def name(monkeypatch: pytest.MonkeyPatch) -> Name:
    """Let every name have these addresses."""

    def has(*addresses: str, port: int = 0) -> None:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]
        monkeypatch.setattr("semcache_proxy.listening.socket.getaddrinfo", lambda *_, **__: found)

    return has


def test_an_address_that_this_machine_lacks_is_left_out(name: Name) -> None:
    name("192.0.2.1", "127.0.0.1")
    (listener,) = bound("a-name", 0)
    with listener:
        assert listener.getsockname()[0] == "127.0.0.1"


def test_a_name_without_an_address_of_this_machine_is_refused(name: Name) -> None:
    name("192.0.2.1")
    with pytest.raises(ConfigError, match="has no such address"):
        bound("a-name", 0)


def test_a_free_port_is_the_same_on_every_address(name: Name) -> None:
    name("127.0.0.1", "127.0.0.2")
    with ExitStack() as stack:
        ports = {stack.enter_context(each).getsockname()[1] for each in bound("a-name", 0)}
    assert len(ports) == 1


def test_nothing_stays_open_where_one_address_is_taken(name: Name) -> None:
    with socket.create_server(("127.0.0.2", 0)) as listener:
        port = listener.getsockname()[1]
        name("127.0.0.1", "127.0.0.2", port=port)
        with pytest.raises(SemcacheError, match="is taken by"):
            bound("a-name", port)
        with socket.socket() as bare:
            bare.bind(("127.0.0.1", port))
