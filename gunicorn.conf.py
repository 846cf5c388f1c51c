"""How gunicorn serves the web process. It reads this file when it is started in this folder.

Everything can be overridden on the command line, as `make demo` does.
"""

import logging
import os
import sys
from pathlib import Path

# gunicorn's script starts with its own folder on the path, not this one.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from veza.core.logs import logging_config

wsgi_app = "veza.wsgi"
bind = os.environ.get("WEB_BIND", "127.0.0.1:8000")
worker_class = "gthread"  # A thread waits for the database while another answers; the code is synchronous.
workers = int(os.environ.get("WEB_WORKERS", "2"))
threads = int(os.environ.get("WEB_THREADS", "8"))
# Longer than the longest request: two calls to a provider, 15 s each, and the database's 15 s for a statement.
timeout = 60
# SIGTERM: no new requests; those under way have this long to finish. The container's grace period has to be longer.
graceful_timeout = 45
keepalive = 75  # Longer than a proxy keeps its side open, so that it never writes to a closed connection.
max_requests, max_requests_jitter = 20_000, 2_000  # Limits the effect of a slow memory leak.
# Heartbeat files go to memory: on a busy disk, workers would look dead. It is also the only writable place.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - gunicorn makes a private file in it.
control_socket_disable = True
limit_request_line, limit_request_fields = 4_094, 60

# The same JSON lines as everywhere else, warnings of libraries included. No access log: Veza logs each request
# itself, with its id.
logging.captureWarnings(True)
logconfig_dict = logging_config(os.environ.get("LOG_LEVEL", "INFO"))
logconfig_dict["loggers"] |= {"gunicorn.error": {"propagate": True, "handlers": []}}


def post_fork(_server: object, _worker: object) -> None:
    """Let a request that waits for the interpreter lock have it after half a millisecond instead of five.

    A webhook takes some twenty round trips to the database, and after each of them it would wait behind whatever else
    the process is doing, such as rejecting deliveries with an invalid signature.
    """
    sys.setswitchinterval(0.0005)


def worker_exit(_server: object, _worker: object) -> None:
    """Report the deliveries with an invalid signature that an ending process only counted."""
    # Imported here: a module that the arbiter has loaded would stay old when gunicorn reloads a new version.
    from payments.inbox.invalid_signatures import invalid_signatures

    try:
        invalid_signatures.flush()
    except Exception:
        logging.getLogger("gunicorn.error").exception("the last invalid signatures could not be counted")
