"""The servers that are measured: Veza and the peer behind gunicorn with the same settings, and pgbench."""

import json
import os
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from django.db import connection

from dev.ports import HOST, free_port
from dev.postgres import find_server_files
from tests.benchmarks.side_by_side.cells import PEER, PEER_SECRET, Cell
from tests.benchmarks.side_by_side.report import Figure
from tests.buying import SECRET
from tests.operators.production import environment, wait_until
from veza import alive

ROOT = Path(__file__).resolve().parents[3]
HERE = Path(__file__).resolve().parent
THREADS = ["--workers", "2", "--threads", "4", "--worker-class", "gthread"]


@dataclass(frozen=True)
class Servers:
    veza_port: int
    peer_port: int
    peer_path: str
    database_url: str
    folder: Path

    def deliver(self, cell: Cell, requests: list[bytes], *, seconds: float) -> Figure:
        """Deliver `requests` over sixteen connections for `seconds`."""
        file = self.folder / "requests"
        file.write_bytes(b"".join(b"%d\n%b" % (len(one), one) for one in requests))
        port = self.peer_port if cell.server == PEER else self.veza_port
        command = [sys.executable, "-m", "tests.benchmarks.side_by_side.load", str(file), str(port), str(seconds)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        return Figure(**json.loads(done.stdout))

    def same_rows(self, seconds: float) -> Figure:
        """What PostgreSQL does alone: the stored function, over sixteen connections."""
        script = self.folder / "settle.sql"
        script.write_text("SELECT bench_settle(nextval('bench_turn'));\n")
        script.chmod(0o644)
        files = find_server_files()
        command = [
            str(files.programs / "pgbench"),
            "-n",
            "-c",
            "16",
            "-j",
            "2",
            "-T",
            str(int(seconds)),
            "-f",
            str(script),
        ]
        done = subprocess.run(
            [*command, self.database_url], capture_output=True, text=True, check=True, env=environment({})
        )
        tps = next(float(line.split()[2]) for line in done.stdout.splitlines() if line.startswith("tps"))
        return Figure(per_second=tps, p50=16_000 / tps, p99=0.0, statuses={}, ran_out=False)


def start_servers(stack: ExitStack, state: Path, *, database_url: str) -> Servers:
    """Start everything; `stack` ends it. The peer's environment is built the first time."""
    folder = state / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    python, peer_url = _peer_environment(folder), _peer_database(database_url)
    veza_port, peer_port, stub_port = free_port(), free_port(), free_port()
    peer = environment({}) | {
        "DATABASE_URL": peer_url,
        "PEER_SECRET": PEER_SECRET,
        "STRIPE_API_HOST": f"http://{HOST}:{stub_port}",
    }
    peer_path = subprocess.run(
        [python, "-m", "peer.prepare"], cwd=HERE, env=peer, capture_output=True, text=True, check=True
    ).stdout.strip()
    _start(stack, [python, "-m", "peer.stub", str(stub_port)], HERE, peer, folder / "stub.log")
    bind = ["--bind", f"{HOST}:{peer_port}"]
    _start(stack, [python, "-m", "gunicorn", *bind, *THREADS, "peer.wsgi"], HERE, peer, folder / "peer.log")
    _start(stack, [sys.executable, "-m", "gunicorn"], ROOT, _veza(veza_port, database_url), folder / "veza.log")
    wait_until(lambda: alive.web_is_alive(f"{HOST}:{veza_port}", HOST), seconds=60)
    wait_until(lambda: _listens(peer_port), seconds=60)
    return Servers(veza_port, peer_port, peer_path, database_url, folder)


def _veza(port: int, database_url: str) -> dict[str, str]:
    return environment({}) | {
        "WEB_BIND": f"{HOST}:{port}",
        "WEB_WORKERS": "2",
        "WEB_THREADS": os.environ.get("WEB_THREADS", "4"),
        "VEZA_ENVIRONMENT": "development",
        "DATABASE_URL": database_url,
        "REDIS_URL": os.environ["REDIS_URL"],
        "HYPERSWITCH_WEBHOOK_SECRET": SECRET,
        "LOG_LEVEL": "INFO",
    }


def _peer_environment(folder: Path) -> str:
    wanted = (HERE / "peer" / "requirements.txt").read_text()
    python, stamp = folder / "peer-env" / "bin" / "python", folder / "peer-env" / "stamp"
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(folder / "peer-env", ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder / "peer-env")], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", str(HERE / "peer" / "requirements.txt")], check=True)
        stamp.write_text(wanted)
    return str(python)


def _peer_database(url: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute("DROP DATABASE IF EXISTS bench_peer")
        cursor.execute("CREATE DATABASE bench_peer")
    return urlsplit(url)._replace(path="/bench_peer").geturl()


def _start(stack: ExitStack, command: list[str], folder: Path, environ: dict[str, str], log: Path) -> None:
    output = stack.enter_context(log.open("wb"))
    process = subprocess.Popen(command, cwd=folder, env=environ, stdout=output, stderr=subprocess.STDOUT)

    def end() -> None:
        process.terminate()
        process.wait(30)

    stack.callback(end)


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex((HOST, port)) == 0
