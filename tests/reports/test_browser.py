"""The page in a browser: it is drawn, filters and keys work, nothing is fetched, the console stays empty."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from report_scene import HOSTILE, told_of

from ssl_mix.reports.run_page import run_page

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
CACHED = sorted(Path.home().glob(".cache/ms-playwright/chromium-*/chrome-linux/chrome"))
INSTALLED = [path for name in NAMES if (path := shutil.which(name))]
BROWSER = next(iter([*INSTALLED, *map(str, CACHED[-1:])]), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="neither chromium nor Chrome is installed"),
]
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--enable-logging=stderr",
    "--virtual-time-budget=4000",
)
DRIVER = """
<script>
addEventListener("load", () => setTimeout(() => {
  const all = (query) => [...document.querySelectorAll(query)];
  const text = (query) => document.querySelector(query).textContent;
  const set = (node, value) => { node.value = value; node.dispatchEvent(new Event("change")); };
  const press = (node, key) => node.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  const found = { curves: all(".chart path").length, shown: all(".shown figure").length };
  const [sets, truth, taken] = all(".gallery select"), [low, high] = all(".gallery input");
  set(sets, sets.options[sets.options.length - 1].value);
  found.all = text(".gallery p");
  set(truth, truth.options[1].value);
  found.one_class = [text(".gallery p"), truth.options[1].text, all(".shown figure").length];
  set(low, 50);
  found.confident = all(".shown figcaption").map((node) => node.textContent);
  set(low, 0); set(high, 100); set(taken, truth.options[2].value);
  found.mistaken = all(".shown figure").map((node) => node.className);
  set(truth, -1); set(taken, -1);
  const more = all(".gallery button").pop();
  more.click();
  found.more = all(".shown figure").length;
  const button = document.querySelector(".chart button");
  button.click();
  found.off = [button.getAttribute("aria-pressed"), all(".chart path").length];
  const plot = document.querySelector(".plot");
  press(plot, "ArrowRight");
  found.tip = text(".tip");
  press(document.querySelector(".matrix [tabindex]"), "ArrowDown");
  found.cell = text(".matrix p");
  const sort = all("table.sortable")[0];
  const column = () => [...sort.tBodies[0].rows].map((row) => row.cells[1].dataset.value);
  sort.tHead.rows[0].cells[1].firstChild.click();
  found.up = column();
  sort.tHead.rows[0].cells[1].firstChild.click();
  found.down = column();
  found.numbered = ["class 10", "class 9"].sort(byName);
  dispatchEvent(new Event("beforeprint"));
  found.undrawn = all(".drawn:not([data-done])").length;
  found.wide = document.documentElement.scrollWidth - innerWidth;
  found.fetched = performance.getEntriesByType("resource").map((one) => one.name);
  found.fetched = found.fetched.filter((name) => !name.startsWith("data:"));
  const outcome = document.createElement("pre");
  outcome.id = "found";
  outcome.textContent = JSON.stringify(found);
  document.body.append(outcome);
}, 300));
</script>
"""


def opened(page: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    home = f"--user-data-dir={page.parent / 'profile'}"
    return subprocess.run(
        [str(BROWSER), *FLAGS, home, *flags, page.as_uri()], capture_output=True, text=True, timeout=120
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a reader at 1280 pixels sees and does; "console": what the browser complains of."""
    folder = tmp_path_factory.mktemp("browser")
    page = folder / "page.html"
    page.write_text(run_page(told_of(folder, HOSTILE, 300)).replace("</body>", f"{DRIVER}</body>"), "utf-8")
    browser = opened(page, "--window-size=1280,900", "--dump-dom")
    outcome = re.search(r'<pre id="found">(.*?)</pre>', browser.stdout, re.DOTALL)
    assert outcome is not None, browser.stderr[-2000:]
    unescaped = outcome[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    told: dict[str, Any] = json.loads(unescaped)
    return told | {"console": [line for line in browser.stderr.splitlines() if ":CONSOLE" in line]}


def test_nothing_is_fetched_and_the_console_is_empty(found: dict[str, Any]) -> None:
    assert found["fetched"] == [] and found["console"] == []


def test_curves_are_drawn_toggled_and_read_by_keys(found: dict[str, Any]) -> None:
    assert found["curves"] > 0
    assert found["off"] == ["false", found["curves"] - 1]
    assert found["tip"].startswith("step 50")


def test_filters_leave_what_was_asked_for(found: dict[str, Any]) -> None:
    assert "of 300 pictures" in found["all"] and found["one_class"][1] in HOSTILE
    assert "of 100 pictures" in found["one_class"][0] and found["one_class"][2] == 48
    sure = [float(match[1]) for text in found["confident"] if (match := re.search(r"([\d.]+) %", text))]
    assert len(sure) == len(found["confident"]) > 0 and min(sure) >= 50
    assert set(found["mistaken"]) <= {"wrong"} and found["more"] == 96


def test_the_matrix_is_read_by_keys_and_tables_are_sorted(found: dict[str, Any]) -> None:
    assert "images of" in found["cell"] and "are taken for" in found["cell"]
    assert [float(v) for v in found["up"]] == sorted(float(v) for v in found["up"])
    assert found["down"] == found["up"][::-1] and found["numbered"] == ["class 9", "class 10"]


def test_what_is_folded_is_drawn_for_the_printer(found: dict[str, Any]) -> None:
    assert found["undrawn"] == 0


def test_a_phone_need_not_scroll_sideways(found: dict[str, Any], tmp_path: Path) -> None:
    assert found["wide"] <= 0
    page, frame = tmp_path / "page.html", tmp_path / "frame.html"
    page.write_text(run_page(told_of(tmp_path, (*HOSTILE, "x" * 200, "name " * 40), 60)), "utf-8")
    measure = "document.title = document.querySelector('iframe').contentDocument.documentElement.scrollWidth"
    inner = f'<iframe src="{page.name}" style="width:400px;height:900px;border:0"></iframe>'
    frame.write_text(
        f"{inner}<script>addEventListener('load', () => setTimeout(() => {{ {measure} }}, 300))</script>"
    )
    dom = opened(frame, "--allow-file-access-from-files", "--dump-dom").stdout
    width = re.search(r"<title>(\d+)</title>", dom)
    assert width is not None and int(width[1]) <= 400
