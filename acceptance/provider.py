"""What the payment provider itself says about the money: real, play, or nothing that proves either."""

import re
from urllib.parse import urlsplit

from acceptance.caller import Answer

LIVE, SANDBOX, UNPROVEN = "live", "sandbox", "unproven"
# The page carries the account's publishable key: a live account's begins with pk_prd_, every other with pk_….
_LIVE_KEY = re.compile(r"\bpk_prd_\w+")
_OTHER_KEY = re.compile(r"\bpk_(?:snd|dev|int|test)_\w+")


def mode_of(page_url: str, page: Answer) -> str:
    """Whose money the payment page takes. Live only if the page shows a live key, and nothing says otherwise.

    What Veza's own status says is not asked: a wrong setting would say the same wrong thing.
    """
    address = urlsplit(page_url)
    text = page.body if isinstance(page.body, str) else str(page.body)
    host = address.hostname or ""
    if page.headers.get("x-veza-sandbox") or "sandbox" in host or _OTHER_KEY.search(text):
        return SANDBOX
    proven = page.status == 200 and address.scheme == "https" and _LIVE_KEY.search(text)
    return LIVE if proven else UNPROVEN


def is_our_sandbox(page: Answer) -> bool:
    """Whether a machine may press the button: only on the double's page, which says on each answer what it is."""
    return page.headers.get("x-veza-sandbox") == "1"
