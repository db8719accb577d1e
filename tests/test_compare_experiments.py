"""compare_experiments: what differs from a branch, for the better or the worse, in numbers and in pictures."""

import base64
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from stages.core import intervals, params, replicates
from stages.core.errors import UnmaskError
from stages.core.images import encode_png
from stages.core.seeding import generator
from stages.reports import compare_experiments, differences, overlays, sides
from stages.reports.sides import Plot
from tests.conftest import NOBODY, ROOT, commit, run
from tests.test_report import CHROMIUM, on_a_phone

BETTER = ROOT / "stages/reports/better.yaml"

# ---------------------------------------------------------------- numbers


def values(**found: object) -> dict:
    """Return what DVC's diff has: `old` and `new` by key, of pairs by key with dots written as `__`."""
    return {key.replace("__", "."): {"old": old, "new": new} for key, (old, new) in found.items()}


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("series.none.masked-bare.auc", 1),
        ("series.none.masked-bare.tar_at_far.0.01", 1),
        ("series.none.masked-bare.eer", -1),
        ("series.none.masked-bare.at_bare_threshold.0.01.fmr", -1),
        ("series.none.masked-bare.at_bare_threshold.0.01.fnmr", -1),
        ("series.none.masked-bare.interval.auc.low", 0),
        ("series.none.masked-bare.rank_1_interval.low", 0),
        ("series.none.masked-bare.fnir_interval.0.1.low", 0),
        ("series.none.masked-bare.rank.1", 1),
        ("series.none.masked-bare.pairs.genuine", 0),
        ("val.series.none.masked-bare.auc", 1),
        ("val.series.none.masked-bare.interval.auc.low", 0),
        ("val.ways.telea.hole_psnr", 0),
        ("val.ways.ours.hole_psnr", 1),
        ("folds.masked.balanced_accuracy", 1),
        ("masked.cosine_to_bare.none", 1),
        ("mask_iou.by_position.chin", 1),
        ("splits.test.missed", -1),
        ("ways.ours.hole_psnr", 1),
        ("ways.ours.sharpness", 0),
        ("ways.telea.hole_psnr", 0),
        ("hole_psnr_by_sex.mean_face.female", 0),
        ("hole_psnr_by_sex.ours.female", 1),
        ("last.loss", 0),
        ("faces", 0),
    ],
)
def test_it_is_known_what_is_better_or_nothing_is_said(key: str, expected: int):
    assert differences.direction(key) == expected


def test_every_metric_of_the_tables_is_one_that_a_stage_writes():
    """A name that no metrics file has would be a misspelling."""
    text = "".join(path.read_text() for path in (ROOT / "metrics").glob("*.json"))
    assert [name for name in sorted(differences.SIGNS.keys() - {"lpips"}) if f'"{name}"' not in text] == []
    topics = [names for side in params.read_yaml(BETTER).values() for names in side.values()]
    assert sum(map(len, topics)) == len(differences.SIGNS)  # none stands there twice


def test_the_stage_with_the_largest_change_comes_first():
    found = differences.groups(
        {
            "metrics/evaluate_detector.json": values(mask_iou__mean=(0.8, 0.7), segm__ap=(0.5, 0.55), faces=(190, 19)),
            "metrics/evaluate_inpainting.json": values(ways__ours__hole_psnr=(20.0, 30.0), split=("test", "test")),
            "metrics/embed-new.json": values(numbers=(None, 128)),
            "metrics/embed-old.json": values(numbers=(128, None)),
            "metrics/embed-same.json": values(numbers=(128, 128)),
            "metrics/train_detector.json": values(last__loss=(9.0, 1.0)),
        }
    )
    assert [(group.stage, group.only) for group in found] == [
        ("evaluate_inpainting", None),
        ("evaluate_detector", None),
        ("train_detector", None),
        ("embed-new", "other"),
        ("embed-old", "base"),
    ]
    assert [(one.key, one.verdict) for one in found[1].differences] == [
        ("mask_iou.mean", "worse"),
        ("segm.ap", "better"),
        ("faces", ""),
    ]
    assert compare_experiments.summary(found) == ("5 in 5 files; 2 better, 1 worse, of the others nobody can tell")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [(0.5, 0.4, 0.1), (20.0, 25.0, 0.2), (0, 1, 0.01), (400, 200, 0.5), (None, 1.0, 0.0), ("a", "b", 1.0)],
)
def test_a_share_counts_as_it_is_and_other_numbers_relative_to_themselves(old: object, new: object, expected: float):
    assert differences.Difference("key", old, new).size == pytest.approx(expected)


@pytest.mark.parametrize(
    ("new", "bounds", "expected"),
    [(0.85, (0.75, 0.95), True), (0.95, (0.85, 1.0), False), (0.95, (0.75, 1.0), True), (0.95, (None, None), False)],
)
def test_an_interval_says_whether_a_difference_may_be_of_the_people(new: float, bounds: tuple, expected: bool):
    for metric, low in (
        ("s.auc", "s.interval.auc"),
        ("s.tar_at_far.0.01", "s.interval.tar_at_0.01"),
        ("s.rank.1", "s.rank_1_interval"),
        ("s.fnir_at_fpir.0.1", "s.fnir_interval.0.1"),
        ("folds.bare.balanced_accuracy", "folds.bare.interval"),
        ("val.s.auc", "val.s.interval.auc"),
        ("val.folds.bare.balanced_accuracy", "val.folds.bare.interval"),
    ):
        files = {
            "verify.json": {
                metric: {"old": 0.8, "new": new},
                f"{low}.low": {"old": 0.7, "new": bounds[0]},
                f"{low}.high": {"old": 0.9, "new": bounds[1]},
            }
        }
        ((only,),) = (group.differences for group in differences.groups(files))  # a bound is no metric of its own
        assert (only.inside, only.bounds) == (expected, (0.7, 0.9))


def test_what_stays_inside_its_interval_comes_after_what_does_not():
    bounds = values(s__interval__auc__low=(0.1, 0.2), s__interval__auc__high=(0.9, 1.0))
    files = {
        "a.json": {**bounds, **values(s__auc=(0.3, 0.8), s__eer=(0.2, 0.21), s__pairs=(1, 900))},
        "b.json": values(s__eer=(0.2, 0.22)),
    }
    found = differences.groups(files)
    assert [group.stage for group in found] == ["b", "a"]
    assert [(one.key, one.inside) for one in found[1].differences] == [
        ("s.eer", None),
        ("s.auc", True),
        ("s.pairs", None),
    ]
    assert compare_experiments.summary(found).endswith("; 1 may be chance of the people")


@pytest.mark.parametrize(("by", "expected"), [("val", ["val.s.auc", "plain"]), ("test", ["s.auc", "plain"])])
def test_it_is_compared_by_val_where_a_file_has_it(by: str, expected: list[str]):
    files = {
        "a.json": values(s__auc=(0.8, 0.7), val__s__auc=(0.7, 0.8), val__same=(1, 1)),
        "b.json": values(plain=(0.5, 0.6), val=(None, None)),  # of whom nobody is in val
    }
    assert [one.key for group in differences.groups(files, by) for one in group.differences] == expected
    assert differences.has_val(files)
    assert not differences.has_val({"b.json": files["b.json"]})


def test_a_side_without_val_is_not_compared_by_its_test_people():
    """Such as an older commit, which had no metrics of val yet, or data of which nobody is in val."""
    files = {"a.json": values(s__auc=(0.8, 0.7), val__s__auc=(None, 0.8), val=(None, None))}
    assert [(group.stage, group.only, list(group.differences)) for group in differences.groups(files)] == [
        ("a (val)", "other", [])
    ]
    ((only,),) = (group.differences for group in differences.groups(files, "test"))
    assert only.key == "s.auc"


# ---------------------------------------------------------------- pairs of sides

PEOPLE = [f"person {number}" for number in range(20)]


def drawn_anew(tmp_path: Path, shares: np.ndarray, people: list[str] = PEOPLE, seed: int = 0) -> dict:
    """Return replicates of the mean of one share a person, as a file would bring them."""
    counts = intervals.drawn(len(shares), 500, generator(seed, "verify"))
    replicates.write(tmp_path / "s.parquet", {"s.auc": counts @ shares / counts.sum(1)}, people, seed)
    return {"a.json": replicates.read(tmp_path / "s.parquet")}


HARD = np.linspace(0.2, 1.0, 20)  # how well each person is recognized: some are easy, some are not
WIDE = values(s__interval__auc__low=(0.4, 0.4), s__interval__auc__high=(0.8, 0.8))


def paired(tmp_path: Path, new: np.ndarray, **drawing: object) -> differences.Difference:
    files = {"a.json": {**WIDE, **values(s__auc=(float(HARD.mean()), float(new.mean())))}}
    both = drawn_anew(tmp_path, HARD), drawn_anew(tmp_path, new, **drawing)
    ((only,),) = (group.differences for group in differences.groups(files, drawn=both))
    return only


def test_what_all_people_gain_is_beyond_chance_though_the_intervals_overlap(tmp_path: Path):
    found = paired(tmp_path, HARD - 0.03)
    assert found.paired == pytest.approx((-0.03, -0.03), abs=1e-6)
    assert (found.inside, compare_experiments.verdict(found)) == (False, "worse, beyond chance")
    assert compare_experiments.interval(found) == "-0.0300 to -0.0300"


def test_what_one_person_gains_is_within_chance(tmp_path: Path):
    found = paired(tmp_path, HARD + 0.6 * (np.arange(20) == 0))
    assert found.change == pytest.approx(0.03)
    assert found.paired[0] == pytest.approx(0, abs=1e-6)  # whoever is not drawn gains nothing
    assert (found.inside, compare_experiments.verdict(found)) == (True, "better, within chance")


@pytest.mark.parametrize("drawing", [{"people": [*PEOPLE[:-1], "somebody else"]}, {"seed": 1}])
def test_sides_of_other_people_are_not_paired(tmp_path: Path, drawing: dict):
    found = paired(tmp_path, HARD - 0.03, **drawing)
    assert found.paired is None
    assert (found.inside, compare_experiments.verdict(found)) == (True, "worse, inside the interval")
    assert compare_experiments.interval(found) == ""


# ---------------------------------------------------------------- pictures


def picture(gray: int, size: int = 200) -> bytes:
    noise = np.random.default_rng(0).integers(0, 200, (size, size, 3))
    return encode_png((noise + gray).astype(np.uint8))


def test_pictures_stand_side_by_side_or_it_is_said_why_not():
    base = {
        "f/same.png": Plot(picture(0), digest="1"),
        "f/little.png": Plot(picture(0), digest="2"),
        "f/gone.png": Plot(None, digest="3", why="neither in the cache nor in the remote"),
        "f/gone-and-same.png": Plot(None, digest="4", why="neither in the cache nor in the remote"),
        "f/large.png": Plot(picture(0, 400), digest="5"),
        "f/curve.csv": Plot([{"step": "1", "loss": "2"}], "step", ("loss",), "6"),
    }
    other = {
        **base,
        "f/little.png": Plot(picture(20), digest="7"),
        "f/gone.png": Plot(picture(1), digest="8"),
        "f/gone-and-same.png": Plot(picture(1), digest="4"),
        "f/large.png": Plot(picture(50, 399), digest="9"),
        "f/new.png": Plot(picture(1), digest="10"),
        "f/never.png": Plot(None, why="not in the cache"),
    }
    found = {pair.title: pair for pair in overlays.pairs(base, other)}
    assert list(found) == ["little", "gone", "large", "never", "new"]
    assert found["little"].note == "100.0% of the pixels differ"
    assert found["gone"].base == "neither in the cache nor in the remote"
    assert found["gone"].other.startswith("data:image/png;base64,")
    assert found["large"].other.startswith("data:image/jpeg;base64,")  # as a PNG it would be four times as big
    assert found["new"].base == "there is no such figure"
    assert found["never"].other == "it was never made"
    assert [title for title, pair in found.items() if not pair.whole] == ["gone", "never", "new"]


def decoded(source: str) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(base64.b64decode(source.split(",")[1]), np.uint8), cv2.IMREAD_COLOR)


def test_curves_of_both_sides_are_in_one_picture():
    row = [{"step": str(step), "loss": str(1 / step), "best": ""} for step in (1, 2, 3)]
    steeper = [{**line, "loss": str(float(line["loss"]) ** 2)} for line in row]
    axes = {"x": "step", "y": ("loss", "best")}
    drawn = overlays.curves({"c.csv": Plot(row, **axes)}, {"c.csv": Plot(steeper, **axes)}, ("base", "other"))
    assert [title for title, _ in drawn] == ["c: loss"]  # `best` is empty
    colors = decoded(drawn[0][1]).reshape(-1, 3)
    for blue, green, red in ((0x3C, 0xA8, 0xE0), (0xA8, 0x5F, 0x1F)):
        assert (np.abs(colors.astype(int) - (blue, green, red)).max(1) < 8).sum() > 50
    assert overlays.curves({"c.csv": Plot(row, **axes)}, {"c.csv": Plot(row, **axes)}, ("base", "other")) == []
    assert len(overlays.curves({}, {"c.csv": Plot(row, "step", ("loss",))}, ("base", "other"))) == 1


# ---------------------------------------------------------------- what DVC is asked for


def test_without_a_repository_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnmaskError, match="no DVC repository here: run from the root"):
        sides.read("main", "workspace")
    run("dvc", "init", "-q", "--no-scm", cwd=tmp_path)
    with pytest.raises(UnmaskError, match="no Git repository here"):
        sides.read("main", "workspace")
    shutil.rmtree(tmp_path / ".dvc")
    run("git", "init", "-q", cwd=tmp_path)
    run("dvc", "init", "-q", cwd=tmp_path)
    with pytest.raises(UnmaskError, match="nothing is committed yet"):
        sides.read("main", "workspace")


STAGES = """\
stages:
  verify:
    cmd: python verify.py
    params: [verify]
    deps: [verify.py]
    metrics: [metrics/verify.json: {cache: false}]
    plots:
      - metrics/curves/verify.csv: {cache: false, x: step, y: loss}
      - metrics/figures/verify.png
"""
VERIFY = """\
import json, pathlib, cv2, numpy, yaml
share = yaml.safe_load(open("params.yaml"))["verify"]["share"]
for folder in ("figures", "curves", "costs"):
    pathlib.Path("metrics", folder).mkdir(parents=True, exist_ok=True)
bounds = {"low": share - 0.1, "high": share + 0.1}
scores = {"auc": share, "eer": 1 - share, "interval": {"auc": bounds}, "<b>": share}
pathlib.Path("metrics/verify.json").write_text(json.dumps(scores))
pathlib.Path("metrics/costs/verify.json").write_text(json.dumps({"seconds": 100 * share}))
pathlib.Path("metrics/curves/verify.csv").write_text(f"step,loss\\n1,{share}\\n2,{share / 2}\\n")
cv2.imwrite("metrics/figures/verify.png", numpy.full((40, 40, 3), round(255 * share), numpy.uint8))
"""


def made(folder: Path, files: dict[str, str], first: str, then: str) -> Path:
    """Make a repository of some files, run with one params.yaml on `main`, and with another in the workspace."""
    folder.mkdir()
    run("git", "init", "-q", "-b", "main", cwd=folder)
    run("dvc", "init", "-q", cwd=folder)
    run("dvc", "remote", "add", "-q", "-d", "storage", str(folder.parent / "storage"), cwd=folder)
    for name, content in (*files.items(), ("params.yaml", first)):
        (folder / name).write_text(content)
    run("dvc", "repro", "-q", cwd=folder)
    commit(folder, "first")
    (folder / "params.yaml").write_text(then)
    run("dvc", "repro", "-q", cwd=folder)
    return folder


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a repository with one quick stage, whose share is 0.6 on `main`, and 0.9 in the workspace."""
    files = {"dvc.yaml": STAGES, "verify.py": VERIFY}
    folder = made(tmp_path / "quick", files, "verify: {share: 0.6}\n", "verify: {share: 0.9}\n")
    monkeypatch.chdir(folder)
    return folder


def compared(base: str = "main", other: str = "workspace", by: str = "val") -> SimpleNamespace:
    page = Path("report/compare.html")
    page.unlink(missing_ok=True)
    text = compare_experiments.compare_experiments(base, other, page, by)
    return SimpleNamespace(text=text, page=page.read_text() if page.exists() else None)


def test_what_differs_is_printed_and_drawn(repository: Path):
    found = compared()
    assert re.search(r"^main \([0-9a-f]{7}\) -> workspace$", found.text, re.MULTILINE)
    assert "verify.share  0.6 -> 0.9" in found.text
    assert re.search(r"auc +0\.6 -> 0\.9 +\+0\.3000 +better, outside the interval", found.text)
    assert re.search(r"eer +0\.4 -> 0\.1 +-0\.3000 +better$", found.text, re.MULTILINE)
    assert "these intervals are too wide" in found.text
    assert "these intervals are too wide" in found.page
    assert "seconds" not in found.text  # what it took is no result
    assert found.text.endswith("The page is report/compare.html")
    assert "60" in re.sub(r"(?s).*Time and memory", "", found.page)
    assert found.page.count('src="data:image/png;base64,') == 3  # a curve, and a picture of each side
    assert "100.0% of the pixels differ" in found.page
    assert "&lt;b&gt;" in found.page
    assert "<b>" not in found.page
    for reference in re.findall(r'(?:src|href)="([^"]*)"', found.page):
        assert reference.startswith(("data:", "#"))
    assert not list(Path("report").glob(".*"))


def test_two_revisions_are_compared_by_tag_commit_and_experiment(repository: Path):
    commit(repository, "nine tenths")
    run("git", "tag", "nine", cwd=repository)
    head = run("git", "rev-parse", "HEAD", cwd=repository).stdout.strip()
    run("dvc", "exp", "run", "-n", "seven", "-S", "verify.share=0.7", cwd=repository, **NOBODY)
    assert "verify.share  0.6 -> 0.7" in compared("HEAD~1").text
    assert "verify.share  0.9 -> 0.7" in compared("nine").text
    assert f"{head[:7]} -> seven" in compared(head[:10], "seven").text
    nothing = compared("seven")
    assert re.fullmatch(r"Nothing differs between seven \(\w{7}\) and workspace: no page was written\.", nothing.text)
    assert nothing.page is None


def test_a_figure_comes_from_the_remote_or_is_said_to_be_missing(repository: Path):
    run("git", "stash", "-q", cwd=repository)
    run("dvc", "checkout", "-q", cwd=repository)
    run("dvc", "push", "-q", cwd=repository)
    run("git", "stash", "pop", "-q", cwd=repository)
    run("dvc", "checkout", "-q", cwd=repository)
    shutil.rmtree(repository / ".dvc/cache/files")
    assert compared().page.count('src="data:image/png;base64,') == 3
    shutil.rmtree(repository / ".dvc/cache/files", ignore_errors=True)
    shutil.rmtree(repository.parent / "storage")
    found = compared()
    assert "of 1 one side is missing" in found.text
    assert "neither in the cache nor in the remote: dvc push it where it was made" in found.page


PAIRED_STAGES = """\
stages:
  verify:
    cmd: python verify.py
    params: [verify]
    deps: [verify.py]
    outs: [metrics/replicates/verify.parquet]
    metrics: [metrics/verify.json: {cache: false}]
"""
PAIRED = (
    f"""\
import sys
sys.path.insert(0, {str(ROOT)!r})
"""
    + """\
from pathlib import Path
import numpy, yaml
from stages.core import intervals, metrics, replicates
from stages.core.results import Results
from stages.core.seeding import generator

params = yaml.safe_load(open("params.yaml"))["verify"]
of = {"": [f"tested {n}" for n in range(20)], "val.": [f"{params['called']} {n}" for n in range(10)]}
gain = {"": params["gain"] * numpy.where(numpy.arange(20) % 2, 4, -3), "val.": params["gain"] * numpy.ones(10)}
scores, values, people = {}, {}, {}
for part, names in of.items():
    shares = numpy.linspace(0.2, 0.8, len(names)) + gain[part]
    counts = intervals.drawn(len(names), 200, generator(params["seed"], "verify"))
    key = f"{part}series.auc"
    values[key], people[key] = counts @ shares / counts.sum(1), names
    auc = float(shares.mean())
    bounds = intervals.share(auc, values[key], len(names))._asdict()
    scores[part] = {"series": {"auc": auc, "interval": {"auc": bounds}}}
results = Results(Path("metrics/verify"))
metrics.write(results.metrics, {**scores[""], "val": scores["val."]})
replicates.write(results.replicates, values, people, params["seed"])
"""
)


@pytest.fixture
def pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a repository that keeps replicates: each person of val gains 0.03 from `main` to the workspace."""
    files = {"dvc.yaml": PAIRED_STAGES, "verify.py": PAIRED}
    first, then = (f"verify: {{gain: {gain}, called: ann, seed: 0}}\n" for gain in (0, 0.03))
    folder = made(tmp_path / "pairs", files, first, then)
    monkeypatch.chdir(folder)
    return folder


BEYOND = re.compile(r"(?m)^  val\.series\.auc +0\.5 -> 0\.53 .* better, beyond chance \(\+0\.0300 to \+0\.0300\)$")


def test_sides_are_paired_by_the_people_of_val_or_of_the_test(pairs: Path):
    found = compared()
    assert BEYOND.search(found.text)
    assert "by people who are in no test (val); BY=test shows the test people" in found.text
    assert compare_experiments.PAIRED in found.text
    assert compare_experiments.MARGINAL not in found.text
    assert "1 in 1 files" in found.text
    for text in ("by people who are in no test (val)", "beyond chance", "difference +0.0300 to +0.0300"):
        assert text in found.page
    tested = compared(by="test")
    assert re.search(r"(?m)^  series\.auc +0\.5 -> 0\.515 .* better, within chance \(-0\.\d+ to \+0", tested.text)
    assert "val.series" not in tested.text
    assert "by the test people" in tested.text
    assert "choose by val" in tested.page


@pytest.mark.parametrize("other", ["called: bob, seed: 0", "called: ann, seed: 1"])
def test_sides_of_other_people_or_draws_are_compared_by_their_own_intervals(pairs: Path, other: str):
    Path("params.yaml").write_text(f"verify: {{gain: 0.03, {other}}}\n")
    run("dvc", "repro", "-q", cwd=pairs)
    found = compared()
    assert re.search(r"\+0\.0300 +better, inside the interval$", found.text, re.MULTILINE)
    assert compare_experiments.PAIRED not in found.text
    assert compare_experiments.MARGINAL in found.text


def test_replicates_come_from_the_cache_or_the_remote_or_it_is_said_that_they_are_missing(pairs: Path):
    commit(pairs, "gained")
    assert BEYOND.search(compared("HEAD~1", "HEAD").text)
    run("dvc", "push", "-q", "--all-commits", cwd=pairs)
    shutil.rmtree(pairs / ".dvc/cache/files")
    assert BEYOND.search(compared("HEAD~1", "HEAD").text)
    shutil.rmtree(pairs / ".dvc/cache/files", ignore_errors=True)
    shutil.rmtree(pairs.parent / "storage")
    found = compared("HEAD~1", "workspace")
    assert "better, inside the interval" in found.text
    why = "verify.parquet of HEAD~1 is not used to pair the sides: neither in the cache nor in the remote"
    assert why in found.text
    assert why in found.page


def test_a_commit_without_replicates_is_compared_as_ever(pairs: Path):
    stage = Path("dvc.yaml")
    stage.write_text(stage.read_text().replace("    outs: [metrics/replicates/verify.parquet]\n", ""))
    run("dvc", "repro", "-q", cwd=pairs)
    Path("metrics/replicates/verify.parquet").unlink()
    found = compared()
    assert "better, inside the interval" in found.text
    assert "is not used" not in found.text


def test_what_differs_in_test_people_alone_is_no_difference_by_val(pairs: Path):
    commit(pairs, "gained")
    file = Path("metrics/verify.json")
    file.write_text(file.read_text().replace('"auc": 0.515', '"auc": 0.6'))
    assert "metrics that differ: none" in compared("HEAD").text
    assert re.search(r"series\.auc +0\.515 -> 0\.6", compared("HEAD", by="test").text)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--base", "nonsense"), "unknown Git revision 'nonsense': name a branch, a tag, a commit or an experiment"),
        (("--base", "HEAD~7"), "HEAD~7"),
    ],
)
def test_a_revision_that_is_not_there(repository: Path, arguments: tuple[str, ...], expected: str):
    done = run(
        "python",
        "-m",
        "stages.reports.compare_experiments",
        *arguments,
        cwd=repository,
        check=False,
        PYTHONPATH=str(ROOT),
    )
    assert done.returncode == 1
    assert done.stderr.startswith("compare_experiments: ")
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert not (repository / "report").exists()


def test_a_broken_metrics_file_is_named(repository: Path):
    Path("metrics/verify.json").write_text("{")
    with pytest.raises(UnmaskError, match=r"metrics/verify\.json of workspace cannot be read"):
        compared()


def test_a_page_is_written_whole_or_not_at_all(repository: Path, monkeypatch: pytest.MonkeyPatch):
    compared()
    before = Path("report/compare.html").read_text()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        compare_experiments.compare_experiments("main", "workspace", Path("report/compare.html"))
    assert Path("report/compare.html").read_text() == before
    assert [path.name for path in Path("report").iterdir()] == ["compare.html"]


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_the_page_fits_a_phone(repository: Path, tmp_path: Path):
    page = compared().page
    width, needed, drawn, links = on_a_phone(page, tmp_path)
    assert needed <= width <= 390
    assert drawn == 3
    assert links == page.count("<section")
