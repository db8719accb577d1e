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
from matplotlib.figure import Figure

from stages.core import params
from stages.core.errors import UnmaskError
from stages.faces import parts
from stages.figures import plots, sheets
from stages.reports import cards, content, recognition, report, sections
from tests.conftest import ROOT

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def scores(auc: float, impostors: int = 100) -> dict:
    rates = {"0.1": 0.9, "0.01": auc - 0.1, "0.0001": None}
    bounds = {"low": auc - 0.01, "high": min(1.0, auc + 0.01)}
    interval = {"auc": bounds, "tar_at_0.1": bounds, "tar_at_0.01": bounds, "tar_at_0.0001": None}
    return {
        "auc": auc,
        "eer": 1 - auc,
        "tar_at_far": rates,
        "impostors_at_far": {"0.1": 10 * impostors, "0.01": impostors, "0.0001": 0},
        "not_found": {"references": 0.0, "probes": 0.05},
        "at_bare_threshold": {far: {"fmr": rate, "fnmr": rate} for far, rate in rates.items()},
        "interval": interval,
        "pairs": {"genuine": 10, "impostor": 100},
    }


def ranks(rank_1: float) -> dict:
    return {
        "rank": {"1": rank_1, "5": 1.0},
        "rank_1_interval": {"low": 0.5, "high": 1.0},
        "fnir_at_fpir": {"0.1": None},
        "fnir_interval": {"0.1": None},
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
        value = {name: 0.99 - 0.05 * number for number, name in enumerate(names)} | {"masked_oracle-bare": 0.96}
        verified = {
            "series": {"none": {name: scores(value[name] - place / 10) for name in (*names, "masked_oracle-bare")}},
            "best": {"head": "none", "series": "zeroed-bare", "by": "val", "decidability": 3.0 - place / 2},
        }
        (folder / f"verify-{recognizer}.json").write_text(json.dumps(verified))
        identified = {"series": {"none": {name: ranks(value[name]) for name in names}}}
        (folder / f"identify-{recognizer}.json").write_text(json.dumps(identified))
    rng = np.random.default_rng(0)
    for name in ("verify-one", "identify-one", "clean-orl", "inpaint-oracle-orl"):
        cv2.imwrite(str(folder / f"figures/{name}.png"), rng.integers(0, 255, (300, 1400, 3), np.uint8))
    return folder


def write(results: Path, folder: Path, readme: Path | None = None, **changes: object) -> dict:
    recognizers = {
        "bare": [],
        "masked": [],
        "pretrained": [],
        "distilled": [],
        "fused": [],
        "compared": ["one", "two", "<b>"],
    }
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
    assert [row.split("</td>")[0].rpartition(">")[2] for row in stressed] == ["one", "one", "zeroed-bare"]
    of_two = summary[summary.index("### two: all") :]
    order = re.findall(r"^\| (\S+-\S+) \| none", of_two, re.MULTILINE)
    assert order == [
        "bare-bare",
        *(f"{kind}-bare" for kind in ("masked", "zeroed", "inpainted")),
        "upper-bare_upper",
        "masked_oracle-bare",
    ]
    assert "| zeroed-bare | none | 79.0 (78 to 80) |" in of_two
    assert "n/a" in summary  # what could not be measured


def test_the_page_needs_nothing_else(written: tuple[str, str]):
    page, _ = written
    assert page.count(";base64,") == 6
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
    assert "train_inpainter-female" not in sections.curves(results)
    assert "train_inpainter-male" in sections.curves(results)


def test_names_are_no_markup(results: Path, tmp_path: Path):
    shutil.copy(results / "verify-one.json", results / "verify-<b>.json")
    write(results, tmp_path)
    assert "<b>" not in (tmp_path / "index.html").read_text()
    assert "&lt;b&gt;" in (tmp_path / "index.html").read_text()


def test_a_recognizer_that_is_no_longer_compared_is_left_out(results: Path, tmp_path: Path):
    recognizers = {"bare": [], "masked": [], "pretrained": [], "distilled": [], "fused": [], "compared": ["two"]}
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
    assert f"| chin | {100 * detected:.1f} |" in card
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
            "to 0, with a mean shift of the embeddings, gives nothing back and costs 5 more",
        ),
        ("masked-masked", "none", 0.75, "comparing masked with masked faces gives nothing back (75 %)."),
    ],
)
def test_the_result_in_one_sentence(series: str, head: str, remedied: float, expected: str):
    best = ("dlib", head, series)
    tars = {("dlib", "none", "bare-bare"): 1.0, ("dlib", "none", "masked-bare"): 0.75, best: remedied}
    rows = {key: scores(tar + 0.1) for key, tar in tars.items()}
    said = recognition.Comparison(rows, {"dlib": best}, {best: 2.0}, {}).sentence()
    assert said.startswith("A mask costs dlib 25 points of TAR at FAR 1 % (100 % to 75 %); ")
    assert expected in said


def test_an_oracle_stands_beside_the_result_and_rates_of_few_pairs_are_marked(results: Path):
    path = results / "verify-two.json"
    verified = json.loads(path.read_text())
    crossed = {"by": "cross-validation", "tar_at_far": {"0.01": 0.5}, "impostors_at_far": {"0.01": 4}}
    chosen = [{"head": "none", "series": "zeroed-bare"}, {"head": "mean_shift", "series": "zeroed-bare"}]
    verified["best"] = crossed | {"chosen": chosen}
    verified["series"]["none"]["masked-bare"] |= {"impostors_at_far": {"0.01": 29}}
    path.write_text(json.dumps(verified))
    compared = recognition.load(results, ["one", "two"])
    tar, rank_1, oracle = compared.short_tables()  # nobody was identified with an oracle
    assert [row["masked"] for row in tar.rows] == ["84.0 (93 to 95)", "74.0 [29] (83 to 85)"]
    assert [row["masked"] for row in oracle.rows] == ["86.0 (95 to 97)", "76.0 (85 to 87)"]
    assert oracle.rows[0]["zeroed"] == "n/a"
    assert [row["best remedy"] for row in tar.rows] == [
        "zeroed - bare",
        "zeroed - bare or zeroed - bare, mean shift (cross-validated)",
    ]
    assert (tar.rows[1]["with it"], rank_1.rows[1]["with it"]) == ("50.0 [4]", "n/a")
    assert compared.best == ("one", "none", "zeroed-bare")


def test_a_list_of_real_masks_stands_where_drawn_ones_would(results: Path):
    path = results / "verify-one.json"
    verified = json.loads(path.read_text())
    verified["series"]["none"] = {name: scores(0.9) for name in ("list", "list_upper")}
    verified["best"] = {"head": "none", "series": "list_upper", "by": "val", "decidability": 1.0}
    path.write_text(json.dumps(verified))
    row = recognition.load(results, ["one"]).short_tables()[0].rows[0]
    assert (row["bare"], row["zeroed"], row["best remedy"]) == ("n/a", "n/a", "list upper")
    assert row["masked"] == row["upper half"] == row["with it"] == "80.0 (89 to 91)"
    compared = recognition.load(results, ["one"])
    assert compared.sentence() == ""  # a list has no bare pairs
    assert compared.short_tables()[1].rows[0]["masked"] == "94.0 (50 to 100)"  # by each person's first photo


def test_the_picture_has_a_row_for_each_recognizer_and_condition(results: Path, tmp_path: Path):
    panels = recognition.load(results, ["one", "two"]).panels()
    assert [*panels] == ["TAR at FAR 1 %", "rank-1"]
    assert [*panels["rank-1"]] == ["one", "two"]
    assert panels["rank-1"]["two"]["masked"] == content.Share(pytest.approx(0.94), 0.5, 1.0)
    plots.dots(tmp_path / "a.png", recognition.load(results, ["one", "two"]).dots())
    few = {"rank-1": {"one": {"bare": (None, None, None), "masked": (0.5, None, None)}}}
    plots.dots(tmp_path / "b.png", few)
    tall, low = (cv2.imread(str(tmp_path / name)).shape[0] for name in ("a.png", "b.png"))
    assert tall > low > 50
    plots.dots(tmp_path / "c.png", recognition.load(results, ["one", "two"]).dots())
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "c.png").read_bytes()


def test_the_page_follows_the_pipeline(written: tuple[str, str]):
    page, summary = written
    assert re.findall(r'<section id="(.*?)">', page) == [
        "result",
        "data",
        "models",
        "recognition",
        "published",
        "costs",
        "versions",
    ]
    captions = re.findall("<figcaption>(.*?)</figcaption>", page)
    assert [caption.split(",")[0] for caption in captions] == [
        "TAR at FAR 1 % and rank-1",
        "Photos of orl that were kept",
        "Losses of the trainings over their steps",
        "Filled in behind the masks of orl",
        "one: true accepts over false accepts (ROC)",
        "one: how often the right person is among the first k (CMC)",
    ]
    iou = json.loads((ROOT / "metrics/evaluate_parser-scanet.json").read_text())["masked"]["mean_iou"]
    assert f"{100 * iou:.1f} |" in summary[summary.index("### Parser scanet") :]


def test_the_cosine_with_the_truth_stands_beside_its_scale(results: Path):
    path = results / "evaluate_inpainting.json"
    found = json.loads(path.read_text())
    path.write_text(json.dumps(found | {"identity_of_another_photo": 0.951, "identity_of_others": None}))
    (table,) = [table for table in sections.models(results) if table.title == "Behind the mask"]
    assert "cosine with the truth" in table.rows[0]
    assert table.text == "For scale, the mean cosine of two bare photos: 0.951 of one person, n/a of two people."
    path.write_text(json.dumps({key: of for key, of in found.items() if not key.startswith("identity_of")}))
    assert sections.models(results)[-1].text == ""  # metrics of an earlier version


def test_the_scores_to_choose_by_are_not_among_those_of_the_test_people(results: Path):
    path = results / "evaluate_parser-scanet.json"
    found = json.loads(path.read_text())
    path.write_text(json.dumps(found | {"val": found}))
    (table,) = [table for table in sections.models(results) if table.title == "Parser scanet"]
    assert [row["faces, %"] for row in table.rows] == ["all", "bare", "masked"]


def test_each_figure_of_the_pipeline_has_a_caption():
    stages = params.read_yaml(ROOT / "dvc.yaml")["stages"].values()
    drawn = {Path(plot).stem for stage in stages for plot in stage.get("plots", []) if isinstance(plot, str)}
    captions = params.read_yaml(ROOT / "stages/reports/captions.yaml")
    known = {pattern for section in captions.values() for pattern in section}
    alignments = [stem.replace("${item.alignment}", one) for stem in drawn for one in ("oracle", "realistic")]
    assert {re.sub(r"\$\{item\.\w+\}", "*", stem) for stem in alignments} == known


def test_a_figure_without_a_caption_is_shown_by_its_name(results: Path, tmp_path: Path):
    shutil.copy(results / "figures/clean-orl.png", results / "figures/mine.png")
    write(results, tmp_path)
    assert "<figcaption>mine</figcaption>" in (tmp_path / "index.html").read_text()


def test_make_report_writes_what_the_stage_writes():
    text = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    made = re.search("^REPORT := (.*)$", text, re.MULTILINE)
    assert made is not None
    assert made[1].split() == params.read_yaml(ROOT / "dvc.yaml")["stages"]["report"]["cmd"].split()


# ---------------------------------------------------------------- plots


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Return a list that gets each figure that is written."""
    drawn: list[Figure] = []
    monkeypatch.setattr(plots, "write", lambda _, figure: (plots.png(figure), drawn.append(figure)))  # laid out
    return drawn


def test_each_line_is_named_at_its_left_end_in_its_color(figures: list[Figure]):
    far = np.array([0.0, 1e-4, 0.5, 1.0])
    starts = {
        "bare-bare": 0.99,
        "masked-bare": 0.3,
        "zeroed-bare": 0.3,
        "inpainted-bare": 0.31,
        "upper-bare_upper": 0.9,
    }
    plots.roc(Path("a.png"), {name: (far, np.array([0, tar, 1, 1])) for name, tar in starts.items()}, title="x")
    plots.cmc(Path("b.png"), {name: [tar, 1.0] for name, tar in starts.items()}, title="x")
    for figure in figures:
        (axes,) = figure.axes
        named = {text.get_text(): text for text in axes.texts}
        assert sorted(named) == ["bare", "inpainted", "masked", "upper half", "zeroed"]
        assert axes.get_legend() is None
        places = {name: text.get_position()[1] for name, text in named.items()}
        assert places["bare"] == pytest.approx(0.99, abs=0.02)
        heights = sorted(places.values())
        assert min(np.diff(heights)) > 0.049  # so that no two run into each other
        assert heights[-1] <= 1
        for line, name in zip(axes.lines, starts, strict=True):
            assert line.get_color() == named[plots.CONDITIONS[name]].get_color()
        assert {"0 %", "100 %"} <= {label.get_text() for label in axes.get_yticklabels()}
    assert {"0.01 %", "100 %"} <= {label.get_text() for label in figures[0].axes[0].get_xticklabels()}


@pytest.mark.parametrize("names", [("female", "male"), tuple(sheets.in_words(sheets.PARTS))])
def test_nothing_of_a_confusion_matrix_is_cut_off(names: tuple[str, ...], figures: list[Figure]):
    counts = np.eye(len(names), dtype=np.int64) * 3
    counts[1, 0] = 1
    plots.confusion_matrix(Path("a.png"), counts, names, title="scanet: of each true class, what was found")
    (figure,) = figures
    (axes,) = figure.axes
    texts = [*axes.get_xticklabels(), *axes.get_yticklabels(), *axes.texts, *figure.texts, axes.xaxis.label]
    assert {text.get_text() for text in axes.get_yticklabels()} == set(names)
    assert [text.get_text() for text in axes.texts][: len(names) + 2][len(names) :] == ["25.0", "75.0"]
    for text in texts:
        box = text.get_window_extent()
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, text
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, text


# What cones are left see of linear RGB: Machado, Oliveira and Fernandes (2009), severity 1.
SIGHTS = {
    "all cones": np.eye(3),
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
}


@pytest.mark.parametrize("sight", SIGHTS)
def test_the_parts_of_a_face_can_be_told_apart(sight: str):
    colors = np.array([part["color"] for part in sheets.PARTS.values()][1:]) / 255  # the background has none
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(SIGHTS[sight]).T, 0, 1)
    seen = np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)
    lab = cv2.cvtColor(seen.astype(np.float32)[None], cv2.COLOR_RGB2Lab)[0]
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=2)
    assert apart[~np.eye(len(lab), dtype=bool)].min() > 19


def test_the_parts_are_those_that_label_maps_have():
    assert tuple(sheets.PARTS) == parts.NAMES


def test_what_is_seen_stands_in_the_legend(tmp_path: Path):
    gray = np.full((112, 112, 3), 128, np.uint8)
    labels = np.zeros((112, 112), np.uint8)
    labels[:50] = 2
    sheets.show_labels([("a", gray, labels)], tmp_path / "a.png", title="x", classes=["none", "one", "two", "three"])
    sheets.show_labels([("a", gray, labels)], tmp_path / "b.png", title="x")
    with_legend, without = (cv2.imread(str(tmp_path / name))[..., ::-1] for name in ("a.png", "b.png"))
    more = with_legend.shape[0] - without.shape[0]
    assert more == sheets.CAPTION + sheets.GAP
    color = sheets.with_labels(gray, labels)[0, 0]
    strip = with_legend[sheets.CAPTION + sheets.GAP :][:more]
    assert (strip == color).all(-1).sum() == sheets.CAPTION * sheets.CAPTION  # one class, in its color on a face


def test_readme_is_current():
    text = (ROOT / "README.md").read_text()
    compared = params.read_yaml(ROOT / "params.yaml")["recognizers"]["compared"]
    found = recognition.load(ROOT / "metrics", compared)
    assert report.with_result(ROOT / "README.md", found) == text, "make readme-table"


def test_model_card_and_datasheet_are_current():
    now = params.load(report.Params, "report", ROOT / "params.yaml")
    catalogue, results = ROOT / "data/catalogue.yaml", ROOT / "metrics"
    compared = recognition.load(results, now.recognizers.compared)
    card = cards.model_card(results, ROOT / "dvc.yaml", catalogue, now.roles, compared)
    assert (ROOT / "report/model-card.md").read_text() == card, "make report"
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
