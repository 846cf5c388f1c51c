"""The commands of `python3 -m dev`, and their exit statuses."""

import argparse
import os
import shlex
import shutil
import sys

from dev import demo, environment, places, valkey
from dev.checks import CHECKS
from dev.foreground import ENDED_BY_SIGNAL, in_foreground
from dev.places import PYTHON
from dev.processes import Failure, Interruption, Processes
from dev.stores import open_brokers, open_stores
from dev.terminal import Screen

# A crowd of fifty opens as many connections, and other test processes have theirs on the same server.
TEST_SETTINGS = ("-c", "max_connections=300")
# Large enough that the history is in memory, as on a database host.
BENCH_SETTINGS = ("-c", "shared_buffers=1GB", "-c", "max_wal_size=4GB")
CACHES = (".mypy_cache", ".ruff_cache", ".pytest_cache", ".import_linter_cache", ".hypothesis")

# More processes than this would need more connections than a PostgreSQL has by default.
MOST_WORKERS = 4


def main(arguments: list[str]) -> int:
    """Run one command and return its exit status. Every process it started is stopped, whatever happens."""
    options = _build_parser().parse_args(arguments)
    screen = Screen()
    os.chdir(places.ROOT)
    keep_bytecode()
    try:
        with Processes() as processes:
            return _run(options, processes, screen)
    except Failure as failure:
        print(f"\n✗ {str(failure).rstrip()}", file=sys.stderr)
        return 1
    except Interruption as error:
        return ENDED_BY_SIGNAL + error.signum
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # The reader has closed the pipe: write no more.
        return 1


def keep_bytecode() -> None:
    """Have every process keep what it compiles, also where PYTHONDONTWRITEBYTECODE is set, as in many images.

    pip compiles nothing (`environment.py`), and one run starts a hundred processes. Compiling Django takes two seconds.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def _run(options: argparse.Namespace, processes: Processes, screen: Screen) -> int:
    match options.command:
        case "demo":
            return demo.demo(processes, screen, demo.read_options(screen))
        case "serve":
            return demo.demo(processes, screen, demo.read_options(screen, round_trip=False))
        case "test":
            return test(processes, screen, options.arguments or shlex.split(os.environ.get("ARGS", "")))
        case "bench":
            return bench(processes, screen)
        case "services":
            return services(processes, screen, options.arguments)
        case "check":
            environment.ensure("development", processes, screen)
            return CHECKS[options.name](processes, screen)
        case _:
            return clean(screen)


def test(processes: Processes, screen: Screen, arguments: list[str]) -> int:
    """Run pytest with a separate database and broker, and return its exit status.

    Without arguments, it runs in as many processes as there are cores; WORKERS chooses another number. Each needs a
    broker, and of those only the first may be REDIS_URL's.
    """
    workers = count_workers(arguments)
    environment.ensure("development", processes, screen)
    if workers > 1 and not valkey.is_installed():
        screen.say("  · one process runs the tests: no Valkey can be started for a second one")
        workers = 1
    stores = open_stores(processes, screen, durable=False, settings=TEST_SETTINGS)
    # The Valkey wheel brings a pytest plugin that would start a server of its own.
    command = [str(PYTHON), "-m", "pytest", "-p", "no:valkey"]
    if workers > 1:
        stores["REDIS_URLS"] = " ".join([stores["REDIS_URL"], *open_brokers(processes, screen, workers - 1)])
        # A process that dies would be replaced by one that no broker was opened for.
        command += ["-p", "tests.parallel", "-n", str(workers), "--dist", "loadgroup", "--max-worker-restart", "0"]
    return in_foreground(processes, [*command, *arguments], dict(os.environ) | stores)


def count_workers(arguments: list[str]) -> int:
    """Return how many processes run the tests: WORKERS, else one per core for all tests and one for chosen tests.

    Every process makes a database first, which takes longer than a few tests. Raises Failure.
    """
    if any(argument.startswith(("-n", "--numprocesses")) for argument in arguments):
        raise Failure("Choose the number of processes with WORKERS=2 instead of -n 2: each needs a broker of its own.")
    if setting := os.environ.get("WORKERS"):
        if not setting.isdigit() or int(setting) < 1:
            raise Failure(f"WORKERS={setting} is not a number of processes.")
        return int(setting)
    return 1 if arguments else min(count_cores(), MOST_WORKERS)


def count_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def bench(processes: Processes, screen: Screen) -> int:
    """Measure the webhook beside a peer's, on a database whose data is forced to the disk."""
    environment.ensure("development", processes, screen)
    stores = open_stores(processes, screen, durable=True, settings=BENCH_SETTINGS)
    command = [str(PYTHON), "-m", "tests.benchmarks.side_by_side"]
    return in_foreground(processes, command, dict(os.environ) | stores)


def services(processes: Processes, screen: Screen, command: list[str]) -> int:
    """Run any command with a separate database and broker, and return its exit status."""
    if command[:1] == ["--"]:
        command = command[1:]
    if not command:
        raise Failure("A command is missing: python3 -m dev services -- COMMAND ...")
    environment.ensure("demo", processes, screen)
    stores = open_stores(processes, screen, durable=False)
    path = f"{PYTHON.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return in_foreground(processes, command, dict(os.environ) | stores | {"PATH": path})


def clean(screen: Screen) -> int:
    """Remove the files that the launcher and the tools created."""
    for folder in (places.VENV, places.STATE, *(places.ROOT / cache for cache in CACHES)):
        if folder.exists():
            shutil.rmtree(folder)
            screen.say(f"removed {folder.name}")
    return 0


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m dev", description="Starts Veza on a bare machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("demo", help="the whole round trip, then a running Veza (ONCE=1, PAY=browser, PORT=)")
    commands.add_parser("serve", help="a running Veza with sample data, without the round trip")
    commands.add_parser("clean", help="remove the environment and everything under .veza")
    test_command = commands.add_parser("test", help="all tests, with a separate database and broker")
    test_command.add_argument("arguments", nargs=argparse.REMAINDER, help="for pytest")
    commands.add_parser("bench", help="the webhook beside a peer's and PostgreSQL alone (ROUNDS=, CELL_SECONDS=)")
    services_command = commands.add_parser("services", help="any command, with a separate database and broker")
    services_command.add_argument("arguments", nargs=argparse.REMAINDER, metavar="-- COMMAND ...")
    check = commands.add_parser("check", help="one of the checks besides the tests")
    check.add_argument("name", choices=sorted(CHECKS))
    return parser
