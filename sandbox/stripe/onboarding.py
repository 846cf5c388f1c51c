"""`/v1/account_links`, and the page behind the link: a form that a seller only has to submit."""

from __future__ import annotations

import time
from html import escape

from sandbox.exchange import Answer, Request, as_json, see_other
from sandbox.ids import new_id
from sandbox.pages import render_facts, render_page
from sandbox.stripe.accounts import activate
from sandbox.stripe.errors import bad_parameter, no_such
from sandbox.stripe.forms import decode, read_params
from sandbox.stripe.objects import Onboarding
from sandbox.world import World

CREATE = {
    **dict.fromkeys(("account", "collect", "refresh_url", "return_url", "type"), "str"),
    "collection_options": "map",
}
LIFE_SECONDS = 300
NOTE = "No data is required, and no money moves."


def create_account_link(world: World, request: Request) -> Answer:
    params = read_params(decode(request.form_pairs()), CREATE, mandatory=("account", "type"))
    if params["type"] not in ("account_onboarding", "account_update"):
        raise bad_parameter("Invalid type: must be one of account_onboarding or account_update", "type")
    for name in ("refresh_url", "return_url"):
        if not params.get(name, "").startswith(("http://", "https://")):
            raise bad_parameter("Not a valid URL", name, "url_invalid")
    account = world.accounts.get(params["account"])
    if account is None or account.closed or account.revoked:
        raise no_such("account", params["account"], param="account", status=400)
    at = int(time.time())
    link = Onboarding(new_id("", 24), account.id, params["return_url"], params["refresh_url"], at + LIFE_SECONDS)
    world.onboardings[link.token] = link
    base = world.settings.public_url or request.base_url
    url = f"{base}/setup/{account.id}/{link.token}"
    return as_json({"object": "account_link", "created": at, "expires_at": link.expires_at, "url": url})


def show_onboarding(world: World, _request: Request, account_id: str, token: str) -> Answer:
    """An expired link redirects to `refresh_url`, where the shop creates a new one."""
    link = _find_link(world, account_id, token)
    if link is None:
        return _render_not_found()
    if link.is_used or time.time() >= link.expires_at:
        return see_other(link.refresh_url)
    account = world.accounts[account_id]
    rows: list[tuple[str, str | None]] = [
        ("Account", account.id),
        ("E-mail", account.email),
        ("Country", account.country),
    ]
    content = (
        '<section class="card"><p class="seller">Stripe Connect, stand-in</p>'
        f"<h1>Receive your sales</h1>{render_facts(rows)}"
        '<form method="post"><button class="main">Activate this account</button></form>'
        f'<a class="button" href="{escape(link.return_url)}">Not now</a></section>'
    )
    return render_page("Receive your sales", NOTE, content, goes_to=link.return_url)


def finish_onboarding(world: World, request: Request, account_id: str, token: str) -> Answer:
    link = _find_link(world, account_id, token)
    if link is None:
        return _render_not_found()
    if link.is_used or time.time() >= link.expires_at:
        return see_other(link.refresh_url)
    link.is_used = True
    activate(world, world.accounts[account_id], cause=request)
    return see_other(link.return_url)


def _find_link(world: World, account_id: str, token: str) -> Onboarding | None:
    link = world.onboardings.get(token)
    return link if link and link.account_id == account_id else None


def _render_not_found() -> Answer:
    text = "Ask the shop for a new one."
    content = f'<section class="card"><h1>This link does not exist</h1><p class="note">{text}</p></section>'
    return render_page("No such link", NOTE, content, status=404)
