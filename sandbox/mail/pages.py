"""The mailbox on a page: every message with its text, and its HTML in a frame that may load nothing."""

from __future__ import annotations

from html import escape

from sandbox.exchange import Answer, Request, as_json
from sandbox.mail.mailbox import Mail
from sandbox.pages import render_facts, render_page
from sandbox.world import World

NOTE = "E-mails go no further than this page."
_FRAME_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; sandbox"


def show_mailbox(world: World, _request: Request) -> Answer:
    rows = "".join(_row(mail) for mail in reversed(world.mailbox.mails))
    content = rows or '<p class="note">No e-mail has arrived yet.</p>'
    return render_page("Mailbox", NOTE, f'<section class="card"><h1>Mailbox</h1>{content}</section>')


def _row(mail: Mail) -> str:
    facts = [("To", ", ".join(mail.recipients)), ("At", mail.at)]
    title = escape(str(mail.parsed()["Subject"] or "No subject"))
    return f'<a class="button" href="/mailbox/{mail.number}">{title}</a>{render_facts([*facts])}'


def show_mail(world: World, _request: Request, number: str) -> Answer:
    mail = _find(world, number)
    if mail is None:
        return _not_found()
    parsed = mail.parsed()
    names = ("From", "To", "Date", "Message-ID", "Auto-Submitted", "List-Unsubscribe")
    facts = render_facts([(name, str(parsed[name]) if parsed[name] else None) for name in names])
    content = (
        f'<section class="card"><h1>{escape(str(parsed["Subject"]))}</h1>{facts}'
        f'<a class="button" href="/mailbox/{mail.number}/html">As HTML</a>'
        f'<p class="note">{escape(mail.body("plain")).replace(chr(10), "<br>")}</p>'
        '<a class="button" href="/mailbox">All e-mails</a></section>'
    )
    return render_page(str(parsed["Subject"]), NOTE, content)


def show_html(world: World, _request: Request, number: str) -> Answer:
    """The HTML alone, as a mail program would show it: it can load and run nothing."""
    mail = _find(world, number)
    if mail is None:
        return _not_found()
    headers = {"Content-Security-Policy": _FRAME_POLICY, "Cache-Control": "no-store"}
    return Answer(200, mail.body("html").encode(), headers, "text/html; charset=utf-8")


def show_emails(world: World, _request: Request) -> Answer:
    """Every message that was accepted, oldest first."""
    box = world.mailbox
    counts = {"log_ins": box.log_ins, "connections": box.connections}
    return as_json({"emails": [mail.as_json() for mail in box.mails], **counts})


def show_message_ids(world: World, _request: Request) -> Answer:
    """The Message-ID of every message that was accepted: all of a large mailbox, in an answer of a moment."""
    return as_json({"message_ids": [mail.message_id() for mail in world.mailbox.mails]})


def _find(world: World, number: str) -> Mail | None:
    mails = world.mailbox.mails
    return mails[int(number) - 1] if number.isdecimal() and 0 < int(number) <= len(mails) else None


def _not_found() -> Answer:
    content = '<section class="card"><h1>There is no such e-mail</h1></section>'
    return render_page("No such e-mail", NOTE, content, status=404)
