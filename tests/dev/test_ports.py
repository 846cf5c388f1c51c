import socket
from collections.abc import Iterator

import pytest

from dev import ports
from dev.processes import Failure


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server((ports.HOST, 0)) as somebody:
        yield somebody.getsockname()[1]


def test_a_taken_port_gets_another(taken: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ports, "PREFERRED_WEB_PORT", taken)

    with ports.listen_for_web() as listener:
        assert listener.getsockname()[1] not in (0, taken)


def test_a_wished_port_that_is_taken_is_a_clear_message(taken: int):
    with pytest.raises(Failure, match=f"Port {taken} cannot be used"):
        ports.listen_for_web(str(taken))


@pytest.mark.parametrize("wished", ["http", "0", "65536", "-1"])
def test_a_wished_port_has_to_be_a_port_number(wished: str):
    with pytest.raises(Failure, match="not a port number"):
        ports.listen_for_web(wished)


def test_nobody_can_take_the_port_between_the_choice_and_the_server():
    with ports.listen_for_web() as listener, pytest.raises(Failure):
        ports.listen_for_web(str(listener.getsockname()[1]))
