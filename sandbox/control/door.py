"""The way in to the control API: from this machine only, and errors that say what was wrong."""

from __future__ import annotations

import ipaddress

from sandbox.deliveries import BadWebhookFault
from sandbox.exchange import Answer, Execute, Request, as_json
from sandbox.faults import BadFault
from sandbox.settings import BadSetting
from sandbox.world import World


class ControlError(ValueError):
    """Asked for something that cannot be done; `status` is the answer's."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class ControlDoor:
    def open(self, _world: World, request: Request) -> Answer | None:
        if ipaddress.ip_address(request.client).is_loopback:
            return None
        return refused("the control API answers this machine only", 403)

    def perform(self, _request: Request, execute: Execute) -> Answer:
        try:
            return execute()
        except ControlError as error:
            return refused(str(error), error.status)
        except (BadFault, BadWebhookFault, BadSetting) as error:
            return refused(str(error))

    def close(self, world: World, request: Request, answer: Answer | None) -> None:
        """Nothing is remembered per call."""

    def dress(self, _request: Request, answer: Answer) -> Answer:
        return answer

    def trouble(self, status: int) -> Answer:
        return refused("refused on request", status)


def refused(message: str, status: int = 400) -> Answer:
    return as_json({"error": message}, status)
