"""The report: one page that needs nothing else, a Markdown summary, and README's tables."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from stages import report
from stages.common.errors import UnmaskError
from tests.conftest import ROOT

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def scores(auc: float, val: float) -> dict:
    rates = {"0.1": 0.9, "0.01": auc - 0.1, "0.0001": None}
    bounds = {"low": auc - 0.01, "high": min(1.0, auc + 0.01)}
    interval = {"auc": bounds, "tar_at_0.1": bounds, "tar_at_0.01": bounds, "tar_at_0.0001": None}
    return {
        "auc": auc,
        "eer": 1 - auc,
        "tar_at_far": rates,
        "false_rejects_at_bare_threshold": rates,
        "interval": interval,
        "decidability_val": val,
        "pairs": {"genuine": 10, "impostor": 100},
    }


def ranks(rank_1: float) -> dict:
    return {
        "rank": {"1": rank_1, "5": 1.0},
        "rank_1_interval": {"low": 0.5, "high": 1.0},
        "fnir_at_fpir": {"0.1": None},
    }


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Write metrics of two recognizers, the first one's zeroed faces best on val; and those of a real run."""
    folder = tmp_path / "metrics"
    (folder / "figures").mkdir(parents=True)
    shutil.copytree(ROOT / "metrics/curves", folder / "curves")
    shutil.copytree(ROOT / "metrics/costs", folder / "costs")
    for path in (ROOT / "metrics").glob("*.json"):
        if not path.name.startswith(("verify-", "identify-")):
            shutil.copy(path, folder)
    names = ("bare-bare", *(f"{kind}-bare" for kind in ("masked", "zeroed", "inpainted")), "upper-bare_upper")
    for place, recognizer in enumerate(("one", "two")):
        value = {name: 0.99 - 0.05 * number for number, name in enumerate(names)}
        val = {name: 2.0 + (name == "zeroed-bare") - place / 2 for name in names}
        verified = {
            "series": {"as_it_is": {name: scores(value[name] - place / 10, val[name]) for name in names}},
            "best_on_val": {"head": "as_it_is", "series": "zeroed-bare"},
        }
        (folder / f"verify-{recognizer}.json").write_text(json.dumps(verified))
        identified = {"series": {"as_it_is": {name: ranks(value[name]) for name in names}}}
        (folder / f"identify-{recognizer}.json").write_text(json.dumps(identified))
    rng = np.random.default_rng(0)
    for name in ("verify-one", "identify-one", "clean-orl", "inpaint-orl"):
        cv2.imwrite(str(folder / f"figures/{name}.png"), rng.integers(0, 255, (300, 1400, 3), np.uint8))
    return folder


@pytest.fixture
def written(results: Path, tmp_path: Path) -> tuple[str, str]:
    page, summary = tmp_path / "report/index.html", tmp_path / "report/summary.md"
    found = report.report(results, page, summary, report.Params())
    assert found["pictures"] == 5  # and the curves
    assert not list(page.parent.glob(".*"))
    return page.read_text(), summary.read_text()


def test_the_best_on_val_is_told_and_stressed(written: tuple[str, str]):
    page, summary = written
    assert "(one, zeroed - bare, as it is) has AUC 0.890 (0.88 to 0.90) and TAR 0.790 (0.88 to 0.90)" in summary
    assert "masked faces as they are has AUC 0.940" in summary
    stressed = re.findall(r'<tr class="best">(.*?)</tr>', page, re.DOTALL)
    assert [row.split("</td>")[0] for row in stressed] == ["<td>one", "<td>one", "<td>zeroed-bare"]
    of_two = summary[summary.index("### two: all") :]
    order = re.findall(r"^\| (\S+-\S+) \| as it is", of_two, re.MULTILINE)
    assert order == ["bare-bare", "masked-bare", "zeroed-bare", "inpainted-bare", "upper-bare_upper"]
    assert "| zeroed-bare | as it is | 0.790 (0.78 to 0.80) |" in of_two
    assert "n/a" in summary  # what could not be measured


def test_the_page_needs_nothing_else(written: tuple[str, str]):
    page, _ = written
    assert page.count("data:image/png;base64,") == 5
    for reference in re.findall(r'(?:src|href)="([^"]*)"', page):
        assert reference.startswith(("data:", "#"))
    assert "@import" not in page
    assert "<script" not in page
    for wanted in ("Published figures", "Time and memory", "Versions", "torch", "orl"):
        assert wanted in page


def test_the_summary_is_the_same_each_time_and_tells_no_times(results: Path, written: tuple[str, str], tmp_path: Path):
    report.report(results, tmp_path / "b/index.html", tmp_path / "b/summary.md", report.Params())
    assert (tmp_path / "b/summary.md").read_text() == written[1]
    assert "seconds" not in written[1]


def test_names_are_no_markup(results: Path, tmp_path: Path):
    shutil.copy(results / "verify-one.json", results / "verify-<b>.json")
    report.report(results, tmp_path / "i.html", tmp_path / "s.md", report.Params())
    assert "<b>" not in (tmp_path / "i.html").read_text()
    assert "&lt;b&gt;" in (tmp_path / "i.html").read_text()


def test_no_results_no_report(tmp_path: Path):
    (tmp_path / "metrics").mkdir()
    with pytest.raises(UnmaskError, match="has no results: run dvc repro"):
        report.report(tmp_path / "metrics", tmp_path / "i.html", tmp_path / "s.md", report.Params())
    assert [path.name for path in tmp_path.iterdir()] == ["metrics"]


def test_readme_gets_the_short_tables(results: Path, tmp_path: Path):
    readme = tmp_path / "README.md"
    readme.write_text(f"# X\n\n{report.START}\nold\n{report.END}\n\nmore\n")
    report.report(results, tmp_path / "i.html", tmp_path / "s.md", report.Params(), readme)
    text = readme.read_text()
    assert text.startswith("# X\n")
    assert text.endswith("\n\nmore\n")
    assert "old" not in text
    row = "| one | 0.890 (0.98 to 1.00) | 0.840 (0.93 to 0.95) | 0.790 (0.88 to 0.90) |"
    assert row in text
    before = text
    report.report(results, tmp_path / "i.html", tmp_path / "s.md", report.Params(), readme)
    assert readme.read_text() == before
    readme.write_text("# X\n")
    with pytest.raises(UnmaskError, match="has no place for the results"):
        report.report(results, tmp_path / "i.html", tmp_path / "s.md", report.Params(), readme)
    assert readme.read_text() == "# X\n"


def test_readme_is_current():
    text = (ROOT / "README.md").read_text()
    assert report.with_overview(ROOT / "README.md", ROOT / "metrics") == text, "make readme-table"


def browser(tmp_path: Path, *arguments: str) -> str:
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_in_a_browser(written: tuple[str, str], tmp_path: Path):
    """On a phone nothing sticks out and every picture is drawn; on paper it has pages."""
    page = html.escape(written[0].replace('loading="lazy"', ""))  # so that all are there once it is loaded
    frame = f"""<!doctype html><title>?</title>
        <iframe width="390" height="800" style="border: 0" srcdoc="{page}"></iframe>
        <script>
        onload = () => {{
          const page = document.querySelector("iframe").contentDocument, root = page.documentElement;
          const drawn = [...page.images].filter(one => one.naturalWidth > 0 && one.width <= 390).length;
          const links = [...page.querySelectorAll("nav a")].filter(one => page.querySelector(one.hash)).length;
          document.title = [root.clientWidth, root.scrollWidth, drawn, links].join(" ");
        }};
        </script>"""
    (tmp_path / "phone.html").write_text(frame)
    address = (tmp_path / "phone.html").as_uri()
    dom = browser(tmp_path, "--dump-dom", address)
    title = re.search("<title>(.*?)</title>", dom)
    assert title is not None
    assert re.fullmatch("[0-9 ]+", title[1]), title[1]
    width, needed, drawn, links = (int(number) for number in title[1].split())
    assert needed <= width <= 390
    assert drawn == 5
    assert links == written[0].count("<section")
    (tmp_path / "page.html").write_text(written[0])
    browser(tmp_path, f"--print-to-pdf={tmp_path / 'page.pdf'}", (tmp_path / "page.html").as_uri())
    assert (tmp_path / "page.pdf").read_bytes().count(b"/Type /Page\n") >= 2
