"""The page, used in a browser as a person uses it: by typing, by keys, by what a screen reader is told."""

import os
import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Route, expect, sync_playwright

from hms.bench.service import Service

PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Yield the machine's own browser; nothing is downloaded."""
    program = shutil.which("chromium")
    assert program, "no chromium: .venv/bin/hms tools tests"
    with sync_playwright() as playwright:
        # Its sandbox refuses to run as root.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        with playwright.chromium.launch(executable_path=program, args=arguments) as launched:
            yield launched


@pytest.fixture
def complaints() -> list[str]:
    """Return what the browser's console says, filled while the page is used."""
    return []


@pytest.fixture
def page(browser: Browser, service: Service, complaints: list[str]) -> Iterator[Page]:
    """Yield the page, open. It may complain of nothing, a breach of its own policy above all."""

    def heard(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            complaints.append(message.text)

    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        context.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        opened = context.new_page()
        opened.on("console", heard)
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        opened.goto(service.url)
        expect(opened.get_by_role("searchbox")).to_be_focused()
        yield opened
    assert complaints == []


def hits(page: Page) -> list[str]:
    return page.locator("#hits .code").all_text_contents()


def test_it_searches_as_one_types(page: Page) -> None:
    text = page.get_by_role("searchbox")
    text.press_sequentially("heart fail", delay=20)
    expect(page.locator("#hits .code").first).to_have_text("I50")
    expect(page.get_by_role("status")).to_contain_text("hits")
    assert hits(page)[0] == "I50"
    text.press_sequentially("ure xylophone", delay=5)
    expect(page.get_by_role("status")).to_have_text("Nothing was found.")
    assert hits(page) == []


def test_it_asks_once_for_a_word_typed_at_a_stretch(page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_role("searchbox").press_sequentially("asthma", delay=0)
    expect(page.locator("#hits .code").first).to_have_text("J45")
    assert len(asked) < len("asthma")
    assert asked[-1].endswith("q=asthma")


def test_it_is_used_by_keys_alone(page: Page) -> None:
    page.keyboard.type("s72.001")
    expect(page.locator("#hits .code").first).to_have_text("S72.001")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("button", name=re.compile("^S72.001A "))).to_be_focused()
    page.keyboard.press("Enter")
    detail = page.get_by_role("region", name="Code")
    expect(detail.get_by_role("heading", level=2)).to_be_focused()
    expect(detail).to_contain_text("Part of")
    expect(detail.get_by_role("button", name="Fracture of femur", exact=True)).to_be_visible()
    expect(detail).to_contain_text("traumatic amputation of hip and thigh")
    page.keyboard.press("Escape")
    expect(detail).to_be_hidden()
    expect(page.get_by_role("button", name=re.compile("^S72.001A "))).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("searchbox")).to_be_focused()


def test_it_says_what_was_meant(page: Page) -> None:
    page.get_by_role("searchbox").fill("hart falure")
    correction = page.get_by_role("button", name="heart failure", exact=True)
    expect(correction).to_be_visible()
    expect(page.locator("#hits .hit").first).to_contain_text("by corrected words")
    correction.click()
    expect(page.locator("#meant")).to_be_hidden()
    expect(page.get_by_role("searchbox")).to_have_value("heart failure")
    expect(page.locator("#hits .code").first).to_have_text("I50")


def test_it_turns_pages_and_narrows(page: Page) -> None:
    page.get_by_role("searchbox").fill("fracture of femur")
    more = page.get_by_role("button", name="More hits")
    more.click()
    expect(page.locator("#hits .hit")).to_have_count(40)
    expect(page.locator("#hits .hit").nth(20)).to_be_focused()
    assert len(set(hits(page))) == 40
    page.get_by_label("Billable codes only").check()
    expect(page.locator("#hits .hit")).to_have_count(20)
    expect(page.locator("#hits small", has_text="not billable")).to_have_count(0)


def test_a_search_and_a_code_have_an_address(page: Page, browser: Browser) -> None:
    page.get_by_role("searchbox").fill("asthma")
    page.locator("#hits .hit").first.click()
    expect(page.get_by_role("region", name="Code").get_by_role("heading", level=2)).to_contain_text("Asthma")
    with browser.new_context() as context:
        again = context.new_page()
        again.goto(page.url)
        expect(again.get_by_role("searchbox")).to_have_value("asthma")
        expect(again.get_by_role("region", name="Code").get_by_role("heading", level=2)).to_contain_text("J45")


def test_what_it_shows_is_text_and_never_markup(page: Page) -> None:
    page.route(
        "**/api/v1/search?*",
        lambda route: route.fulfill(
            json={
                "query": "x",
                "release": "<b>r</b>",
                "hits": [
                    {
                        "code": "A00",
                        "title": "<img src=x onerror=alert(1)>",
                        "billable": True,
                        "chapter": 1,
                        "match": "words",
                    }
                ],
                "did_you_mean": None,
                "next": None,
            }
        ),
    )
    page.get_by_role("searchbox").fill("anything")
    expect(page.locator("#hits .hit").first).to_contain_text("<img src=x onerror=alert(1)>")
    assert page.locator("img, b").count() == 0


def test_it_waits_as_long_as_it_is_told_to(page: Page, complaints: list[str]) -> None:
    refusals: list[dict[str, Any]] = [
        {"status": 429, "headers": {"retry-after": "1"}, "json": {"title": "Too many requests"}}
    ]

    def refused_once(route: Route) -> None:
        if refusals:
            route.fulfill(**refusals.pop())
        else:
            route.continue_()

    page.route("**/api/v1/search?*", refused_once)
    page.get_by_role("searchbox").fill("asthma")
    expect(page.get_by_role("status")).to_contain_text("asking again in 1 s")
    expect(page.locator("#hits .code").first).to_have_text("J45")
    assert all("429" in complaint for complaint in complaints)
    complaints.clear()


def test_its_policy_lets_nothing_else_run(service: Service) -> None:
    answer = service.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert re.findall(r"script-src ([^;]+)", policy)[0].startswith("'sha256-")
    assert re.findall(r"(?:src|href)=\"([^\"]*)\"", answer.text) == ["data:,", "/api/v1/openapi.json"]
