"""The payment provider's mode, proved by its page: live, sandbox or unproven."""

import re
from urllib.parse import urlsplit

from acceptance.caller import Answer

LIVE, SANDBOX, UNPROVEN = "live", "sandbox", "unproven"
# The page carries the account's publishable key: a live account's begins with pk_prd_, every other with pk_….
_LIVE_KEY = re.compile(r"\bpk_prd_\w+")
_OTHER_KEY = re.compile(r"\bpk_(?:snd|dev|int|test)_\w+")


def mode_of(page_url: str, page: Answer) -> str:
    """The mode of the payment page. Live only if the page shows a live key and nothing contradicts it.

    Veza's own status is not used: a wrong setting would make it wrong as well.
    """
    address = urlsplit(page_url)
    text = page.body if isinstance(page.body, str) else str(page.body)
    host = address.hostname or ""
    if page.headers.get("x-veza-sandbox") or "sandbox" in host or _OTHER_KEY.search(text):
        return SANDBOX
    is_live = page.status == 200 and address.scheme == "https" and _LIVE_KEY.search(text)
    return LIVE if is_live else UNPROVEN


def is_our_sandbox(page: Answer) -> bool:
    """Whether a program may pay: only on the sandbox's page, which marks every answer with a header."""
    return page.headers.get("x-veza-sandbox") == "1"
