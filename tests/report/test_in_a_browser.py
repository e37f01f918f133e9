"""The page of an audit in a real browser: nothing is loaded, nothing runs over, and everything can be read.

The page stands in an ``iframe`` of a given width, and a script beside it measures; the page's own policy forbids
scripts in it. The browser prints the document that results, so no driver is needed.
"""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("jinja2")

from securefl.auditing.run_audit import AuditReport
from securefl.cli.audit_view import page_of
from securefl.report.audit_page import render

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no browser is installed: apt-get install chromium"),
]
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *(
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
    ),
    *("--no-pings", "--host-resolver-rules=MAP * ~NOTFOUND"),
)
LIMIT_S = 240.0
DESKTOP, PHONE = 1280, 360
LEAST_CONTRAST = 4.5
"""Of text, as WCAG 2.2 asks for at level AA (criterion 1.4.3)."""

HARNESS = """<!DOCTYPE html><meta charset="utf-8"><body style="margin:0">
<iframe id="page" width="WIDTH" height="900" style="border:0" srcdoc="PAGE"></iframe><pre id="measured"></pre>
<script>
const light = text => {
  const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const paper = (node, view) => {
  for (; node; node = node.parentElement) {
    const found = view.getComputedStyle(node).backgroundColor;
    if (!/, 0\\)$/.test(found)) return found;
  }
  return "rgb(255, 255, 255)";
};
document.getElementById("page").addEventListener("load", event => {
  const page = event.target.contentDocument, view = event.target.contentWindow;
  const shown = node => node.getClientRects().length && view.getComputedStyle(node).clipPath === "none";
  const texts = [...page.querySelectorAll("body *")].filter(node => shown(node) && !node.closest("thead")
    && [...node.childNodes].some(child => child.nodeType === 3 && child.data.trim()));
  const contrasts = texts.map(node => {
    const style = view.getComputedStyle(node);
    const pair = [light(node.closest("svg") ? style.fill : style.color), light(paper(node, view))];
    return [(Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05), node.tagName];
  });
  document.getElementById("measured").textContent = JSON.stringify({
    title: page.title,
    verdict: page.querySelector("[role=status]").textContent,
    over: page.documentElement.scrollWidth - page.documentElement.clientWidth,
    loaded: view.performance.getEntriesByType("resource").length,
    scripts: page.scripts.length,
    images: page.images.length,
    headings: [...page.querySelectorAll("h1, h2")].map(node => node.textContent),
    chart: page.querySelectorAll("svg[role=img] polyline").length,
    contrast: contrasts.sort((one, other) => one[0] - other[0])[0],
    texts: texts.length,
    squeezed: texts.filter(node => !node.closest("svg") && node.textContent.trim().length > 12
      && node.getBoundingClientRect().width < 60).map(node => node.tagName),
    unlabelled: [...page.querySelectorAll("section")].filter(node =>
      !page.getElementById(node.getAttribute("aria-labelledby"))).length,
  });
});
</script>
"""


def browse(folder: Path, *flags: str) -> str:
    """What the browser prints; its whole process group is gone afterwards."""
    assert BROWSER is not None
    command = [BROWSER, *FLAGS, f"--user-data-dir={folder / 'profile'}", *flags]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    ) as process:
        try:
            return process.communicate(timeout=LIMIT_S)[0]
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def measured(page: str, folder: Path, *, width: int) -> dict[str, Any]:
    """Measures of a page that is shown at a width, in CSS pixels."""
    harness = folder / "harness.html"
    harness.write_text(
        HARNESS.replace("WIDTH", str(width)).replace("PAGE", html.escape(page)), encoding="utf-8"
    )
    printed = browse(folder, "--virtual-time-budget=10000", "--dump-dom", harness.as_uri())
    found = re.search(r'<pre id="measured">(\{.*?\})</pre>', printed, flags=re.DOTALL)
    assert found, "the browser did not show the page"
    value: dict[str, Any] = json.loads(html.unescape(found[1]))
    return value


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_a_page_is_whole_and_readable(holds: AuditReport, tmp_path: Path, width: int) -> None:
    seen = measured(render(page_of(holds)), tmp_path, width=width)
    assert seen["title"] == "Privacy audit of quarter"
    assert seen["verdict"] == "Everything that was checked holds."
    assert seen["headings"][1:4] == ["What was promised", "Budget over rounds", "Figures"]
    assert seen["chart"] == 5
    assert seen["over"] <= 0, "it is wider than the screen"
    assert seen["squeezed"] == [], "words stand one letter below the other"
    assert seen["unlabelled"] == 0
    assert seen["texts"] > 50
    assert seen["contrast"][0] >= LEAST_CONTRAST, f"the least contrast is that of {seen['contrast'][1]}"


def test_names_that_try_to_be_markup_load_and_run_nothing(fails: AuditReport, tmp_path: Path) -> None:
    seen = measured(render(page_of(fails)), tmp_path, width=PHONE)
    assert seen["title"] == "Privacy audit of quarter"
    assert (seen["loaded"], seen["scripts"], seen["images"]) == (0, 0, 0)
    assert seen["verdict"] == "2 things do not hold."
    assert seen["over"] <= 0, "a long name makes it wider than the screen"
