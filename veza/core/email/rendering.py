"""From content to what is sent: the text, the HTML with its styles inline, and nothing in it that could mislead.

Titles and names come from users. No text may break a header, hide its direction, or look like a link; links lead only
to the origins of EMAIL_LINK_ORIGINS.
"""

import re
import unicodedata
from dataclasses import dataclass
from urllib.parse import urlsplit

import css_inline
from django.conf import settings
from django.template.loader import render_to_string
from django.utils.translation import get_language

from veza.core.email.content import Block, Button, Content, Line, Notice, Paragraph, Table

SUBJECT_LENGTH = 200
_SPACES = re.compile(r"\s+")
# What a mail program would turn into a link.
_SCHEME, _WWW = re.compile(r"(?<=\w)://"), re.compile(r"\bwww\.", re.IGNORECASE)
# Nor a domain or an address without a scheme, such as `pay.example`: all that browsers take for its dot is followed by
# an invisible character, which ends it.
_DOMAIN_DOT = re.compile(r"(?<=\w)([.\u3002\uff0e\uff61])(?=[^\W\d_])")
_BROKEN_DOT = "\\1\N{ZERO WIDTH NON-JOINER}"
# Dark colours stay in a style sheet: no inline style can depend on the reader's colour scheme.
_inliner = css_inline.CSSInliner(keep_style_tags=False, load_remote_stylesheets=False)


class LinkNotAllowed(Exception):
    """A message links to an origin that is not in EMAIL_LINK_ORIGINS."""


@dataclass(frozen=True)
class Rendered:
    """An e-mail as it is sent."""

    subject_line: str
    text: str
    html: str
    language: str


def render(content: Content, *, unsubscribe_url: str = "") -> Rendered:
    """Lay out `content` in the active language. Raises LinkNotAllowed."""
    language = get_language() or settings.LANGUAGE_CODE
    context = {
        "subject_line": plain(content.subject_line)[:SUBJECT_LENGTH],
        "headline": plain(content.headline),
        "amount": plain(content.amount),
        "blocks": [_clean(block) for block in content.blocks],
        "unsubscribe_url": unsubscribe_url,
        "sender": plain(settings.SMTP_FROM_NAME),
        "language": language,
    }
    html = _inliner.inline(render_to_string("email/message.html", context))
    text = re.sub(r"\n{3,}", "\n\n", render_to_string("email/message.txt", context)).strip() + "\n"
    return Rendered(str(context["subject_line"]), text, html, language)


def plain(text: str) -> str:
    """`text` on one line, without control and direction characters, and with nothing that looks like a link."""
    spaced = _SPACES.sub(" ", text.replace("\N{NO-BREAK SPACE}", "\0").replace("\N{NARROW NO-BREAK SPACE}", "\1"))
    visible = "".join(each for each in spaced if each in "\0\1" or unicodedata.category(each) not in _HIDDEN)
    visible = visible.replace("\0", "\N{NO-BREAK SPACE}").replace("\1", "\N{NARROW NO-BREAK SPACE}")
    return _DOMAIN_DOT.sub(_BROKEN_DOT, _WWW.sub("www .", _SCHEME.sub(": //", visible))).strip()


# Control, format (direction and zero width), surrogate and private-use characters.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})


def _clean(block: Block) -> Block:
    match block:
        case Paragraph(text=text):
            return Paragraph(plain(text))
        case Notice(text=text, tone=tone):
            return Notice(plain(text), tone)
        case Table(lines=lines, totals=totals, title=title):
            return Table([_clean_line(each) for each in lines], [_clean_line(each) for each in totals], plain(title))
        case Button(label=label, url=url):
            return Button(plain(label), _allowed(url))


def _clean_line(line: Line) -> Line:
    return Line(plain(line.label), plain(line.value), plain(line.detail))


def _allowed(url: str) -> str:
    """The link itself, if it leads where an e-mail may lead."""
    parts = urlsplit(url)
    origins = {_origin(each) for each in settings.EMAIL_LINK_ORIGINS}
    if parts.scheme not in ("https", "http") or _origin(url) not in origins or url != plain_url(url):
        raise LinkNotAllowed(f"{parts.scheme}://{parts.netloc} is not one of EMAIL_LINK_ORIGINS")
    return url


def plain_url(url: str) -> str:
    """`url` without what has no place in one: spaces, quotes, control characters."""
    return re.sub(r"[^\x21\x23-\x26\x28-\x3b\x3d\x3f-\x5b\x5d\x5f\x61-\x7a\x7e]", "", url)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()
