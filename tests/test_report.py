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

from stages.core import params
from stages.core.errors import UnmaskError
from stages.reports import cards, glance, report, sections
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
            "series": {"none": {name: scores(value[name] - place / 10, val[name]) for name in names}},
            "best_on_val": {"head": "none", "series": "zeroed-bare"},
        }
        (folder / f"verify-{recognizer}.json").write_text(json.dumps(verified))
        identified = {"series": {"none": {name: ranks(value[name]) for name in names}}}
        (folder / f"identify-{recognizer}.json").write_text(json.dumps(identified))
    rng = np.random.default_rng(0)
    for name in ("verify-one", "identify-one", "clean-orl", "inpaint-orl"):
        cv2.imwrite(str(folder / f"figures/{name}.png"), rng.integers(0, 255, (300, 1400, 3), np.uint8))
    return folder


def write(results: Path, folder: Path, readme: Path | None = None, **changes: object) -> dict:
    recognizers = {"trained": {}, "pretrained": [], "distilled": [], "compared": ["one", "two", "<b>"]}
    roles = params.read_yaml(ROOT / "params.yaml")["roles"]
    values = {"datasets": ["orl"], "roles": roles, "recognizers": recognizers} | changes
    return report.report(
        results,
        ROOT / "dvc.yaml",
        ROOT / "data/catalogue.yaml",
        folder / "index.html",
        folder / "summary.md",
        folder / "model-card.md",
        folder / "datasheet.md",
        folder / "what.png",
        report.Params.model_validate(values),
        readme,
    )


@pytest.fixture
def written(results: Path, tmp_path: Path) -> tuple[str, str]:
    folder = tmp_path / "report"
    found = write(results, folder)
    assert found["pictures"] == 6  # and the result, and the curves
    assert sorted(path.name for path in folder.iterdir()) == [
        "datasheet.md",
        "index.html",
        "model-card.md",
        "summary.md",
        "what.png",
    ]
    return (folder / "index.html").read_text(), (folder / "summary.md").read_text()


def test_the_best_on_val_is_told_and_stressed(written: tuple[str, str]):
    page, summary = written
    assert "A mask costs one 5 points of TAR at FAR 1 % (89 % to 84 %); setting the mask's pixels to 0" in summary
    assert "to 0 gives nothing back and costs 5 more (79 %)." in summary
    assert "A mask costs one 5 points" in re.findall(r'class="summary">(.*?)</p>', page)[0]
    stressed = re.findall(r'<tr class="best">(.*?)</tr>', page, re.DOTALL)
    assert [row.split("</td>")[0] for row in stressed] == ["<td>one", "<td>one", "<td>zeroed-bare"]
    of_two = summary[summary.index("### two: all") :]
    order = re.findall(r"^\| (\S+-\S+) \| none", of_two, re.MULTILINE)
    assert order == ["bare-bare", "masked-bare", "zeroed-bare", "inpainted-bare", "upper-bare_upper"]
    assert "| zeroed-bare | none | 79.0 (78 to 80) |" in of_two
    assert "n/a" in summary  # what could not be measured


def test_the_page_needs_nothing_else(written: tuple[str, str]):
    page, _ = written
    assert page.count("data:image/png;base64,") == 6
    for reference in re.findall(r'(?:src|href)="([^"]*)"', page):
        assert reference.startswith(("data:", "#"))
    assert "@import" not in page
    assert "<script" not in page
    for wanted in ("Published figures", "Time and memory", "Versions", "torch", "orl"):
        assert wanted in page


def test_the_summary_is_the_same_each_time_and_tells_no_times(results: Path, written: tuple[str, str], tmp_path: Path):
    write(results, tmp_path / "b")
    assert (tmp_path / "b/summary.md").read_text() == written[1]
    assert "seconds" not in written[1]


def test_a_training_without_steps_has_no_curve(results: Path, tmp_path: Path):
    (results / "curves/train_inpainter-female.csv").write_text("step,loss_hole\n")  # nobody's sex is known
    assert write(results, tmp_path)["pictures"] == 6
    assert "inpainter-female" not in sections.curves(results)
    assert "inpainter-male" in sections.curves(results)


def test_names_are_no_markup(results: Path, tmp_path: Path):
    shutil.copy(results / "verify-one.json", results / "verify-<b>.json")
    write(results, tmp_path)
    assert "<b>" not in (tmp_path / "index.html").read_text()
    assert "&lt;b&gt;" in (tmp_path / "index.html").read_text()


def test_a_recognizer_that_is_no_longer_compared_is_left_out(results: Path, tmp_path: Path):
    recognizers = {"trained": {}, "pretrained": [], "distilled": [], "compared": ["two"]}
    write(results, tmp_path, recognizers=recognizers)
    summary = (tmp_path / "summary.md").read_text()
    assert "### two: all" in summary
    assert "### one: all" not in summary
    assert "A mask costs two" in summary


def test_the_model_card_says_what_it_knows_and_what_not(written: tuple[str, str], tmp_path: Path):
    card = (tmp_path / "report/model-card.md").read_text()
    headings = re.findall("^## (.*)", card, re.MULTILINE)
    assert headings[:5] == ["Model details", "Intended use", "Factors", "Metrics", "Training and evaluation data"]
    assert headings[5:] == ["Quantitative analyses", "Ethical considerations", "Caveats"]
    people = json.loads((ROOT / "metrics/clean-orl.json").read_text())["splits"]["test"]["identities"]
    assert f"tested on {people} people" in card
    for name in params.read_yaml(ROOT / "dvc.yaml")["artifacts"]:
        assert f"| {name} | `models/{name}.safetensors` |" in card
    detected = json.loads((ROOT / "metrics/evaluate_detector.json").read_text())["mask_iou"]["by_position"]["chin"]
    assert f"| chin | {detected:.3f} |" in card
    caveats = card[card.index("## Caveats") :]
    assert "drawn from landmarks, not by people" in caveats
    assert "All masks of the people to test on are drawn" in caveats
    assert "people are female" in caveats
    for limit in params.read_yaml(ROOT / "data/catalogue.yaml")["orl"]["limits"]:
        assert limit in caveats


def test_real_masks_take_back_a_caveat(results: Path, tmp_path: Path):
    found = json.loads((results / "embed-dlib.json").read_text())
    (results / "embed-dlib.json").write_text(json.dumps(found | {"real_masks": 7}))
    write(results, tmp_path)
    assert "are drawn. Real ones" not in (tmp_path / "model-card.md").read_text()


def test_the_datasheet_has_a_part_for_each_dataset(results: Path, tmp_path: Path):
    write(results, tmp_path, datasets=["orl", "mfr2"])  # of the latter nothing ran yet
    sheet = (tmp_path / "datasheet.md").read_text()
    assert re.findall(r"^## .*\(`(.*)`\)$", sheet, re.MULTILINE) == ["orl", "mfr2"]
    assert "400 photos of 40 people" in sheet
    assert "Photos by known sex: female 40, male 360." in sheet
    masks = json.loads((ROOT / "metrics/render_masks-orl.json").read_text())
    assert f"worn below nose {masks['positions']['below_nose']}" in sheet
    assert "968988c9872a2177" in sheet
    assert params.read_yaml(ROOT / "data/catalogue.yaml")["mfr2"]["license"] in sheet[sheet.index("(`mfr2`)") :]


def test_no_results_no_report(tmp_path: Path):
    (tmp_path / "metrics").mkdir()
    with pytest.raises(UnmaskError, match="has no results: run dvc repro"):
        write(tmp_path / "metrics", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["metrics"]


def test_readme_gets_the_short_tables(results: Path, tmp_path: Path):
    readme = tmp_path / "README.md"
    readme.write_text(f"# X\n\n{report.START}\nold\n{report.END}\n\nmore\n")
    write(results, tmp_path, readme)
    text = readme.read_text()
    assert text.startswith("# X\n")
    assert text.endswith("\n\nmore\n")
    assert "old" not in text
    row = "| one | 89.0 (98 to 100) | 84.0 (93 to 95) | 79.0 (88 to 90) |"
    assert row in text
    before = text
    write(results, tmp_path, readme)
    assert readme.read_text() == before
    readme.write_text("# X\n")
    with pytest.raises(UnmaskError, match="has no place for the results"):
        write(results, tmp_path, readme)
    assert readme.read_text() == "# X\n"


@pytest.mark.parametrize(
    ("series", "head", "remedied", "expected"),
    [
        ("upper-bare_upper", "none", 0.891, "comparing upper halves gives 14 back (89 %)."),
        (
            "zeroed-bare",
            "mean_shift",
            0.7,
            "to 0, with a mean shift of the embeddings gives nothing back and costs 5 more",
        ),
        ("masked-masked", "none", 0.75, "comparing masked with masked faces gives nothing back (75 %)."),
    ],
)
def test_the_result_in_one_sentence(series: str, head: str, remedied: float, expected: str):
    said = glance.sentence("dlib", 1.0, 0.75, series, head, remedied)
    assert said.startswith("A mask costs dlib 25 points of TAR at FAR 1 % (100 % to 75 %); ")
    assert expected in said


def test_the_picture_has_a_row_for_each_recognizer_and_condition(results: Path, tmp_path: Path):
    panels = sections.panels(results, ["one", "two"])
    assert [*panels] == ["TAR at FAR 1 %", "rank-1"]
    assert [*panels["rank-1"]] == ["one", "two"]
    assert panels["rank-1"]["two"]["masked"] == glance.Dot(pytest.approx(0.94), 0.5, 1.0)
    glance.draw(tmp_path / "a.png", panels)
    few = {"rank-1": {"one": {"bare": glance.Dot(None), "masked": glance.Dot(0.5)}}}
    glance.draw(tmp_path / "b.png", few)
    tall, low = (cv2.imread(str(tmp_path / name)).shape[0] for name in ("a.png", "b.png"))
    assert tall > low > 50
    glance.draw(tmp_path / "c.png", panels)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "c.png").read_bytes()


def test_readme_is_current():
    text = (ROOT / "README.md").read_text()
    compared = params.read_yaml(ROOT / "params.yaml")["recognizers"]["compared"]
    assert report.with_overview(ROOT / "README.md", ROOT / "metrics", compared) == text, "make readme-table"


def test_model_card_and_datasheet_are_current():
    now = params.load(report.Params, "report", ROOT / "params.yaml")
    catalogue, results = ROOT / "data/catalogue.yaml", ROOT / "metrics"
    card = cards.model_card(results, ROOT / "dvc.yaml", catalogue, now.roles, now.recognizers.compared)
    assert (ROOT / "report/model-card.md").read_text() == card, "dvc repro -f -s report"
    assert (ROOT / "report/datasheet.md").read_text() == cards.datasheet(results, catalogue, now.datasets)


def browser(tmp_path: Path, *arguments: str) -> str:
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


def on_a_phone(page: str, tmp_path: Path) -> tuple[int, int, int, int]:
    """Show a page 390 pixels wide; return that width, the one it needs, and how many pictures and links work."""
    content = html.escape(page.replace('loading="lazy"', ""))  # so that all are there once it is loaded
    frame = f"""<!doctype html><title>?</title>
        <iframe width="390" height="800" style="border: 0" srcdoc="{content}"></iframe>
        <script>
        onload = () => {{
          const page = document.querySelector("iframe").contentDocument, root = page.documentElement;
          const drawn = [...page.images].filter(one => one.naturalWidth > 0 && one.width <= 390).length;
          const links = [...page.querySelectorAll("nav a")].filter(one => page.querySelector(one.hash)).length;
          document.title = [root.clientWidth, root.scrollWidth, drawn, links].join(" ");
        }};
        </script>"""
    (tmp_path / "phone.html").write_text(frame)
    dom = browser(tmp_path, "--dump-dom", (tmp_path / "phone.html").as_uri())
    title = re.search("<title>(.*?)</title>", dom)
    assert title is not None
    assert re.fullmatch("[0-9 ]+", title[1]), title[1]
    width, needed, drawn, links = (int(number) for number in title[1].split())
    return width, needed, drawn, links


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_in_a_browser(written: tuple[str, str], tmp_path: Path):
    """On a phone nothing sticks out and every picture is drawn; on paper it has pages."""
    width, needed, drawn, links = on_a_phone(written[0], tmp_path)
    assert needed <= width <= 390
    assert drawn == 6
    assert links == written[0].count("<section")
    (tmp_path / "page.html").write_text(written[0])
    browser(tmp_path, f"--print-to-pdf={tmp_path / 'page.pdf'}", (tmp_path / "page.html").as_uri())
    assert (tmp_path / "page.pdf").read_bytes().count(b"/Type /Page\n") >= 2
