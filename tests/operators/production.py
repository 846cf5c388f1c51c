"""The environment of a complete production, as an operator would write it, and processes started in it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH")

SANDBOX = {
    "VEZA_ENVIRONMENT": "sandbox",
    "DEBUG": "false",
    "SECRET_KEY": "q7Zt0vXw3nYb5cRk8mLp2sHd6fJg9aTe1uVi4oBxQyWzNrKhMlPjSdFg",
    "ALLOWED_HOSTS": "shop.example.org",
    "PUBLIC_BASE_URL": "https://shop.example.org",
    "TRUSTED_PROXIES": "1",
    "METRICS_TOKEN": "a-token-for-prometheus",
    "DATABASE_URL": "postgres://veza:veza@127.0.0.1:5432/veza",
    "REDIS_URL": "redis://127.0.0.1:6379/0",
    "HYPERSWITCH_ENABLED": "true",
    "HYPERSWITCH_API_KEY": "snd_0123456789abcdef",
    "HYPERSWITCH_BASE_URL": "https://sandbox.hyperswitch.io",
    "HYPERSWITCH_WEBHOOK_SECRET": "0123456789abcdef0123456789abcdef",
    "HYPERSWITCH_PROFILE_ID": "pro_0123456789",
    "STRIPE_SECRET_KEY": "sk_test_0123456789abcdef",
    "STRIPE_WEBHOOK_SECRET": "whsec_0123456789abcdef",
}
LIVE = SANDBOX | {
    "VEZA_ENVIRONMENT": "live",
    "HYPERSWITCH_API_KEY": "prd_0123456789abcdef",
    "HYPERSWITCH_BASE_URL": "https://api.hyperswitch.io",
    "STRIPE_SECRET_KEY": "sk_live_0123456789abcdef",
}


def environment(said: dict[str, str]) -> dict[str, str]:
    """`said`, and of the test process's own environment only what any program needs."""
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ} | said


def run(*command: str | Path, said: dict[str, str], seconds: float = 60) -> subprocess.CompletedProcess[str]:
    """Run `python COMMAND` to its end."""
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment(said),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


@contextmanager
def started(*command: str | Path, said: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`python COMMAND` in the background, its output in `log`; whatever it left is ended at the end."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, env=environment(said), stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
