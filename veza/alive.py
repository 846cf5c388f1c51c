"""`python -m veza.alive web | worker | beat`: what a container's health check runs. Exit status 0 = healthy.

Standard library only, so that a check every few seconds costs next to nothing. The web process is checked over HTTP;
workers and beat touch the file VEZA_ALIVE_FILE while they live (see `celery.py`), and it must be recent.
"""

import http.client
import os
import sys
import time
from pathlib import Path

WEB_SECONDS = 3
# A worker beats every two seconds; beat sends its most frequent task every fifteen.
OLDEST_SECONDS = {"worker": 60, "beat": 120}


def web_is_alive(address: str, host: str) -> bool:
    """Whether the process at `address` answers its health call, under the host name it is meant for."""
    connection = http.client.HTTPConnection(address, timeout=WEB_SECONDS)
    try:
        connection.request("GET", "/api/v1/health", headers={"Host": host or address})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def is_recent(path: str, oldest_seconds: float) -> bool:
    """Whether the file was touched recently."""
    try:
        return time.time() - Path(path).stat().st_mtime <= oldest_seconds
    except OSError:
        return False


def main(arguments: list[str]) -> int:
    match arguments:
        case ["web"]:
            port = os.environ.get("WEB_BIND", "127.0.0.1:8000").rpartition(":")[2]
            alive = web_is_alive(f"127.0.0.1:{port}", os.environ.get("ALLOWED_HOSTS", "").partition(",")[0])
        case ["worker" | "beat" as which]:
            alive = is_recent(os.environ.get("VEZA_ALIVE_FILE", ""), OLDEST_SECONDS[which])
        case _:
            return 2
    return 0 if alive else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
