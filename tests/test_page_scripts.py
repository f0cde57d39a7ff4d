"""Runs the *.test.js files: JavaScript is tested where it runs, each test in a page of its own."""

import re
from collections.abc import Iterator

import pytest
from page_support import PAGES, film, launch
from playwright.sync_api import Browser, sync_playwright

pytestmark = pytest.mark.browser

DOCUMENT = '<!doctype html><body><script src="/harness.js"></script></body>'
CASES = [
    (file.name, name)
    for file in sorted(PAGES.glob("*.test.js"))
    for name in re.findall(r'^test\("(.+)", ', file.read_text(), re.MULTILINE)
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launch(playwright.chromium)
        yield browser
        browser.close()


@pytest.mark.parametrize(("file", "name"), CASES)
def test_script(browser: Browser, file: str, name: str) -> None:
    with film(browser, DOCUMENT) as session:
        session.page.add_script_tag(content=(PAGES / file).read_text())
        session.page.evaluate("(name) => tests[name]()", name)
