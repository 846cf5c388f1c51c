"""Free ports on 127.0.0.1."""

import socket

from dev.processes import Failure

HOST = "127.0.0.1"
PREFERRED_WEB_PORT = 8000


def free_port() -> int:
    """Return a port that is free now. Another process may take it first: be ready to retry."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def listen_for_web(port_setting: str | None = None) -> socket.socket:
    """Reserve a port for the web server: the server inherits the socket, so the port stays reserved.

    The default is 8000, or any free port if that is in use. Raises Failure if `port_setting` is in use.
    """
    if port_setting:
        if not port_setting.isdigit() or not 0 < int(port_setting) < 65536:
            raise Failure(f"PORT={port_setting} is not a port number.")
        if listener := _listen(int(port_setting)):
            return listener
        raise Failure(f"Port {port_setting} cannot be used: it is reserved or in use. Try another PORT=.")
    if listener := _listen(PREFERRED_WEB_PORT) or _listen(0):
        return listener
    raise Failure("This system has no free port for the web server.")


def _listen(port: int) -> socket.socket | None:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(64)
    except OSError:
        listener.close()
        return None
    return listener
