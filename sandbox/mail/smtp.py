"""The SMTP server, on a thread of its own: it accepts any log-in and any message, unless a fault is armed."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from sandbox.world import World

_REFUSED = "550 5.1.1 There is no such mailbox"
_CLOSING = "421 4.7.0 Too many messages in this connection"
_DEFERRED = "450 4.2.0 Greylisted, try again later"


class Receiver:
    """What aiosmtpd calls for each connection and message."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def handle_EHLO(  # noqa: N802 - named by aiosmtpd
        self, server: SMTP, session: Session, _envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        with self._world.lock:
            self._world.mailbox.connections += 1
        session.host_name = hostname
        return responses

    async def handle_MAIL(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        with self._world.lock:
            fault = self._world.mailbox.take("close")
        if fault is not None:
            return _CLOSING
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        with self._world.lock:
            fault = self._world.mailbox.take("refuse", "defer")
        if fault is not None:
            return _REFUSED if fault.kind == "refuse" else _DEFERRED
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        with self._world.lock:
            fault = self._world.mailbox.take("slow", "drop_before", "drop_after")
        if fault is not None and fault.kind == "slow":
            await asyncio.sleep(fault.seconds)
        if fault is None or fault.kind != "drop_before":
            content = envelope.original_content or b""
            with self._world.lock:
                self._world.mailbox.deliver(envelope.mail_from or "", list(envelope.rcpt_tos), content)
        if fault is not None and fault.kind.startswith("drop"):
            cast(asyncio.WriteTransport, server.transport).abort()
        return "250 OK"

    def check_login(self, *_credentials: Any) -> AuthResult:
        with self._world.lock:
            self._world.mailbox.log_ins += 1
            is_rejected = self._world.mailbox.take("reject_login") is not None
        return AuthResult(success=not is_rejected, handled=False)


def serve_mail(world: World, host: str, port: int) -> int:
    """Serve SMTP until the process ends, and return the port."""
    loop, receiver = asyncio.new_event_loop(), Receiver(world)

    def build() -> SMTP:
        return SMTP(
            receiver,
            hostname="sandbox",
            authenticator=receiver.check_login,
            auth_require_tls=False,
            auth_exclude_mechanism=["LOGIN"],
            loop=loop,
        )

    server = loop.run_until_complete(loop.create_server(build, host, port))
    threading.Thread(target=loop.run_forever, name="smtp", daemon=True).start()
    return int(server.sockets[0].getsockname()[1])
