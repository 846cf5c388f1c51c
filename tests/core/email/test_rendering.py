"""What an e-mail looks like, and what no title or name can do to it."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone, translation

from veza.core.email.content import Button, Content, Line, Notice, Paragraph, Table
from veza.core.email.formats import day, moment, money, percent
from veza.core.email.rendering import LinkNotAllowed, plain, render

HOSTILE = "Sketch\r\nBcc: all@example.com\u202e\u200b http://evil.example www.evil.example <script>alert(1)</script>"


def content(*blocks, subject_line="A note") -> Content:
    return Content(subject_line, "A note", list(blocks))


def test_a_title_cannot_break_a_header_hide_its_direction_or_become_a_link():
    rendered = render(content(Table([Line(HOSTILE)]), subject_line=HOSTILE))

    assert "\n" not in rendered.subject_line
    assert "\r" not in rendered.subject_line
    for text in (rendered.subject_line, rendered.text, rendered.html):
        assert not set("\u202e\u200b") & set(text)
        assert "http://evil" not in text
        assert "www.evil" not in text
    assert "<script>" not in rendered.html


@pytest.mark.parametrize("dot", [".", "\u3002", "\uff0e", "\uff61"])
def test_a_bare_domain_or_address_is_broken_too(dot):
    rendered = render(content(Paragraph(f"Pay at evil{dot}example/x or help@evil{dot}example. Then 3.5 of v1.2")))

    for text in (rendered.text, rendered.html):
        assert f"evil{dot}example" not in text
        assert "3.5 of v1.2" in text


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/",
        "https://shop.example.evil.example/",
        "https://shop.example@evil.example/",
        "javascript:alert(1)",
        "https://shop.example/\r\nx",
        'https://shop.example/"onclick="',
        "//shop.example/",
    ],
)
def test_a_link_leads_to_a_listed_origin_or_the_email_is_not_made(url, settings):
    settings.EMAIL_LINK_ORIGINS = ["https://shop.example"]

    with pytest.raises(LinkNotAllowed):
        render(content(Button("Pay", url)))


def test_a_listed_link_is_in_both_the_text_and_the_html(settings):
    settings.EMAIL_LINK_ORIGINS = ["https://shop.example"]
    url = "https://shop.example/pay?order=1&lang=fr"

    rendered = render(content(Button("Pay", url)))

    assert url in rendered.text
    assert url.replace("&", "&amp;") in rendered.html


def test_an_email_loads_nothing_and_shows_its_styles_inline():
    html = render(content(Paragraph("Hello"), Notice("Done", "good"))).html

    assert not [each for each in ("<img", "url(", "@import", "<link", "<script", "src=") if each in html]
    assert 'style="' in html
    assert "prefers-color-scheme: dark" in html


def test_text_and_html_say_the_same():
    rendered = render(content(Paragraph("Hello"), Table([Line("Work", "10", "Detail")], [Line("Total", "12")])))

    for word in ("Hello", "Work", "10", "Detail", "Total", "12"):
        assert word in rendered.text
        assert word in rendered.html


@pytest.mark.parametrize(
    ("language", "amount", "yen", "rate", "date"),
    [
        ("en", "€1,234.50", "JP¥1,200", "5.5%", "1 March 2026"),
        ("fr", "1 234,50 €", "1 200 JPY", "5,5 %", "1er mars 2026"),
    ],
)
def test_amounts_rates_and_days_follow_the_language(language, amount, yen, rate, date):
    with translation.override(language):
        shown = [money(1_234_50, "EUR"), money(1_200, "JPY"), percent(550), day(datetime(2026, 3, 1, tzinfo=UTC))]

    assert [" ".join(text.split()) for text in shown] == [amount, yen, rate, date]


def test_a_moment_is_that_of_the_readers_time_zone():
    with timezone.override(ZoneInfo("Europe/Paris")):
        assert moment(datetime(2026, 3, 31, 23, 30, tzinfo=UTC)) == "1 April 2026, 01:30 (Europe/Paris)"


def test_spaces_that_keep_an_amount_together_stay():
    assert plain("1\N{NARROW NO-BREAK SPACE}234,50\N{NO-BREAK SPACE}€") == "1\u202f234,50\u00a0€"
