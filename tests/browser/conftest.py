"""A real browser before a running Veza. Without one (playwright and chromium) these tests are skipped."""

import os
import shutil
from collections.abc import Iterator

import pytest

from veza.core.models import User

WHERE_CHROMIUM_IS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync")


@pytest.fixture(scope="session")
def chromium() -> Iterator[object]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next(filter(None, map(shutil.which, WHERE_CHROMIUM_IS)), None)
    if program is None:
        pytest.skip("there is no chromium on this machine")
    # Playwright runs an event loop in this thread; the tests' own queries beside it are meant.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


class Desk:
    """A member of staff at their computer. Errors in the browser's console are recorded."""

    def __init__(self, page: object, base: str) -> None:
        self.page, self.base, self.complaints = page, base, []
        page.on("console", lambda payload: self.complaints.append(payload.text) if payload.type == "error" else None)

    def log_in(self, person: User) -> None:
        self.page.goto(f"{self.base}/admin/")
        self.page.fill("#id_username", person.email)
        self.page.fill("#id_password", "a-long-password")
        self.page.keyboard.press("Enter")
        self.page.get_by_role("heading", name="Overview").wait_for()

    def search(self, payload: str) -> None:
        self.page.get_by_role("searchbox").first.fill(payload)
        self.page.keyboard.press("Enter")
        self.page.wait_for_load_state()

    def confirm(self, label: str, *, reason: str) -> None:
        """Press the button and give the reason, with the keyboard alone: the cursor waits in the field."""
        button = self.page.get_by_role("button", name=label)
        button.focus()
        self.page.keyboard.press("Enter")
        self.page.get_by_role("heading", name="What will happen").wait_for()
        self.page.keyboard.type(reason)
        self.page.keyboard.press("Tab")
        self.page.keyboard.press("Enter")
        self.page.locator(".messagelist").wait_for()

    def text(self) -> str:
        return self.page.inner_text("main")

    def width(self) -> int:
        return self.page.evaluate("document.documentElement.scrollWidth")


@pytest.fixture
def desk(chromium, live_server) -> Iterator[Desk]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    context.set_default_timeout(15_000)
    yield Desk(context.new_page(), live_server.url)
    context.close()
