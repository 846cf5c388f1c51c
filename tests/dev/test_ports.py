import socket
from collections.abc import Iterator

import pytest

from dev import ports
from dev.processes import Failure


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.create_server((ports.HOST, 0)) as listener:
        yield listener.getsockname()[1]


def test_a_port_in_use_is_replaced(busy_port: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ports, "PREFERRED_WEB_PORT", busy_port)

    with ports.listen_for_web() as listener:
        assert listener.getsockname()[1] not in (0, busy_port)


def test_a_port_setting_in_use_is_a_clear_message(busy_port: int):
    with pytest.raises(Failure, match=f"Port {busy_port} cannot be used"):
        ports.listen_for_web(str(busy_port))


@pytest.mark.parametrize("setting", ["http", "0", "65536", "-1"])
def test_a_port_setting_must_be_a_port_number(setting: str):
    with pytest.raises(Failure, match="not a port number"):
        ports.listen_for_web(setting)


def test_the_port_stays_reserved_until_the_server_starts():
    with ports.listen_for_web() as listener, pytest.raises(Failure):
        ports.listen_for_web(str(listener.getsockname()[1]))
