"""`python -m sandbox`: start the sandbox and serve until a signal stops it."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import FrameType

from sandbox.dispatch import Dispatcher
from sandbox.mail.smtp import serve_mail
from sandbox.server import SandboxServer
from sandbox.settings import InvalidSetting, Settings, parse_schedule
from sandbox.world import World


def main(arguments: list[str] | None = None) -> int:
    options = _build_parser().parse_args(arguments)
    world = World(_read_settings(options))
    server = SandboxServer(options.host, options.port, Dispatcher(world))
    _stop_on_signal(server)
    port = server.server_address[1]
    smtp_port = serve_mail(world, options.host, options.smtp_port)
    if options.smtp_port_file:
        _write_atomically(options.smtp_port_file, f"{smtp_port}\n")
    if options.port_file:
        _write_atomically(options.port_file, f"{port}\n")
    host = f"[{options.host}]" if ":" in options.host else options.host
    print(f"Sandbox for Hyperswitch and Stripe on http://{host}:{port} (no money moves)", flush=True)
    print(f"Mail server on {host}:{smtp_port}; its mailbox: http://{host}:{port}/mailbox", flush=True)
    server.serve_forever(poll_interval=0.2)
    return 0


def _build_parser() -> argparse.ArgumentParser:
    defaults = Settings()
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--port-file", type=Path, help="the port is written here, atomically, once it is known")
    parser.add_argument("--smtp-port", type=int, default=0, help="of the mail server; 0: any free port")
    parser.add_argument("--smtp-port-file", type=Path, help="the mail server's port is written here, before the other")
    parser.add_argument("--public-url", default="", metavar="URL", help="for links, if browsers need another address")
    parser.add_argument("--hyperswitch-webhook-url", default="", metavar="URL")
    parser.add_argument("--hyperswitch-webhook-secret", default=defaults.hyperswitch_webhook_secret, metavar="S")
    parser.add_argument("--stripe-webhook-url", default="", metavar="URL")
    parser.add_argument("--stripe-webhook-secret", default=defaults.stripe_webhook_secret, metavar="S")
    parser.add_argument("--hyperswitch-api-key", default=defaults.hyperswitch_api_key, metavar="KEY")
    parser.add_argument("--stripe-api-key", default=defaults.stripe_api_key, metavar="KEY")
    parser.add_argument("--activate-accounts", action="store_true", help="new accounts can be paid at once")
    parser.add_argument("--platform-balance-minor", type=int, default=defaults.platform_balance_minor, metavar="N")
    parser.add_argument("--refund-delay-seconds", type=float, default=defaults.refund_delay_seconds, metavar="S")
    parser.add_argument(
        "--retry-schedule",
        type=_parse_schedule,
        default=defaults.retry_schedule,
        metavar="S,S,...",
        help="seconds before each further webhook attempt; stands in for the real 24 hours",
    )
    return parser


def _read_settings(options: argparse.Namespace) -> Settings:
    overrides = {name: value for name, value in vars(options).items() if name in Settings.__dataclass_fields__}
    return replace(Settings(), **overrides)


def _parse_schedule(text: str) -> tuple[float, ...]:
    try:
        return parse_schedule(text)
    except InvalidSetting as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _stop_on_signal(server: SandboxServer) -> None:
    def stop(_signal: int, _frame: FrameType | None) -> None:
        # From another thread: shutdown waits for the loop that this handler interrupts.
        threading.Thread(target=server.shutdown, daemon=True).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


def _write_atomically(path: Path, text: str) -> None:
    """Write atomically: a reader sees the whole file or none."""
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_text(text)
    partial.replace(path)


if __name__ == "__main__":
    sys.exit(main())
