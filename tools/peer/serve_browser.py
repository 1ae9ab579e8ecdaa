#!/usr/bin/env python3
"""Use the page of `simcse serve` in headless Chromium, as a reader would.

    serve_browser.py PROGRAM MODEL TEXTS OUT

Needs playwright and a Chromium, as report_browser.py does. Makes an index of TEXTS and hostile texts, and opens the
page with and without it, narrow and wide, in light and dark: nothing may be reported on its console, nothing wider
than the window, and no text may be markup. A search must show the hits that /search gives, a comparison the
sentences in the order of their similarity, and an error its message. Screenshots go to OUT.
"""
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

from playwright.sync_api import sync_playwright

SIZES = {"narrow": (390, 844), "wide": (1280, 900)}
HOSTILE = ["<script>alert(1)</script> how to boot", "<img src=x onerror=alert(2)> slow boot", "\u202efrom right to left: boot",
           "a word without an end: " + "boot" * 100, '"onmouseover=alert(3) boot']


def check(condition, what):
    if not condition:
        sys.exit(f"serve_browser.py: {what}")


def start(*command):
    server = subprocess.Popen([*command, "--port", "0"], stderr=subprocess.PIPE, text=True)
    for line in server.stderr:
        if found := re.search(r"serving at (http://\S+)", line):
            return server, found[1]
    sys.exit("serve_browser.py: the server has not started")


def search(address, query):
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/search", json.dumps({"query": query}).encode(), headers)
    with urllib.request.urlopen(request) as answer:
        return [hit["text"] for hit in json.load(answer)[0]]


def shown(section):
    section.locator("[role=status]", has_text="ms").wait_for()
    return section.locator(".hits .text").all_text_contents()


def use_search(page, address):
    section = page.locator("#search")
    section.locator("input").fill("slow boot")
    section.locator("input").press("Enter")
    found, expected = shown(section), search(address, "slow boot")
    check(found == expected and len(found) == 10, f"hits: {found}, expected {expected}")
    check(any("alert" in text for text in found), "no hostile text was found")
    section.locator("input").fill("no sound after the update")
    section.locator("button").click()
    section.locator("[role=status]", has_text="ms").wait_for()
    page.wait_for_function("first => document.querySelector('#search .hits .text').textContent !== first", arg=expected[0])


def use_similarity(page):
    section = page.locator("#similarity")
    section.locator("input").fill("my computer is slow to start")
    section.locator("textarea").fill("a recipe for soup\n\nit takes minutes to boot\n<b>hostile</b> & sons\n")
    section.locator("button").click()
    found = shown(section)
    check(len(found) == 3 and found[0] == "it takes minutes to boot" and "<b>hostile</b> & sons" in found, f"similarities: {found}")
    scores = [float(score) for score in section.locator(".score").all_text_contents()]
    check(scores == sorted(scores, reverse=True) and -1 <= scores[-1] < scores[0] <= 1, f"scores: {scores}")


def see_error(page):
    section = page.locator("#similarity")
    section.locator("textarea").fill("\n".join(f"line {number}" for number in range(300)))
    section.locator("button").click()
    section.locator("[role=status].error").wait_for()
    text = section.locator("[role=status]").text_content()
    check("batch size 301 > maximum allowed batch size 256" in text, f"an error: {text!r}")


def use(browser, address, out, has_index):
    kind = "search" if has_index else "similarity"
    for name, size in SIZES.items():
        for scheme in ["light", "dark"]:
            page = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
            seen = []
            page.on("console", lambda message: seen.append(f"console: {message.text}"))
            page.on("pageerror", lambda error: seen.append(f"error: {error}"))
            page.on("dialog", lambda dialog: (seen.append(f"dialog: {dialog.message}"), dialog.dismiss()))
            page.on("request", lambda request: request.url.startswith((address, "data:")) or seen.append(f"request: {request.url}"))
            page.goto(address)
            check(page.locator("#search").is_visible() == has_index, "a search is there if an index is")
            if has_index:
                use_search(page, address)
            use_similarity(page)
            wide = page.evaluate("document.documentElement.scrollWidth")
            check(wide <= size[0], f"{name}: {wide} pixels wide, expected at most {size[0]}")
            check(page.locator("main script, main img, main b").count() == 0, "markup in a text")
            unnamed = page.locator(":is(input, textarea):not([id])").count()
            check(unnamed == 0 and page.locator("label").count() == page.locator("input, textarea").count(), "a field without a label")
            page.screenshot(path=out / f"serve-{kind}-{name}-{scheme}.png", full_page=True)
            check(not seen, f"{name}, {scheme}: {seen}")
            see_error(page)
            # Chromium reports every status of an error.
            check(all("status of 413" in line for line in seen), f"{name}, {scheme}: {seen}")
            page.close()


def main():
    program, model, texts, out = *sys.argv[1:4], Path(sys.argv[4])
    out.mkdir(parents=True, exist_ok=True)
    with open(texts, encoding="utf-8") as file:
        lines = [line.rstrip("\n") for line in file][:500]
    corpus = out / "corpus.jsonl"
    rows = [{"text": text, "kind": "hostile" if text in HOSTILE else "title"} for text in lines + HOSTILE]
    corpus.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    shutil.rmtree(out / "index", ignore_errors=True)
    command = [program, "index", str(corpus), "--text-column", "text", "--model", model, "--output", str(out / "index")]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for command in [("--index", str(out / "index")), ("--model", model)]:
            server, address = start(program, "serve", *command)
            try:
                use(browser, address, out, command[0] == "--index")
            finally:
                server.terminate()
                check(server.wait(timeout=20) == 0, "the server's status")
        browser.close()
    print("the page: searched and compared, narrow and wide, in light and dark; nothing on its console")


if __name__ == "__main__":
    main()
