"""`python3 -m dev`: the launcher's commands. `make help` lists them under their short names."""

# This file is read by whatever `python3` is, so it holds nothing that an old one cannot parse.
import os
import shutil
import sys

OLDEST = (3, 11)


def find_a_newer_python():
    # type: () -> None
    """Start again with a Python that is new enough, or say what is missing."""
    for minor in range(20, OLDEST[1] - 1, -1):
        found = shutil.which("python3.%d" % minor)  # noqa: UP031
        if found:
            os.execv(found, [found, "-m", "dev"] + sys.argv[1:])  # noqa: RUF005, S606
    sys.exit("Veza needs Python 3.11 or newer; python3 is %s." % sys.version.split()[0])  # noqa: UP031


if __name__ == "__main__":
    if os.name != "posix":
        sys.exit("The launcher needs Linux or macOS (on Windows: WSL).")
    if sys.version_info < OLDEST:
        find_a_newer_python()
    from dev.commands import main

    sys.exit(main(sys.argv[1:]))
