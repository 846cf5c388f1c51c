import os
import shutil
import subprocess
from pathlib import Path

import pytest

from dev import places, postgres
from dev.processes import Failure, Processes
from dev.terminal import Screen


@pytest.mark.skipif(not places.is_root(), reason="only root must run the server as another user")
def test_root_can_start_a_server_with_files_in_a_private_home(
    processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    package = postgres.find_server_files().package
    if not package:
        pytest.skip("an installed server is not in a home")
    tmp_path.chmod(0o700)
    for part in (package / "pginstall", package.with_name(package.name + ".libs")):
        shutil.copytree(part, tmp_path / part.relative_to(package.parent), symlinks=True)
    monkeypatch.setattr(postgres, "site_packages", lambda: tmp_path)
    folder = places.run_folder()
    processes.remove_at_the_end(folder)

    with Screen().step("PostgreSQL") as step:
        roles = postgres.start(processes, folder, durable=False, log=folder / "log", step=step)

    assert roles.owner.startswith("postgresql://veza:")
    assert roles.application.startswith("postgresql://veza_application:")
    assert (folder / "server").exists(), "its files were copied to a folder that the other user can read"


def test_a_pg_bin_folder_without_a_server_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PG_BIN", str(tmp_path))

    with pytest.raises(Failure, match="PG_BIN"):
        postgres.find_server_files()


def test_a_server_that_is_too_old_is_refused(tmp_path: Path):
    (tmp_path / "postgres").write_text("#!/bin/sh\necho postgres '(PostgreSQL)' 14.9\n")
    (tmp_path / "postgres").chmod(0o755)

    with pytest.raises(Failure, match="needs 15 or newer"):
        postgres._read_version(postgres.ServerFiles(tmp_path), {})


def test_a_missing_server_is_a_clear_message(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("PG_BIN", raising=False)
    monkeypatch.setattr(postgres, "site_packages", lambda: tmp_path)
    monkeypatch.setattr(postgres, "DEBIAN", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(Failure, match="set DATABASE_URL"):
        postgres.find_server_files()


def test_an_installed_server_is_found_when_there_is_no_wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("PG_BIN", raising=False)
    monkeypatch.setattr(postgres, "site_packages", lambda: tmp_path)
    (tmp_path / "initdb").touch(mode=0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    assert postgres.find_server_files().programs == tmp_path


def test_the_server_programs_of_this_environment_run():
    files = postgres.find_server_files()

    assert subprocess.run([files.postgres, "--version"], check=True, capture_output=True).stdout
