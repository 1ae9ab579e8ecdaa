#!/usr/bin/env python3
"""Open a page in headless Chromium, as a reader would, and check what a test of text cannot.

    report_browser.py REPORT OUT

Needs playwright and a Chromium: the one of `playwright install chromium`, or one that the system has
(CHROMIUM, or `chromium` in PATH). Checks that the page asks for nothing but itself, that nothing is
reported on its console, that nothing is wider than the window (390 and 1280 pixels), that a dot of
the map shows its sentence under the pointer and by the arrow keys, in both maps, and that no
sentence is markup. On a page of several runs, each box of the legend must hide a run's lines, by the
keyboard, and the lines must differ in color and, without it, in dashes or marks. Screenshots in
light and dark, and the page as it prints, go to OUT.
"""
import os
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

SIZES = {"narrow": (390, 844), "wide": (1280, 900)}


def check(condition, what):
    if not condition:
        sys.exit(f"report_browser.py: {what}")


def open_page(browser, report, size, scheme):
    """The page, and what its console and its network have seen."""
    page = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    seen = []
    page.on("console", lambda message: seen.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: seen.append(f"error: {error}"))
    page.on("dialog", lambda dialog: (seen.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("request", lambda request: request.url == report.as_uri() or seen.append(f"request: {request.url}"))
    page.goto(report.as_uri())
    return page, seen


def check_map(page):
    output = page.locator("#sentence")
    dots = page.locator(".map").first.locator("circle")
    check(dots.count() > 1, "a map without dots")
    dots.nth(dots.count() - 1).hover(force=True)
    shown = output.text_content()
    titles = [title.text_content() for title in dots.locator("title").all()]
    check(shown in titles, f"under the pointer: {shown!r}, which is no sentence of a dot")
    check(page.locator(".here").count() == page.locator(".map").count(), "the dot is not marked in every map")
    page.locator(".map").first.focus()
    before = titles.index(shown)
    page.keyboard.press("ArrowRight")
    marked = int(page.locator(".map").first.locator(".here").get_attribute("data-i"))
    check(output.text_content() == titles[marked] and marked != before, "an arrow key does not show the next sentence")


def check_legend(page):
    boxes = page.locator(".legend input")
    chart = page.locator("svg[aria-label=Loss]")
    looks = set()
    for number in range(boxes.count()):
        color = f"#{0x100000 + number:06X}"
        lines = chart.locator(f"polyline[stroke='{color}']")
        check(lines.count() > 0 and lines.first.is_visible(), f"run {number} has no line on the chart of the loss")
        style = "(line) => [getComputedStyle(line).stroke, getComputedStyle(line).strokeDasharray]"
        stroke, dashes = lines.first.evaluate(style)
        marks = chart.locator(f"[fill='{color}']").first
        looks.add((stroke, dashes, marks.evaluate("(mark) => mark.tagName + (mark.getAttribute('points') || '').split(' ').length")))
        boxes.nth(number).focus()
        page.keyboard.press("Space")
        check(not lines.first.is_visible(), f"run {number} is still shown")
        page.keyboard.press("Space")
        check(lines.first.is_visible(), f"run {number} is not shown again")
    check(len({look[0] for look in looks}) == min(boxes.count(), 8), f"colors of lines: {looks}")
    check(len({look[1:] for look in looks}) == boxes.count(), f"dashes and marks of lines: {looks}")


def main():
    report, out = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    check(report.stat().st_size < 2_000_000, f"{report.stat().st_size} bytes, expected less than 2 MB")
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, size in SIZES.items():
            for scheme in ["light", "dark"]:
                page, seen = open_page(browser, report, size, scheme)
                wide = page.evaluate("document.documentElement.scrollWidth")
                check(wide <= size[0], f"{name}: {wide} pixels wide, expected at most {size[0]}")
                check(page.locator("main script").count() == 0, "markup in a sentence")
                unnamed = page.locator("svg:not([aria-label]):not([aria-hidden])").count()
                check(unnamed == 0, f"{unnamed} charts without a name")
                if page.locator(".map").count():
                    check_map(page)
                if page.locator(".legend").count():
                    check_legend(page)
                page.screenshot(path=out / f"{report.stem}-{name}-{scheme}.png", full_page=True)
                check(not seen, f"{name}, {scheme}: {seen}")
                page.close()
        page, _ = open_page(browser, report, SIZES["wide"], "light")
        page.pdf(path=out / f"{report.stem}.pdf", format="A4")
        browser.close()
    print(f"{report.name}: opened narrow and wide, in light and dark; nothing on its console")


if __name__ == "__main__":
    main()
