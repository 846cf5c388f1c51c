from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sandbox.process import Sandbox
from tests.sandbox.receiver import Receiver


@pytest.fixture(scope="package")
def running_sandbox() -> Iterator[Sandbox]:
    with Sandbox(refund_delay_seconds=0.02, retry_schedule="0.05,0.05") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Sandbox:
    """A sandbox without any state."""
    running_sandbox.reset()
    return running_sandbox


@pytest.fixture
def receiver(sandbox: Sandbox) -> Iterator[Receiver]:
    """Receives both providers' webhooks."""
    receiver = Receiver()
    sandbox.settings(hyperswitch_webhook_url=receiver.url, stripe_webhook_url=receiver.url)
    yield receiver
    sandbox.settings(hyperswitch_webhook_url="", stripe_webhook_url="")
    receiver.close()
