"""Ports on 127.0.0.1 that nobody else has."""

import socket

from dev.processes import Failure

HOST = "127.0.0.1"
PREFERRED_WEB_PORT = 8000


def free_port() -> int:
    """Return a port that is free now. Somebody may take it before the caller: be ready to try another."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def listen_for_web(wanted: str | None = None) -> socket.socket:
    """Take a port for the web server and keep it: the server inherits the socket, so nobody comes between.

    Without a wish it is 8000, or any free one when that is taken. Raises Failure when the wished one is.
    """
    if wanted:
        if not wanted.isdigit() or not 0 < int(wanted) < 65536:
            raise Failure(f"PORT={wanted} is not a port number.")
        if taken := _listen(int(wanted)):
            return taken
        raise Failure(f"Port {wanted} cannot be used: it is reserved, or something listens on it. Try another PORT=.")
    if found := _listen(PREFERRED_WEB_PORT) or _listen(0):
        return found
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
