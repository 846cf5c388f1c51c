"""Sixteen people who deliver at once: python -m tests.benchmarks.side_by_side.load REQUESTS PORT SECONDS

REQUESTS is a file of requests as they go over the wire, each after a line with its length. Each has a connection of its
own, as a provider's has. Prints one line of JSON: how many were answered with which status, and their milliseconds.
"""

import json
import socket
import sys
import threading
import time
from collections import Counter
from pathlib import Path

CONNECTIONS = 16


def read_requests(file: Path) -> list[bytes]:
    raw, requests, at = file.read_bytes(), [], 0
    while at < len(raw):
        end = raw.index(b"\n", at)
        length = int(raw[at:end])
        requests.append(raw[end + 1 : end + 1 + length])
        at = end + 1 + length
    return requests


def send(port: int, request: bytes) -> int:
    """The status of the answer; 0 when there was none."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(request)
        answer = bytearray()
        while part := client.recv(4_096):
            answer += part
    return int(answer[9:12] or 0)


def run(requests: list[bytes], port: int, seconds: float) -> dict[str, object]:
    """Send them in turn for `seconds`, or until there are no more."""
    turn, lock = iter(requests), threading.Lock()
    statuses, taken = Counter[int](), []
    begun = time.perf_counter()

    def work() -> None:
        mine: list[float] = []
        while time.perf_counter() - begun < seconds:
            with lock:
                request = next(turn, None)
            if request is None:
                break
            sent = time.perf_counter()
            status = send(port, request)
            mine.append((time.perf_counter() - sent) * 1_000)
            with lock:
                statuses[status] += 1
        with lock:
            taken.extend(mine)

    threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - begun
    taken.sort()
    return {
        "per_second": len(taken) / took,
        "p50": taken[len(taken) // 2],
        "p99": taken[len(taken) * 99 // 100],
        "statuses": dict(statuses),
        "ran_out": next(turn, None) is None,
    }


if __name__ == "__main__":
    print(json.dumps(run(read_requests(Path(sys.argv[1])), int(sys.argv[2]), float(sys.argv[3]))))
