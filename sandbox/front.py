"""Pages without an API key: the front page, and Hyperswitch's health."""

from __future__ import annotations

from sandbox.exchange import Answer, Execute, Request, as_json
from sandbox.pages import render_page
from sandbox.world import World


class PublicDoor:
    def open(self, world: World, request: Request) -> Answer | None:
        """Every caller is allowed."""

    def perform(self, _request: Request, execute: Execute) -> Answer:
        return execute()

    def close(self, world: World, request: Request, answer: Answer | None) -> None:
        """Nothing is stored per call."""

    def dress(self, _request: Request, answer: Answer) -> Answer:
        return answer

    def trouble(self, status: int) -> Answer:
        return Answer(status, b"Refused by the sandbox on request", content_type="text/plain; charset=utf-8")


def show_front(_world: World, _request: Request) -> Answer:
    content = (
        '<section class="card"><h1>Veza sandbox</h1><p class="note">A stand-in for Hyperswitch and Stripe'
        " Connect. It keeps everything in memory and forgets it when it stops.</p>"
        '<a class="button" href="/mailbox">Mailbox</a></section>'
    )
    return render_page("Veza sandbox", "No money moves here.", content)


def show_health(_world: World, _request: Request) -> Answer:
    return Answer(200, b"health is good", content_type="text/plain; charset=utf-8")


def show_ready(_world: World, _request: Request) -> Answer:
    parts = ("database", "redis", "analytics", "outgoing_request")
    return as_json({**dict.fromkeys(parts, True), "opensearch": False})
