"""Say what a preset would take before anything runs, and change nothing: `make plan PRESET=lfw`.

python -m stages.tools.plan --preset lfw

Each training is begun on made-up faces for some steps, from which its time and memory on this device are known. For
other GPUs its time is computed from what torch counts.
"""

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvc.stage import PipelineStage

from stages.core import costs
from stages.core.command import errors_in_words
from stages.core.errors import UnmaskError
from stages.core.params import PARAMS_FILE
from stages.core.progress import Progress, in_words
from stages.data import fetch
from stages.data.sources import catalogue as sources
from stages.data.sources.catalogue import Dataset, File
from stages.recognition import known_models
from stages.tools import presets
from stages.tools.planning import rehearsal
from stages.tools.planning.rehearsal import Measured, Rehearsals

FETCHED = ("data/raw", "models/checkpoints", "models/pretrained")  # folders of datasets and models, by name
# TFLOPS at most, dense, as NVIDIA states them: of matrix products in bfloat16; the T4, which has none, in float32.
GPUS = {"T4": 8.1, "RTX 3090": 71, "RTX 4090": 165, "A100": 312, "H100": 989}
EFFICIENCY = 0.15  # share of that which a training reaches; assumed
BYTES_A_PIXEL = 1.9  # of an aligned face as PNG, and what lies beside it: LFW, 112 pixels, in color
WHOLE = {"raw", "clean", "landmarks", "rejected"}  # folders of data/ that have the photos as they are, or no faces
CHECKPOINTS, ADAM = 2, 3  # that are kept at a time; numbers of a weight in one
ABOUT = (
    "GFLOPs: of a training step, an image, forward and backward, a multiplication and an addition counted as two, by "
    "torch.utils.flop_counter (convolutions and matrix products).",
    f"GPUs: computed and not measured. Time = networks x steps x batch x GFLOPs / ({EFFICIENCY} x peak), with peaks of "
    f"{', '.join(f'{peak:g} ({name})' for name, peak in GPUS.items())} TFLOPS in bfloat16, the T4's in float32. Where "
    "a GPU waits for small networks, or for samples, it takes longer.",
)


@dataclass(frozen=True)
class Training:
    """A training of a preset, and what it takes."""

    stage: str
    networks: int
    steps: int
    batch: int
    measured: Measured | None
    why: str = ""
    """Why it was not measured."""

    @property
    def here(self) -> float | None:
        """Return the seconds it takes on this device."""
        return self.networks * self.steps * self.measured.step_seconds if self.measured else None

    def on(self, gpu: str) -> float | None:
        """Return the seconds it takes on a GPU of `GPUS`, computed."""
        if not self.measured:
            return None
        return self.networks * self.steps * self.batch * self.measured.gflops / (EFFICIENCY * GPUS[gpu] * 1000)


def plan(name: str) -> list[str]:
    """Return what a preset takes, in lines; measure its trainings for a few minutes.

    Raises:
        UnmaskError: there is no such preset, or params.yaml lacks one of its keys.
    """
    content, _ = presets.applied(name)
    preset = presets.load(name)
    known = sources.load(presets.CATALOGUE)
    datasets = {dataset: known[dataset] for dataset in content["datasets"] if dataset in known}
    with tempfile.TemporaryDirectory() as folder:
        rehearsals = Rehearsals(Path(folder), content, _people(content, datasets))
        is_recipe = name.startswith(f"{presets.RECIPES}/")
        stages = rehearsals.touched(preset.params) if is_recipe else rehearsals.trainings
        found = list(trainings(rehearsals, stages))
        crops = _crops(rehearsals)
    models = _models(content, sources.load(known_models.CATALOGUE))
    return [
        f"{name}: {preset.about.what}",
        "",
        *table(found),
        "",
        *_measured_on(found),
        *ABOUT,
        "",
        *download(datasets, models),
        disk(found, datasets, models, crops, content["align_faces"]["side"]),
        *terms(presets.not_accepted(content, datasets | models)),
        f"To begin: python -m stages.tools.presets {name} && dvc repro",
    ]


def trainings(rehearsals: Rehearsals, stages: Sequence[PipelineStage]) -> Iterator[Training]:
    """Yield each training with what it takes; one that cannot be begun, with the reason."""
    with Progress(len(stages), "plan", "trainings") as shown:
        for stage in stages:
            schedule = costs.schedule(stage.name, rehearsals.content) or {}
            size = rehearsal.networks(stage.name, rehearsals.content), schedule["steps"], schedule["batch_size"]
            try:
                yield Training(stage.name, *size, rehearsals.measure(stage))
            except UnmaskError as error:
                yield Training(stage.name, *size, None, str(error))
            shown.update(note=stage.name)


def table(found: Sequence[Training]) -> list[str]:
    """Return a line for each training, and one for all; below them, why some were not measured."""
    rows = [["training", "weights", "GFLOPs", "batch", "memory", "networks", "steps", "a step", "here", *GPUS]]
    for one in found:
        said = ["-"] * 4
        if one.measured:
            of = one.measured
            said = [_short(of.parameters), f"{of.gflops:.3g}", _size(of.memory_mb * 2**20), f"{of.step_seconds:.3g} s"]
        weights, flops, memory, step = said
        times = [one.here, *map(one.on, GPUS)]
        numbers = [weights, flops, str(one.batch), memory, str(one.networks), f"{one.steps:,}", step]
        rows.append([one.stage, *numbers, *map(_time, times)])
    measured = [[one.here, *map(one.on, GPUS)] for one in found if one.measured]
    if measured:
        totals = (sum(seconds or 0 for seconds in column) for column in zip(*measured, strict=True))
        rows.append(["all", *[""] * 7, *map(_time, totals)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]
    return [*lines, *(f"{one.stage} was not measured: {one.why}" for one in found if not one.measured)]


def _measured_on(found: Sequence[Training]) -> list[str]:
    first = next((one.measured for one in found if one.measured), None)
    if first is None:
        return []
    on = f"{first.threads} threads of {costs.processor()}" if first.device == "cpu" else first.device
    return [
        f"Measured on {on}, in {first.precision}, by {rehearsal.STEPS} steps of one network on made-up faces, fewer "
        f"where these take longer than {rehearsal.PATIENCE:.0f} s. Memory is the most that a training takes, without "
        f"its faces. Trainings alone: what comes before and after them is not in these times."
    ]


def _people(content: Mapping[str, Any], datasets: Mapping[str, Dataset]) -> dict[str, int]:
    """Return how many people there are to train on, by dataset; where nobody says who is on a photo, each is one."""
    most = content["clean"]["limit"]["identities"]
    counts = {name: of.expected.people or of.expected.photos for name, of in datasets.items()}
    share = content["clean"]["split"]["train"]
    return {name: max(2, round(min(n, most or n) * share)) for name, n in counts.items() if n}


def _crops(rehearsals: Rehearsals) -> dict[str, int]:
    """Return how many tables of aligned faces the pipeline makes, by dataset."""
    found: dict[str, int] = {}
    for out in (Path(out.def_path) for stage in rehearsals.stages for out in stage.outs):
        if out.parts[0] == "data" and out.parts[1] not in WHOLE and not out.suffix:
            found[out.name] = found.get(out.name, 0) + 1
    return found


def _models(content: Mapping[str, Any], known: Mapping[str, Dataset]) -> dict[str, Dataset]:
    """Return the models that are started from or compared, by the name that they have in their catalogue."""

    def named(section: Any) -> Iterator[str]:
        if isinstance(section, dict):
            for key, value in section.items():
                if key in {"pretrained", "file", "like"} and isinstance(value, str):
                    yield value.partition("/")[0]
                yield from named(value)

    trained = {name: section for name, section in content.items() if name.startswith(("train_", "pretrain_"))}
    imported = [content["import_recognizer"].get(name) for name in content["recognizers"]["pretrained"]]
    names = [*named(trained), *(name for one in imported for name in named(one))]
    return {name: known[name] for name in dict.fromkeys(names) if name in known}


def download(datasets: Mapping[str, Dataset], models: Mapping[str, Dataset]) -> list[str]:
    """Return what has to be fetched, in all and of each source, and how many photos there are."""
    lines: list[str] = []
    total = 0.0
    for name, source in {**datasets, **models}.items():
        files = [file for file in source.files if not file.package]
        wanted = [file for file in files if not fetch.dropped(name, file)]
        stated = sum(map(_bytes, wanted))
        by_hand = [file.name for file in wanted if file.by_hand and not file.optional]
        silent = [file.name for file in wanted if not _bytes(file) and not file.optional]
        if any((Path(folder) / name).exists() for folder in FETCHED):
            said = "is here"
        elif not files:
            said = "comes with a package"
        elif not wanted:
            said = "lies in the drop folder"
        else:
            total += stated
            said = _size(stated) if stated else "of unknown size"
            said += f", and {', '.join(silent)}, whose size nobody states" if silent and stated else ""
            said += f"; got by hand: {', '.join(by_hand)}" if by_hand else ""
        photos = f"{source.expected.photos:,} photos, " if source.expected.photos else ""
        lines.append(f"  {name}: {photos}{said}")
    said = f"{_size(total)}, as far as it is stated" if total else "nothing of a stated size"
    return [f"Download: {said}", *lines]


def disk(
    found: Sequence[Training],
    datasets: Mapping[str, Dataset],
    models: Mapping[str, Dataset],
    crops: Mapping[str, int],
    side: int,
) -> str:
    """Return what it takes on the disk: what is fetched, tables, weights and checkpoints; computed.

    Args:
        found: the trainings.
        datasets: of the preset.
        models: that its trainings start from, or that it compares.
        crops: how many tables of aligned faces there are of each.
        side: of an aligned face, pixels.
    """
    raw, fetched = (sum(sum(map(_bytes, one.files)) for one in of.values()) for of in (datasets, datasets | models))
    photos = {name: source.expected.photos for name, source in datasets.items()}
    aligned = sum((n or 0) * crops.get(name, 0) * side**2 * BYTES_A_PIXEL for name, n in photos.items())
    tables = 2 * raw + aligned  # two tables have the photos as they are
    weights = [4 * one.measured.parameters for one in found if one.measured]
    kept = sum(4 * one.measured.parameters * one.networks for one in found if one.measured)
    kept += CHECKPOINTS * ADAM * max(weights, default=0)
    unknown = [name for name in datasets if not photos[name]]
    said = f"; without {', '.join(unknown)}, whose photos nobody has counted" if unknown else ""
    return (
        f"Disk: {_size(fetched + tables + kept)}, computed: {_size(fetched)} of downloads, "
        f"{_size(tables)} of tables, {_size(kept)} of weights and checkpoints{said}. Where DVC's cache copies and does "
        f"not link, it takes this once more."
    )


def terms(asked: Mapping[str, Dataset]) -> list[str]:
    """Return the terms that the user has not accepted yet."""
    if not asked:
        return ["Terms to accept: none"]
    lines = [f"  {name}: {of.terms} {of.homepage}" for name, of in asked.items()]
    return [f"Terms to accept, by `{presets.ACCEPTED}` in {PARAMS_FILE}:", *lines]


def _bytes(file: File) -> float:
    """Return how large a file is, as far as its publisher says it; else 0."""
    return file.bytes or (file.mebibytes or 0) * 2**20


def _size(n: float) -> str:
    unit, value = next(((unit, n / size) for unit, size in (("GB", 1e9), ("MB", 1e6)) if n >= size), ("kB", n / 1e3))
    return f"{value:.1f} {unit}" if value < 100 else f"{value:,.0f} {unit}"


def _short(n: int) -> str:
    return f"{n / 1e6:.1f} M"


def _time(seconds: float | None) -> str:
    return "-" if seconds is None else in_words(seconds)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.tools.plan", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", required=True, help=f"one of {', '.join(presets.names())}")
    name = parser.parse_args().preset
    with errors_in_words("plan"):
        print("\n".join(plan(name)))


if __name__ == "__main__":
    main()
