"""The HTML page: one file that needs no network, with the report's own numbers."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from stores import make_run, measured, spec

from textbench.report import page, pictures, write_report
from textbench.report.definitions import figure_specs, row_names
from textbench.report.sections import sections
from textbench.report.styles import Styles
from textbench.store.frames import frames
from textbench.store.read import read_store
from textbench.store.rows import Status

BREAKOUT = "</script><script>document.title='broken'</script><b x=\"'&"


class Page(HTMLParser):
    """Collects what a test asks about."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)
        for key, value in attrs:
            if key in ("src", "href", "srcset", "action"):
                self.urls.append(value or "")
            if key == "id":
                self.ids.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def nlls(*values: float) -> list[dict[str, float]]:
    return [{"nll_test": value, "nll_oracle": value + 1} for value in values]


def store(folder: Path) -> Path:
    for seed in (0, 1):
        warmup = spec("mle", seed, config={"epochs": 2})
        run = make_run(folder, warmup, nlls(9.0 + seed, 8.0, 7.0))
        (run.path / "samples.txt").write_text(f"1 2 {BREAKOUT}\n3 4\n" * 9, encoding="utf-8")
        make_run(folder, spec("seqgan", seed, warmup=warmup), nlls(6.0, 5.0 + seed))
    make_run(folder, spec("cot"), nlls(9.0, 6.0))
    failed = Status("failed", reason=BREAKOUT, traceback=f"Traceback:\n{BREAKOUT}")
    make_run(folder, spec("cot", 1), nlls(9.0), final=None, status=failed)
    named = spec("x", config={"x": BREAKOUT}, overrides={"x.x": BREAKOUT})
    make_run(folder, named, nlls(9.5, 9.25), env={"command": BREAKOUT, "cpu": BREAKOUT})
    return folder


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "figure_specs", lambda: figure_specs()[-1:])
        write_report(store(folder / "results"), folder / "out")
    return (folder / "out" / "report.html").read_text(encoding="utf-8")


def test_the_page_is_well_formed_and_its_links_lead_somewhere(html: str) -> None:
    parsed = Page(html)
    assert parsed.open == [] and len(set(parsed.ids)) == len(parsed.ids)
    for url in parsed.urls:
        assert url.startswith("data:image/png;base64,") or url.removeprefix("#") in parsed.ids


def test_the_page_asks_for_nothing_from_the_network(html: str) -> None:
    without_pictures = re.sub(r"data:image/png;base64,[\w+/=]+", "", html)
    urls = set(re.findall(r"\w+://[^\s\"'<)]*", without_pictures))
    assert urls <= {"http://www.w3.org/2000/svg"}  # the name of the SVG elements
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|<link", without_pictures)
    assert len(re.findall("data:image/png;base64,", html)) == 1


def test_text_from_runs_stays_text(html: str) -> None:
    assert "<script>document.title" not in html
    assert html.count("<script") == 2 and html.count("</script>") == 2
    assert "document.title=&#39;broken&#39;" in html


def test_everything_is_on_the_page(html: str) -> None:
    for text in (
        *("Does the paper reproduce?", "the paper&#39;s claims:", "synthetic, preset quick"),
        *("9.08†", "-(MLE)", "1 of 2", "paper ", "How to read this table", "Traceback:"),
        *("who is better?", "What this is worth", "Without a place"),
        *("Samples", "Provenance", "0123456789ab", "Learning curves", "prefers-color-scheme"),
    ):
        assert text in html, text
    assert html.count("3 4") == 2  # five of the eighteen lines, of the first seed only


def chart(folder: Path) -> dict[str, dict]:
    (section,) = sections(frames(read_store(folder)), row_names())
    data = json.loads(page.to_json(page.chart(section, Styles([section]))))
    for curves in data["curves"].values():
        for curve in curves.values():
            curve |= data["places"][curve["at"]]
    return data


def test_the_charts_curves_are_means_over_seeds_on_every_axis(tmp_path: Path) -> None:
    data = chart(store(tmp_path))
    keys = {row["name"]: key for key, row in data["rows"].items()}
    curves = data["curves"]["nll_test"]
    assert list(data["metrics"]) == ["nll_test", "nll_oracle"]
    assert len(data["places"]) == 4  # both metrics of a row stand at the same places
    mle, seqgan, cot = (curves[keys[name]] for name in ("MLE", "SeqGAN", "CoT"))
    assert (mle["epoch"], mle["mean"]) == ([0, 1, 2], [9.5, 8.0, 7.0])
    assert mle["low"] == mle["high"] == mle["mean"]  # two seeds have no interval worth a band
    assert (seqgan["epoch"], seqgan["mean"]) == ([2, 3, 4], [7.0, 6.0, 5.5])
    assert (mle["generator_updates"], mle["seconds"]) == ([0, 10, 20], [0, 2, 4])
    assert "tokens_sampled" not in mle  # not in these runs' ledger
    assert cot["mean"] == [9.0, 6.0]  # the failed seed is not in the mean


def test_the_same_epoch_may_take_another_time(tmp_path: Path) -> None:
    for seed in (0, 1):
        run = make_run(tmp_path, spec("x", seed), [], final=None)
        for epoch in (0, 1):
            row = {
                **{"step": epoch, "phase": "x", "epoch": epoch, "final": False, "ledger": {}},
                **{"seconds": epoch * (1.0 + seed), "cpu_seconds": 0.0},
                "metrics": measured({"a": 5.0 - seed}, "/1"),
            }
            run.append("metrics.jsonl", row)
    (curve,) = chart(tmp_path)["curves"]["a"].values()
    assert (curve["seconds"], curve["mean"]) == ([0, 1.5], [4.5, 4.5])


def test_three_seeds_have_a_band_of_their_t_interval(tmp_path: Path) -> None:
    for seed, value in enumerate((1.0, 2.0, 3.0)):
        make_run(tmp_path, spec("x", seed), [{"a": value}], final=None)
    (curve,) = chart(tmp_path)["curves"]["a"].values()
    half = 4.30265 / 3**0.5  # t of 2 degrees of freedom
    assert curve["low"] == pytest.approx([2 - half], abs=1e-4)
    assert curve["high"] == pytest.approx([2 + half], abs=1e-4)


def test_a_mean_beyond_all_floats_is_drawn_at_their_end(tmp_path: Path) -> None:
    """Finite values whose sum is not ended in a traceback."""
    for seed in range(3):
        make_run(tmp_path, spec("mle", seed), [{"nll_test": 9.0}, {"nll_test": 1.7e308}])
    ((line,),) = (list(lines.values()) for lines in chart(tmp_path)["curves"].values())
    assert line["mean"] == [9.0, 1.79769e308]


def test_json_cannot_close_its_script_element() -> None:
    text = page.to_json({"name": BREAKOUT})
    assert "<" not in text and json.loads(text) == {"name": BREAKOUT}


@pytest.mark.parametrize("width", [500, 1280])
def test_the_page_works_in_a_browser(html: str, tmp_path: Path, width: int) -> None:
    """At the narrowest window that Chromium has, and on a screen: no table needs scrolling."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine")
    probe = """<script>
      const wide = [...document.querySelectorAll(".scroll")].filter((box) =>
        box.querySelector("table.cards") && box.scrollWidth > box.clientWidth).length;
      const heads = document.querySelectorAll("[data-sortable] th");
      heads[2].querySelector("button").click();
      const rows = [...heads[2].closest("table").tBodies[0].rows];
      const [metric, axis] = document.querySelectorAll(".chart select");
      axis.value = "seconds"; axis.dispatchEvent(new Event("change"));
      document.querySelector(".legend button").click();
      const result = {
        sorted: rows.map((row) => row.cells[2].querySelector(".ours").textContent),
        lines: document.querySelectorAll(".chart > svg polyline").length,
        label: document.querySelector(".chart > svg").getAttribute("aria-label"),
        metrics: [...metric.options].map((option) => option.value),
        wide: document.documentElement.scrollWidth > window.innerWidth || wide,
        title: document.title,
      };
      const shown = document.createElement("output");
      shown.textContent = JSON.stringify(result);
      document.body.append(shown);
    </script></body>"""
    (tmp_path / "page.html").write_text(html.replace("</body>", probe), encoding="utf-8")
    command = [
        *(browser, "--headless", "--no-sandbox", "--no-zygote", "--disable-gpu", "--disable-quic"),
        *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
        *("--disable-sync", "--disable-extensions"),
        *("--disable-dev-shm-usage", f"--window-size={width},900", "--virtual-time-budget=2000"),
        *(f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"),
        (tmp_path / "page.html").as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    output = re.search(r"<output>(.*?)</output>", done.stdout)
    assert output is not None, done.stderr[-2000:]
    found = json.loads(output[1].replace("&lt;", "<").replace("&gt;", ">"))
    assert found == {
        "sorted": ["6.50 ± 0.71", "7.00", "8.00 ± 0.00", "10.25", "—", "—", "—", "—"],
        "lines": 3,  # four algorithms, one of them hidden
        "label": "nll_test against seconds of training",
        "metrics": ["nll_test", "nll_oracle"],
        "wide": False,
        "title": "textbench report",
    }
