"""Plain HTML pages: one frame for all, no script, no external resources."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from urllib.parse import urlsplit

from sandbox.exchange import Answer

STYLE = """
:root { color-scheme: light dark; --page: #f4f5f8; --card: #fff; --text: #16181d; --soft: #5b6270;
  --line: #dfe2e8; --accent: #3538cd; --accent-text: #fff; --notice: #fff4d6; --notice-text: #6b4a00;
  --good: #e3f5e8; --good-text: #14532d; --bad: #fde8e8; --bad-text: #8a1c1c; }
@media (prefers-color-scheme: dark) { :root { --page: #101218; --card: #191c24; --text: #eef0f4;
  --soft: #a3abba; --line: #323746; --accent: #a4a9ff; --accent-text: #10132b; --notice: #3a2f10;
  --notice-text: #ffe3a0; --good: #12351f; --good-text: #b5f0c8; --bad: #401a1c; --bad-text: #ffc9c9; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; background: var(--page); color: var(--text); line-height: 1.5;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
.sandbox { margin: 0; padding: .7rem 1.25rem; background: var(--notice); color: var(--notice-text);
  text-align: center; font-size: .95rem; }
main { width: 100%; max-width: 30rem; margin: 0 auto; padding: 2.5rem 1.25rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 1.75rem;
  box-shadow: 0 1px 2px rgb(0 0 0 / .05), 0 10px 30px rgb(0 0 0 / .05); }
.seller { margin: 0; font-weight: 600; color: var(--soft); }
h1 { margin: .35rem 0 0; font-size: 1.15rem; font-weight: 600; overflow-wrap: anywhere; }
.amount { margin: .75rem 0 0; font-size: 2.4rem; line-height: 1.15; font-weight: 700; letter-spacing: -.02em;
  font-variant-numeric: tabular-nums; }
.amount small { font-size: 1.1rem; font-weight: 600; color: var(--soft); letter-spacing: 0; }
dl { margin: 1.5rem 0 0; padding: 0; border-top: 1px solid var(--line); font-size: .92rem; }
dl div { display: flex; gap: 1rem; justify-content: space-between; padding: .55rem 0;
  border-bottom: 1px solid var(--line); }
dt { color: var(--soft); min-width: 25%; overflow-wrap: anywhere; }
dd { margin: 0; text-align: right; overflow-wrap: anywhere; min-width: 30%; }
form { margin: 1.5rem 0 0; display: grid; grid-template-columns: 1fr 1fr; gap: .75rem; }
button, .button { font: inherit; font-weight: 600; min-height: 3rem; padding: .6rem 1rem; border-radius: 10px;
  border: 1px solid var(--line); background: transparent; color: var(--text); cursor: pointer; }
.main { grid-column: 1 / -1; background: var(--accent); border-color: var(--accent);
  color: var(--accent-text); font-size: 1.05rem; }
.button { display: grid; place-content: center; margin-top: 1.5rem; text-decoration: none; }
form + .button { margin-top: .75rem; }
button:hover, .button:hover { filter: brightness(1.08); border-color: var(--soft); }
button:focus-visible, a:focus-visible { outline: 3px solid var(--accent); outline-offset: 3px; }
.note { margin: 1.25rem 0 0; padding: .75rem 1rem; border-radius: 10px; background: var(--page); }
.good { background: var(--good); color: var(--good-text); }
.bad { background: var(--bad); color: var(--bad-text); }
.foot { margin: 1.25rem .25rem 0; color: var(--soft); font-size: .85rem; text-align: center; }
@media (max-width: 480px) { main { padding: 1.25rem 1rem; } .card { padding: 1.25rem; } }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
_DECIMALS = {
    **dict.fromkeys(
        [
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ],
        0,
    ),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
}


def render_page(title: str, sandbox_note: str, content: str, *, status: int = 200, goes_to: str = "") -> Answer:
    """A whole page. `content` is escaped HTML; `goes_to` is where its form may redirect to."""
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><style>{STYLE}</style><link rel="icon" href="data:,"></head><body>'
        f'<p class="sandbox"><strong>Sandbox.</strong> {escape(sandbox_note)}</p>'
        f"<main>{content}</main></body></html>"
    )
    return Answer(status, html.encode(), _security_headers(goes_to), "text/html; charset=utf-8")


def format_money(amount_minor: int, currency: str) -> str:
    """`1,234.50`, with as many decimals as the currency has."""
    decimals = _DECIMALS.get(currency, 2)
    whole, rest = divmod(amount_minor, 10**decimals)
    return f"{whole:,}.{rest:0{decimals}d}" if decimals else f"{whole:,}"


def render_facts(rows: list[tuple[str, str | None]]) -> str:
    """A list of names and values, without those whose value is empty."""
    rows_html = (f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in rows if value)
    return f"<dl>{''.join(rows_html)}</dl>"


def _security_headers(goes_to: str) -> dict[str, str]:
    parts = urlsplit(goes_to)
    # Browsers apply this list to the redirect after a form as well.
    targets = f"'self' {parts.scheme}://{parts.netloc}" if parts.netloc else "'self'"
    policy = (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; base-uri 'none';"
        f" frame-ancestors 'none'; form-action {targets}"
    )
    return {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
