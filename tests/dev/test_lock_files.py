"""Dependencies are pinned by hash and no file names a registry, so that any mirror works."""

import re
import shutil
import subprocess

import pytest

from dev.environment import LEVELS, lock_file
from dev.places import ROOT

# Split, so that this file does not match itself.
ADDRESSES = ("pypi" + ".org", "python" + "hosted", "index" + "-url", "find" + "-links", "trusted" + "-host")


@pytest.mark.parametrize("level", LEVELS)
def test_every_locked_requirement_carries_hashes(level: str):
    logical_lines = re.sub(r"\\\n", " ", lock_file(level).read_text()).splitlines()
    requirements = [line for line in logical_lines if line.strip() and not line.lstrip().startswith("#")]

    assert requirements
    assert [line for line in requirements if "--hash=sha256:" not in line or "==" not in line] == []


@pytest.mark.parametrize("level", LEVELS)
def test_lock_files_name_no_address(level: str):
    assert "://" not in lock_file(level).read_text()


@pytest.mark.parametrize(("larger", "smaller"), [("demo", "production"), ("development", "demo")])
def test_the_levels_build_on_one_another(larger: str, smaller: str):
    assert set(_pins(smaller)) <= set(_pins(larger))


def test_no_file_of_the_project_names_a_registry():
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    pattern = re.compile("|".join(map(re.escape, ADDRESSES)).encode(), re.IGNORECASE)

    files = [ROOT / name for name in names if name and (ROOT / name).is_file()]

    assert [file.name for file in files if pattern.search(file.read_bytes())] == []


def _pins(level: str) -> list[str]:
    return re.findall(r"^\S+==\S+", lock_file(level).read_text(), re.MULTILINE)
