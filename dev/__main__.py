"""`python3 -m dev`: the launcher's commands. `make help` lists them under their short names."""

# Any `python3` may read this file, so its syntax must be valid for old versions.
import os
import shutil
import sys

OLDEST = (3, 11)


def find_a_newer_python():
    # type: () -> None
    """Restart with a Python that is new enough, or exit with a message."""
    for minor in range(20, OLDEST[1] - 1, -1):
        path = shutil.which("python3.%d" % minor)  # noqa: UP031
        if path:
            os.execv(path, [path, "-m", "dev"] + sys.argv[1:])  # noqa: RUF005, S606
    sys.exit("Veza needs Python 3.11 or newer; python3 is %s." % sys.version.split()[0])  # noqa: UP031


if __name__ == "__main__":
    if os.name != "posix":
        sys.exit("The launcher needs Linux or macOS (on Windows: WSL).")
    if sys.version_info < OLDEST:
        find_a_newer_python()
    from dev.commands import main

    sys.exit(main(sys.argv[1:]))
