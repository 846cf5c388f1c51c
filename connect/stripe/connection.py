"""How Stripe is reached: our own timeouts, no retries of the SDK's, no redirects, bounded answers.

Our rows own the retries, so the SDK must not make any; a redirect would send a seller's money, with our key,
to wherever an answer points; and a body without an end would hold a worker for ever.
"""

import os
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import requests
import stripe
from django.conf import settings

from veza.core.http import read_bounded, session_for

CONNECT_SECONDS, READ_SECONDS, DEADLINE_SECONDS = 3, 15, 20
MAX_ANSWER_BYTES = 2_000_000

# Telemetry writes a file into the home directory and says which calls were slow: neither is wanted here.
stripe.enable_telemetry = False


def stripe_client() -> stripe.StripeClient:
    """This process's client for the settings in force, built when first needed: a fork must not share
    sockets.
    """
    return _built(os.getpid(), settings.STRIPE_SECRET_KEY, settings.STRIPE_BASE_URL)


@lru_cache(maxsize=4)
def _built(_process: int, key: str, base_url: str) -> stripe.StripeClient:
    return stripe.StripeClient(
        key,
        base_addresses={"api": base_url},
        http_client=BoundedClient(timeout=(CONNECT_SECONDS, READ_SECONDS)),
        max_network_retries=0,
    )


class BoundedClient(stripe.RequestsClient):
    """The SDK's requests client, with what it leaves open closed. One session a thread."""

    def request(  # type: ignore[override]  # The SDK declares str and decodes the bytes it is given.
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """One exchange. Raises stripe.APIConnectionError, whose cause says whether anything was sent."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        try:
            with session_for("stripe", trust_env=False).request(
                method,
                url,
                headers=dict(headers or {}),
                data=post_data,
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                verify=stripe.ca_bundle_path,
                allow_redirects=False,
                stream=True,
            ) as response:
                return _read(response, deadline=deadline), response.status_code, response.headers
        except requests.RequestException as error:
            why = f"no answer: {type(error).__name__}"
            raise stripe.APIConnectionError(why) from error  # type: ignore[no-untyped-call]


def _read(response: requests.Response, *, deadline: float) -> bytes:
    body = read_bounded(response, limit=MAX_ANSWER_BYTES, deadline=deadline)
    if body is None:
        raise requests.exceptions.ContentDecodingError("the answer is too long or too slow")
    return body
