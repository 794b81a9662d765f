from __future__ import annotations

import itertools
import json
import math
import os
import re
import shutil
import time
from pathlib import Path

import pytest

from harness.report.frame.metric_info import QUANTITIES
from harness.report.frame.report_data import load_report_data
from harness.report.page import TERMS
from harness.report.plotting.style import DRAWN_LIKE, method_styles
from harness.report.write import write_report
from tests.helpers.synthetic_store import fabricate

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    study, store = fabricate(folder, defenses=6, seeds=(0, 1, 2))
    return write_report(load_report_data([study], store), folder / "report").page


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver")
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        assert "CI" not in os.environ, "Chromium is missing: install chromium and chromium-driver"
        pytest.skip("Chromium is not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield browser
    browser.quit()


@pytest.fixture
def at(page, chromium):
    """The page, freshly opened in a wide window."""
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    chromium.get("about:blank")
    chromium.get(page.as_uri())
    return chromium


def column(browser, table, name):
    """Return the texts of a column's rows that are in the document."""
    script = """
    const box = document.getElementById(arguments[0]);
    const heads = [...box.querySelectorAll("th")];
    const at = heads.findIndex((th) => th.innerText.trim() === arguments[1]);
    const rows = [...box.querySelectorAll("tbody tr:not(.spacer, .heading)")];
    return rows.map((row) => row.children[at].innerText);
    """
    return browser.execute_script(script, table, name)


def click(browser, css):
    browser.find_element("css selector", css).click()


def choose(browser, name, value):
    script = """const select = document.querySelector(`select[name=${arguments[0]}]`);
    select.value = arguments[1]; select.dispatchEvent(new Event("change"));"""
    browser.execute_script(script, name, value)


def head(browser, name):
    """Return the button of a column of the leaderboard."""
    heads = browser.find_elements("css selector", "#board-table th button")
    return next(button for button in heads if button.text.split()[0] == name)


def shown(browser, css):
    return browser.find_element("css selector", css).text


def numbers(texts):
    return [float(text.split()[0].replace("−", "-")) for text in texts if not text.startswith("–")]


def test_the_leaderboard_sorts_both_ways_best_first(at):
    head(at, "ASR").click()
    values = numbers(column(at, "board-table", "ASR"))
    assert len(values) == 14
    assert values == sorted(values)
    head(at, "ASR").click()
    assert numbers(column(at, "board-table", "ASR")) == values[::-1]
    assert at.find_element("css selector", "th[aria-sort=descending]").text.startswith("ASR")


def headings(browser):
    script = "return [...document.querySelectorAll('#board-table .heading')].map(x => x.innerText)"
    return browser.execute_script(script)


def test_the_board_is_in_groups_until_it_is_sorted(at):
    groups = ["SPC 2", "SPC 2 · oracle", "SPC 10", "SPC 10 · oracle"]
    assert headings(at) == groups
    before = column(at, "board-table", "defense")
    assert before[0] == "no defense"
    for expected in ([], [], groups):
        head(at, "ASR").click()
        assert headings(at) == expected
    assert column(at, "board-table", "defense") == before


def test_copy_buttons_give_the_files(at, page):
    at.execute_script("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    at.execute_script("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    buttons = at.execute_script(
        "return [...document.querySelectorAll('button.copy')].map((x) => x.dataset.file)"
    )
    files = [name for name in buttons if "." in name]
    assert {"leaderboard.csv", "ranks.tex", "victims.md", "curves.csv"} <= set(files)
    for name in files:
        click(at, f"button.copy[data-file='{name}']")
        copied = at.execute_script("return window.copied")
        assert copied == (page.parent / name).read_text(encoding="utf-8"), name
    click(at, "button.copy[data-file='tradeoff']")
    assert r"\includegraphics{tradeoff}" in at.execute_script("return window.copied")
    links = at.find_elements("css selector", "p.file a")
    linked = {link.get_attribute("href").rpartition("/")[2] for link in links}
    assert {name for name in linked if not (page.parent / name).exists()} == set()
    assert len(links) > len(files)


def test_dark_screens_invert_lines_and_leave_pictures(at):
    def filters():
        script = """return [...document.querySelectorAll("figure img")].map((image) => [
            image.closest("figure").id.slice(7), getComputedStyle(image).filter]);"""
        return dict(at.execute_script(script))

    assert set(filters().values()) == {"none"}
    click(at, "#theme")
    dark = filters()
    assert dark["curves"] == dark["tradeoff"] != "none"
    assert dark["gallery"] == dark["heatmap"] == dark["classes"] == "none"
    script = """const [filter, colours] = arguments;
        const canvas = document
          .createElement("canvas").getContext("2d", { willReadFrequently: true });
        canvas.filter = filter;
        return colours.map((colour) => {
          canvas.fillStyle = colour;
          canvas.fillRect(0, 0, 9, 9);
          return [...canvas.getImageData(4, 4, 1, 1).data].slice(0, 3);
        });"""
    colours = sorted({style.color for style in method_styles(DRAWN_LIKE, set(), "ims").values()})
    seen = at.execute_script(script, dark["curves"], colours)
    assert len(seen) == 9
    for a, b in itertools.combinations(seen, 2):
        assert math.dist(a, b) > 40, "two colours of methods look alike on a dark screen"
    assert all(math.dist(colour, (20, 20, 20)) > 100 for colour in seen)
    click(at, "#theme")


def test_every_metric_of_the_board_is_explained():
    explained = {word for term in TERMS for word in term.split(", ")}
    labels = {quantity.label.removeprefix("Δ") for quantity in QUANTITIES.values()}
    assert labels <= explained


def test_no_script_is_made_of_data(page):
    text = page.read_text(encoding="utf-8")
    opened = re.findall(r"<script[^>]*>", text)
    data = [f'<script type="application/json" id="{x}">' for x in ("data", "copies", "records")]
    assert opened == data + ["<script>"] * 3
    assert text.count("</script>") == 6


def test_the_board_shows_the_statistics_of_the_report(at, page):
    row = next(
        line
        for line in (page.parent / "leaderboard.md").read_text().splitlines()
        if "method_03" in line
    )
    acc = row.split("|")[2].split()[0]
    names, values = column(at, "board-table", "defense"), column(at, "board-table", "ACC")
    assert dict(zip(names[::-1], values[::-1], strict=True))["method_03"].split()[0] == acc


def test_filters_narrow_the_board_and_the_cells(at):
    everything = int(shown(at, "#cells-count").split()[0])
    assert everything == 7 * 2 * 3 * 2
    choose(at, "attack", "attack_1")
    assert column(at, "board-table", "n")[0] in {"3/3", "2/3"}
    assert set(column(at, "cells-table", "attack")) == {"attack_1"}
    choose(at, "budget", "SPC 2")
    choose(at, "needs", "triggers")
    assert column(at, "board-table", "defense") == ["method_01"]
    assert shown(at, "#cells-count") == f"3 of {everything} cells"
    click(at, "#filters button[type=reset]")
    time.sleep(0.1)
    assert shown(at, "#cells-count") == f"{everything} of {everything} cells"


def test_the_address_keeps_filters_and_order(at, page):
    choose(at, "budget", "SPC 2")
    head(at, "ASR").click()
    address = at.current_url
    assert "budget=SPC+2" in address
    assert "sort=ASR" in address
    before = column(at, "board-table", "defense")
    at.get("about:blank")
    at.get(address)
    assert column(at, "board-table", "defense") == before
    assert set(column(at, "board-table", "budget")) == {"SPC 2"}
    at.get("about:blank")
    at.get(page.as_uri())
    assert set(column(at, "board-table", "budget")) == {"SPC 2", "SPC 10"}


def test_the_best_is_bold_and_no_oracle(at):
    choose(at, "budget", "SPC 2")
    bold = at.execute_script(
        "return [...document.querySelectorAll('#board-table b')].map("
        "(node) => node.closest('tr').cells[0].textContent)"
    )
    assert bold
    assert not {"no defense", "method_01"} & set(bold)


def test_the_head_says_what_made_the_numbers(at):
    head_text = shown(at, "header")
    assert "1 of 6 victims failed the gate" in head_text
    clone = (Path(__file__).parents[2] / ".git").exists()
    assert re.search(r"Defuse 0\.\d+\.\d+" + (" at [0-9a-f]{7,}" if clone else ""), head_text)
    assert "PyTorch" in head_text


def test_a_count_on_the_board_leads_to_its_cells(at):
    choose(at, "budget", "SPC 10")
    click(at, "#board-table tbody tr:not(.spacer):nth-child(3) button")
    (name,) = set(column(at, "cells-table", "defense"))
    assert name == column(at, "board-table", "defense")[0]
    assert shown(at, "#cells-count").startswith("6 of")


def test_a_cell_opens_by_keyboard_and_tells_its_record(at):
    choose(at, "state", "ok")
    choose(at, "defense", "method_00")
    link = at.find_element("css selector", "#cells-table tbody a")
    key = link.get_attribute("href").partition("#cell-")[2]
    link.send_keys("\n")
    said = shown(at, "#record")
    words = ("method_00", key, "seed", "Spec", "loss", "inverse", "changed 10.00 %")
    assert all(word in said.replace("\n", " ") for word in words)
    assert len(at.find_elements("css selector", "#record svg path")) == 2
    at.switch_to.active_element.send_keys("\ue00c")  # Escape
    time.sleep(0.1)
    assert not at.find_element("css selector", "#record").is_displayed()


def test_an_error_is_shown_as_text_with_its_traceback(at):
    choose(at, "state", "error")
    click(at, "#cells-table tbody a")
    said = shown(at, "#record")
    assert "ValueError: it broke <b>& badly</b> (error)" in said
    assert "Traceback: line 1" in said
    assert not at.find_elements("css selector", "#record b")


def test_an_address_opens_its_record(at, page):
    key = at.execute_script("return cellRows[0].key")
    at.get("about:blank")
    at.get(f"{page.as_uri()}#cell-{key}")
    assert key in shown(at, "#record")


def test_dark_and_light(at):
    def back():
        return at.execute_script("return getComputedStyle(document.body).backgroundColor")

    light = back()
    click(at, "#theme")
    assert light == "rgb(255, 255, 255)"
    assert back() == "rgb(20, 23, 26)"
    click(at, "#theme")
    assert back() == light


def test_a_phone_scrolls_tables_and_not_the_page(at):
    metrics = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    at.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    assert at.execute_script("return document.documentElement.scrollWidth") == 360
    assert at.execute_script("return document.getElementById('board-table').scrollWidth") > 360
    assert at.execute_script("return document.querySelector('figure div').scrollWidth") > 600


def test_a_phone_shows_numbers_beside_the_names(at, page):
    metrics = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    at.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    at.get("about:blank")
    at.get(page.as_uri())
    ends = at.execute_script(
        "return [...document.querySelectorAll('#board-table thead th')].map((x) => "
        "[x.innerText.trim(), x.getBoundingClientRect().right])"
    )
    assert [name for name, right in ends if right <= 390] == ["defense", "ACC", "ASR"]
    assert headings(at)[0] == "SPC 2"


def test_print_has_every_row_of_the_board(at):
    at.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert len(column(at, "board-table", "defense")) == 14
    pdf = at.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"]
    assert len(pdf) > 100_000


def test_only_the_rows_in_view_are_in_the_document(at):
    at.execute_script(
        "list.fill(Array.from({ length: 5000 }, (_, at) => ({ ...cellRows[at % 60], seed: at })))"
    )
    assert len(column(at, "cells-table", "seed")) < 60
    spent = at.execute_async_script("""
        const done = arguments[0], begun = performance.now();
        const box = document.getElementById("cells-table");
        box.scrollTop = 30 * 2500;
        requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - begun)));
    """)
    assert "2500" in column(at, "cells-table", "seed")
    assert spent < 500


def test_no_errors_and_no_request_leaves_the_file(at, page):
    at.execute_script("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert [
        entry for entry in at.get_log("browser") if entry["level"] in {"SEVERE", "WARNING"}
    ] == []
    events = [json.loads(entry["message"])["message"] for entry in at.get_log("performance")]
    sent = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    asked = [one["request"]["url"] for one in sent if one["documentURL"].startswith(page.as_uri())]
    assert page.as_uri() in asked
    assert [url for url in asked if not url.startswith((page.as_uri(), "data:"))] == []
    text = page.read_text(encoding="utf-8")
    assert "<script src" not in text
    assert "@import" not in text


def test_methods_studies_and_figures_are_in_the_page(at, page):
    links = [a.get_attribute("href") for a in at.find_elements("css selector", "#methods a")]
    assert "https://arxiv.org/abs/2401.00003" in links
    assert "defuse run made_up.yaml" in shown(at, "#again")
    assert "attacks: [attack_0.py, attack_1.py]" in shown(at, "#again")
    assert "Made-up method number 3: does nothing." in shown(at, "#again")
    images = at.execute_script("return [...document.images].map((image) => image.naturalWidth)")
    assert len(images) == len(list(page.parent.glob("*.png")))
    assert all(images)
