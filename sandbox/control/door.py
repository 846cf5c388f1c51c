"""Access to the control API: from this machine only, with errors that name the problem."""

from __future__ import annotations

import ipaddress

from sandbox.deliveries import InvalidWebhookFault
from sandbox.exchange import Answer, Execute, Request, as_json
from sandbox.faults import InvalidFault
from sandbox.mail.mailbox import InvalidMailFault
from sandbox.settings import InvalidSetting
from sandbox.world import World


class ControlError(ValueError):
    """The request cannot be fulfilled; `status` is the status of the answer."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class ControlDoor:
    def open(self, _world: World, request: Request) -> Answer | None:
        if ipaddress.ip_address(request.client).is_loopback:
            return None
        return refuse("the control API answers this machine only", 403)

    def perform(self, _request: Request, execute: Execute) -> Answer:
        try:
            return execute()
        except ControlError as error:
            return refuse(str(error), error.status)
        except (InvalidFault, InvalidWebhookFault, InvalidMailFault, InvalidSetting) as error:
            return refuse(str(error))

    def close(self, world: World, request: Request, answer: Answer | None) -> None:
        """Nothing is stored per call."""

    def dress(self, _request: Request, answer: Answer) -> Answer:
        return answer

    def trouble(self, status: int) -> Answer:
        return refuse("refused on request", status)


def refuse(message: str, status: int = 400) -> Answer:
    return as_json({"error": message}, status)
