"""Embed every face with one recognizer: bare, masked, with the mask zeroed, inpainted, and the upper half alone.

python -m stages.recognition.embed --data data --dataset orl --test-dataset orl \
    --weights models/recognizer-dlib.safetensors --out data/embeddings/dlib.parquet --results metrics/embed-dlib
"""

import functools
import itertools
import math
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from stages.compute import device
from stages.core import images, parallel, tables
from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.core.outputs import whole_file
from stages.core.params import StageParams
from stages.core.seeding import fraction
from stages.core.tables import Face
from stages.faces.removal import upper_half
from stages.masks.looks import Looks
from stages.masks.share import is_drawn
from stages.recognition import embedders, embeddings, folding, overlap, protocol

BATCH = 32  # faces that are decoded and embedded together: on their neighbors, last digits depend
FACES_A_TASK = 10 * BATCH
COLUMNS = ["face_id", "image", "landmarks"]
SCRATCH = Path(".scratch")
FEWEST = 2  # people that heads learn from
REALISTIC, ORACLE = "realistic", "oracle"  # folders of tables, by what their faces were aligned by
Change = Callable[[Pixels], Pixels]


class Params(StageParams):
    """Section `embed:` of params.yaml."""

    top_level: ClassVar = ("seed", "render_masks")

    seed: int = Field(ge=0)
    render_masks: Looks
    train_faces: int = Field(ge=1)
    """Of the people to train on, at most so many faces, drawn by chance: only heads, and who chooses, need them."""
    masks: Literal["drawn", "real"]
    """What the people of splits `val` and `test` wear: masks drawn on their bare photos, or real ones, on others."""
    folds: int | None = Field(ge=2)
    """Of the people to train on, for the heads of a recognizer that never saw these people; null: none."""


def embed(data: Path, dataset: str, test_dataset: str, weights: Path, out: Path, params: Params) -> dict[str, Any]:
    """Write embeddings of length 1; that of a face and that of its mirror image are added up.

    What a face is under a condition is decided face by face. Who wears a real mask is never bare, and no mask is drawn
    there. Of whom nobody knows it, the photo counts as bare, and is counted. A face that was not found in its photo,
    or not behind its mask, is in the table without an embedding.

    A person to train on is embedded by the network of the person's fold, if the recognizer has such, as it never saw
    the person. If the test people are of another dataset, so are those of split `val`.

    Args:
        data: the folder of tables, laid out as dvc.yaml has it.
        dataset: the one that recognizers are trained on.
        test_dataset: the one whose test people are recognized.
        weights: a recognizer.
        out: the table of embeddings to write, see `stages.recognition.embeddings`.
        params: section `embed`.

    Returns:
        How many faces were embedded under each condition, and how many could not be, as they were not found; how many
        faces count as bare of whom nobody knows whether they wear a mask; how many photos of tested people show real
        masks, and how many such photos were left out; how many test people have the name of a person to train on; and
        how many numbers an embedding has.

    Raises:
        UnmaskError: a condition has no face, or an embedding is not finite.
    """
    sources = (
        {dataset: tables.SPLITS} if dataset == test_dataset else {dataset: ("train",), test_dataset: ("val", "test")}
    )
    numbers = Counter[str]()
    people: dict[str, set[str]] = {split: set() for split in tables.SPLITS}
    planned: list[_Planned] = []
    for name, splits in sources.items():
        photos = _photos(data / "landmarks" / name, splits)
        for face in photos:
            people[face["split"]].add(face["identity"])
        photos = _in_folds(_fewer(photos, params), weights, params.folds)
        numbers.update(_counted(photos, params, name))
        for condition, source in _sources(data, name).items():
            wanted = {face["face_id"]: face for face in photos if source.wants(face, params)}
            planned.append(_plan(condition, source, wanted))
            asked = any(face["split"] == splits[-1] for task in planned[-1].tasks for face in task.faces)
            if not asked and source.shows != "oracle":
                raise UnmaskError(
                    f"{source.table} has no face of split {splits[-1]!r} to embed under the condition {condition!r}; "
                    f"embed.masks is {params.masks}"
                )
    tasks = [task for one in planned for task in one.tasks]
    done, lost = Counter[str](), Counter[str]()
    SCRATCH.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        files = [Path(folder).absolute() / f"{number}.npy" for number in range(len(tasks))]
        parallel.run(
            functools.partial(_embedded, weights=weights.absolute()),
            list(zip(tasks, files, strict=True)),
            sizes=[len(task.faces) for task in tasks],
            label=out.as_posix(),
        )
        size = np.load(files[0]).shape[1]

        def batches() -> Iterator[tuple[str, embeddings.Faces]]:
            written = iter(files)
            for one in planned:
                for task in one.tasks:
                    found = np.load(next(written))
                    for start in range(0, len(found), BATCH):
                        batch = slice(start, start + BATCH)
                        yield one.condition, _rows(task.faces[batch], found[batch])
                done[one.condition] += sum(len(task.faces) for task in one.tasks)
                for start in range(0, len(one.missing), FACES_A_TASK):
                    some = one.missing[start : start + FACES_A_TASK]
                    yield one.condition, _rows(some, np.full((len(some), size), np.nan, np.float32))
                lost[one.condition] += len(one.missing)

        embeddings.write(out, batches(), size)
    return {
        "faces": {condition: n for condition, n in done.items() if n or lost[condition]},
        "not_found": {condition: n for condition, n in lost.items() if n or done[condition]},
        "unknown_whether_masked": numbers["unknown"],
        "real_masks": numbers["real"],
        "masks_left_out": numbers["left out"],
        "test_people_seen_in_training": len(overlap.seen(people["train"], people["test"])) if len(sources) > 1 else 0,
        "numbers": size,
    }


@dataclass(frozen=True)
class _Source:
    """Where the faces under a condition are.

    Attributes:
        table: of aligned faces.
        shows: `bare` ones; `masked` ones, aligned by landmarks found behind the mask; or such by the `oracle`.
        change: of their images.
    """

    table: Path
    shows: Literal["bare", "masked", "oracle"]
    change: Change = lambda image: image

    def wants(self, photo: Face, params: Params) -> bool:
        """Tell whether a photo is to be there under the condition, found or not."""
        worn, tested = bool(photo["wears_mask"]), photo["split"] != "train"
        if self.shows == "bare":
            return not worn
        if tested and params.masks == "real":
            return worn and self.shows == "masked"
        drawn = not worn and is_drawn(photo["face_id"], params.render_masks.share, params.seed)
        return drawn and (tested or self.shows == "masked")


def _sources(data: Path, dataset: str) -> dict[str, _Source]:
    made = {"masked": "masked", "zeroed": "unmasked", "inpainted": "inpainted"}
    bare, masked = data / "aligned" / dataset, data / "masked" / REALISTIC / dataset
    found = {"bare": _Source(bare, "bare")}
    found |= {name: _Source(data / folder / REALISTIC / dataset, "masked") for name, folder in made.items()}
    found |= {"upper": _Source(masked, "masked", upper_half), protocol.BARE_UPPER: _Source(bare, "bare", upper_half)}
    oracle = {name: _Source(data / folder / ORACLE / dataset, "oracle") for name, folder in made.items()}
    oracle["upper"] = _Source(oracle["masked"].table, "oracle", upper_half)
    return found | {protocol.ORACLE[name]: source for name, source in oracle.items()}


def _photos(table: Path, splits: Collection[str]) -> list[Face]:
    """Return the photos of the splits wanted, without their images; the same name is the same text, as all are kept."""
    return [
        {**face, "identity": sys.intern(face["identity"]), "split": sys.intern(face["split"])}
        for face in tables.read(table, ["face_id", "identity", "split", "wears_mask"])
        if face["split"] in splits
    ]


def _fewer(photos: Sequence[Face], params: Params) -> list[Face]:
    """Return the photos with at most `train_faces` of split `train`."""
    learned = sorted(
        (face["face_id"] for face in photos if face["split"] == "train"),
        key=lambda face_id: fraction(params.seed, "embed", face_id),
    )
    left_out = set(learned[params.train_faces :])
    return [face for face in photos if face["face_id"] not in left_out]


def _counted(photos: Sequence[Face], params: Params, dataset: str) -> dict[str, int]:
    """Return of how many photos nobody knows whether a mask is worn, and how many show other masks than wanted."""
    worn = sum(bool(face["wears_mask"]) for face in photos)
    if worn and params.masks == "drawn":
        print(
            f"{dataset}: {worn} of {len(photos)} faces wear a real mask; embed.masks is drawn, so they are left out",
            file=sys.stderr,
        )
    tested = sum(bool(face["wears_mask"]) for face in photos if face["split"] != "train" and params.masks == "real")
    unknown = sum(face["wears_mask"] is None for face in photos)
    return {"unknown": unknown, "real": tested, "left out": worn - tested}


def _in_folds(photos: list[Face], weights: Path, n: int | None) -> list[Face]:
    """Return photos with the `fold` of each person to train on, as an embedding there is to be of a stranger's network.

    It is that of a recognizer's file. If the recognizer never saw any of these people, they are divided into `n` folds
    for its heads, unless too few would be left to learn from.
    """
    fold_of = embedders.fold_of(weights)
    people = {face["identity"] for face in photos if face["split"] == "train"}
    if n and embedders.knows_nobody(weights):
        fold_of = folding.folds(people, n) if len(people) - math.ceil(len(people) / n) >= FEWEST else {}
    return [{**face, "fold": fold_of.get(face["identity"]) if face["split"] == "train" else None} for face in photos]


@dataclass(frozen=True)
class _Task:
    """Some faces of a table, neighbors there: what a worker embeds at a time.

    Attributes:
        parts: of the table, in which they are.
        faces: rows without their images.
        change: of their images.
    """

    parts: list[Path]
    faces: list[Face]
    change: Change


@dataclass(frozen=True)
class _Planned:
    """What is to be embedded under a condition; and the faces wanted that the table does not have."""

    condition: str
    tasks: list[_Task]
    missing: list[Face]


def _plan(condition: str, source: _Source, wanted: Mapping[str, Face]) -> _Planned:
    found = [
        (path.absolute(), wanted[row["face_id"]])
        for path in tables.parts(source.table, COLUMNS)
        for row in tables.read_part(path, ["face_id"])
        if row["face_id"] in wanted
    ]
    missing = wanted.keys() - {face["face_id"] for _, face in found}
    groups = (found[start : start + FACES_A_TASK] for start in range(0, len(found), FACES_A_TASK))
    tasks = [
        _Task(list(dict.fromkeys(path for path, _ in some)), [face for _, face in some], source.change)
        for some in groups
    ]
    return _Planned(condition, tasks, [face for face_id, face in wanted.items() if face_id in missing])


@functools.cache
def _networks(weights: Path) -> dict[str, embedders.Embed]:
    """Return a recognizer's networks, loaded once in a process: `all`, and by their numbers those of the folds."""
    apart = embedders.load_folds(weights)
    return {"all": embedders.load(weights)} | {str(fold): one for fold, one in enumerate(apart.embed if apart else ())}


def _embedded(task: tuple[_Task, Path], weights: Path) -> None:
    """Write the embeddings of faces, in their order."""
    (some, out), networks = task, _networks(weights)
    names = {face["face_id"]: str(face["fold"]) for face in some.faces}
    rows = (face for path in some.parts for face in tables.read_part(path, COLUMNS) if face["face_id"] in names)
    found: list[NDArray[np.float32]] = []
    while faces := list(itertools.islice(rows, BATCH)):

        def work(network: str, indices: list[int], faces: Sequence[Face] = faces) -> list[NDArray[np.float32]]:
            pictures = [some.change(images.decode(faces[index]["image"])) for index in indices]
            return list(networks[network](pictures, [faces[index]["landmarks"] for index in indices]))

        of = (names[face["face_id"]] for face in faces)
        found += device.by_name([name if name in networks else "all" for name in of], work)
    with whole_file(out, in_whole_folder=True) as staging, staging.open("wb") as file:
        np.save(file, np.stack(found))


def _rows(faces: Sequence[Face], found: NDArray[np.float32]) -> embeddings.Faces:
    """Return faces with their embeddings (n, d)."""
    return embeddings.Faces(*([face[name] for face in faces] for name in embeddings.KEYS), found)


if __name__ == "__main__":
    run_stage("recognition.embed")
