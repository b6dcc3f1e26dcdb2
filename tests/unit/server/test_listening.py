"""An address that nobody can listen on is refused with what to change."""

from __future__ import annotations

import socket

import pytest

from pictograph.errors import ConfigurationError
from pictograph.server.run import bind


@pytest.mark.parametrize("host", ["pictograph.invalid", "192.0.2.1"])
def test_a_host_that_this_machine_does_not_have_asks_for_another_host(host: str) -> None:
    with pytest.raises(ConfigurationError, match=r"Choose a --host that this machine has"):
        bind(host, 0)


def test_a_port_in_use_asks_for_another_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ConfigurationError, match="another --port"):
        bind("127.0.0.1", taken.getsockname()[1])
