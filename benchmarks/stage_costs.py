"""What each data and inference stage costs per 1,000 faces: seconds of one core, peak memory, size of its table.

python -m benchmarks.stage_costs [faces]

The faces are ORL's, as often as it takes (default: 1,000), each time as other people. Each stage runs as its command,
in one process with one thread, on what the one before it wrote; the models are those of `dvc repro`. All of it runs on
20 faces first: what it takes for these is said apart, as it is mostly imports and models and does not grow. It prints a
Markdown table for docs/scaling.md, and one of what large datasets would cost.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ruamel.yaml import YAML

from benchmarks.measured import Cost, run
from benchmarks.orl import repeated
from stages.core import images, params, tables
from stages.core.code import module_of

ROOT = Path(__file__).parents[1]
FEW = 20  # faces
# Photos and people, the latter spread evenly here; how much faster 2 and 16 workers are than one (16: not measured).
DATASETS = {"LFW": (13_233, 5_749), "CelebAMask-HQ": (30_000, 30_000), "WebFace": (494_414, 10_575)}
DATASETS |= {"MS1M": (5_800_000, 85_000)}
FASTER = {1: 1.0, 2: 1.8, 16: 14.0}
MODELS = ROOT / "models"
OUT = {
    "clean": "data/clean/orl",
    "find_landmarks": "data/landmarks/orl",
    "align_faces": "data/aligned/orl",
    "render_masks": "data/masked/oracle/orl",
    "label_parts": "data/labeled/orl",
    "remove_masks": "data/unmasked/oracle/orl",
    "inpaint": "data/inpainted/oracle/orl",
    "embed": "data/embeddings/orl.parquet",
}


def write_photos(folder: Path, n: int) -> None:
    """Write ORL's photos as its publisher names them, as often as it takes to have `n`."""
    for copy, person, number, data in repeated(n):
        photo = images.decode(data)
        photo[0, 0] = copy  # as other bytes: `clean` drops copies
        path = folder / f"s{int(person[1:]) + 40 * copy}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(images.encode_png(photo))


def commands(recognizer: str) -> dict[str, list[str]]:
    """Return the options of each stage, by its name, in the order of the flow."""
    parser, detector = str(MODELS / "parser-scanet.safetensors"), str(MODELS / "detector.safetensors")
    templates = str(ROOT / "data/mask_templates")
    generators = [f"--{name}={MODELS}/inpainter-{name}.safetensors" for name in ("shared", "female", "male")]
    return {
        "clean": ["--raw", "raw/orl", "--curation", "none.csv", "--rejected", "rejected.csv"],
        "find_landmarks": ["--faces", OUT["clean"]],
        "align_faces": ["--faces", OUT["find_landmarks"]],
        "render_masks": ["--faces", OUT["align_faces"], "--templates", templates],
        "label_parts": ["--faces", OUT["align_faces"]],
        "remove_masks": ["--faces", OUT["render_masks"], "--parser", parser, "--detector", detector],
        "inpaint": [
            *("--faces", OUT["render_masks"], "--unmasked", OUT["remove_masks"]),
            *(f"--gender={MODELS}/gender.safetensors", *generators),
        ],
        "embed": [
            *("--data", "data", "--dataset", "orl", "--test-dataset", "orl"),
            *("--weights", str(MODELS / f"recognizer-{recognizer}.safetensors")),
        ],
    }


def flow(folder: Path, n: int, recognizer: str) -> Iterator[tuple[str, Cost, int]]:
    """Yield what each stage takes for `n` faces, and the bytes that it writes.

    `embed` finds tables of masked faces twice: those that were aligned by the landmarks of the bare photos stand for
    those that were aligned by landmarks found behind the masks.
    """
    write_photos(folder / "raw" / "orl", n)
    (folder / "none.csv").write_text("face_id,reason\n")
    yaml = YAML()
    content = yaml.load(ROOT / "params.yaml")
    content["clean"]["near_duplicates"] = None
    content["clean"]["split"] |= {"train": 0.5, "val": 0.0, "test": 0.5}  # of the few there is somebody to test on
    content["parallel"]["scheduler"] = None
    yaml.dump(content, folder / "params.yaml")
    for name in ("masked", "unmasked", "inpainted"):
        (folder / "data" / name).mkdir(parents=True)
        (folder / "data" / name / "realistic").symlink_to("oracle")
    settings = {"OMP_NUM_THREADS": "1", "UNMASK_WORKERS": "1", "UNMASK_THREADS": "1"}
    for stage, options in commands(recognizer).items():
        out = folder / OUT[stage]
        words = [sys.executable, "-m", module_of(stage), *options, "--out", OUT[stage], "--results", f"results/{stage}"]
        cost = run(words, folder, **settings)
        yield stage, cost, sum(file.stat().st_size for file in ([out] if out.is_file() else out.iterdir()))


def in_words(seconds: float) -> str:
    """Return a time in minutes, hours or days."""
    for unit, length in (("min", 60), ("h", 3600), ("days", 86400)):
        if seconds < 90 * length or unit == "days":
            return f"{seconds / length:.0f} {unit}"
    raise AssertionError


def datasets(seconds: dict[str, float], megabytes: float) -> Iterator[str]:
    """Yield the rows of the table of large datasets, from what 1,000 faces take."""
    alone = seconds.get("embed", 0.0)
    for name, (photos_, identities) in DATASETS.items():
        parts = tables.n_parts({f"{name}/{person:06d}": photos_ // identities for person in range(identities)})
        one = (sum(seconds.values()) - alone) * photos_ / 1000
        times = [in_words(one / faster) for faster in FASTER.values()] + [in_words(alone * photos_ / 1000)]
        yield f"| {name} | {photos_:,} | {parts:,} | {' | '.join(times)} | {megabytes * photos_ / 1e6:.1f} |"


def main(n: int) -> None:
    """Measure and print."""
    recognizer = params.read_yaml(ROOT / "params.yaml")["recognizers"]["compared"][0]
    with tempfile.TemporaryDirectory() as few, tempfile.TemporaryDirectory() as many:
        once = {stage: cost for stage, cost, _ in flow(Path(few), FEW, recognizer)}
        print("| stage | seconds | and once | peak memory, GB | table, MB |\n|---|---|---|---|---|")
        found, megabytes = {}, 0.0
        for stage, cost, written in flow(Path(many), n, recognizer):
            found[stage] = seconds = (cost.seconds - once[stage].seconds) / (n - FEW) * 1000
            megabytes += 0 if stage == "embed" else written / n / 1e3
            about = f"{once[stage].seconds:.1f} | {cost.peak / 1e9:.2f} | {written / n / 1e3:.1f}"
            print(f"| {stage} | {seconds:.1f} | {about} |", flush=True)
    print(f"\nPer 1,000 faces, one worker, measured on {n}; embed: {recognizer}, ten conditions.\n")
    workers = " | ".join(f"{workers} worker{'s' * (workers > 1)}" for workers in FASTER)
    print(f"| dataset | photos | parts | {workers} | `embed` | tables, GB |\n|---|---|---|---|---|---|---|---|")
    print("\n".join(datasets(found, megabytes)))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
