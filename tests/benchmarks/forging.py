"""Somebody who floods the webhook endpoint: python -m tests.benchmarks.forging URL COUNT PER_SECOND

COUNT forged deliveries from five addresses, evenly at PER_SECOND, over eight connections. Prints how many were answered
and how long it took; SIGTERM ends it early, with the same line. It needs nothing of Veza.
"""

import http.client
import signal
import sys
import threading
import time
from collections import Counter
from urllib.parse import urlsplit

ADDRESSES = 5
CONNECTIONS = 8
_stopped = threading.Event()


def forge(url: str, count: int, per_second: float) -> tuple[Counter[int], float]:
    """How many were answered with which status, and the seconds it took."""
    answers, turn, lock, started = Counter[int](), iter(range(count)), threading.Lock(), time.monotonic()

    def work() -> None:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
        while not _stopped.is_set():
            with lock:
                number = next(turn, None)
            if number is None:
                return
            time.sleep(max(0.0, started + number / per_second - time.monotonic()))
            status = _send(connection, urlsplit(url).path, number)
            with lock:
                answers[status] += 1

    threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers, time.monotonic() - started


def _send(connection: http.client.HTTPConnection, path: str, number: int) -> int:
    headers = {"Content-Type": "application/json", "X-Webhook-Signature-512": "0" * 128}
    headers["X-Forwarded-For"] = f"203.0.113.{number % ADDRESSES}"
    try:
        connection.request("POST", path, b'{"event_type": "payment_succeeded"}' + b" " * 1_000, headers)
        answer = connection.getresponse()
        answer.read()
    except OSError:
        connection.close()
        return 0
    return answer.status


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: _stopped.set())
    answered, seconds = forge(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
    payload = ", ".join(f"{count} times {status}" for status, count in sorted(answered.items()))
    print(f"{answered.total() / seconds:.0f} forged a second for {seconds:.0f} s: {payload}")
