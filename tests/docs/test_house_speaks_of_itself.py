"""The project is the same on every machine: no file names a folder of the one it was written on."""

import re

from tests.docs.pages import ROOT, project_files

# Written in pieces, so that this file does not find itself.
FOLDERS = ("work", "home", "Users", "root", "mnt")
OF_A_MACHINE = re.compile(rb"(?<![\w.\-/<}*])/(?:" + "|".join(FOLDERS).encode() + rb")/[\w.]")


def test_no_file_names_a_folder_of_a_machine():
    matches = [
        f"{path.relative_to(ROOT).as_posix()}:{number}"
        for path in project_files()
        for number, line in enumerate(path.read_bytes().splitlines(), start=1)
        if OF_A_MACHINE.search(line)
    ]

    assert matches == []
