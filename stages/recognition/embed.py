"""Embed every face with one recognizer: bare, masked, with the mask zeroed, inpainted, and the upper half alone.

python -m stages.recognition.embed --data data --dataset orl --test-dataset orl \
    --weights models/recognizer-dlib.safetensors --out data/embeddings/dlib.parquet --results metrics/embed-dlib
"""

import itertools
import math
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from stages.compute import device
from stages.core import images, tables
from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.core.params import StageParams
from stages.core.seeding import fraction
from stages.core.tables import Face
from stages.faces.removal import upper_half
from stages.masks.looks import Looks
from stages.masks.share import is_drawn
from stages.recognition import embedders, embeddings, folding, overlap, protocol

BATCH = 32
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
    networks = _Networks(weights, params.folds)
    sources = (
        {dataset: tables.SPLITS} if dataset == test_dataset else {dataset: ("train",), test_dataset: ("val", "test")}
    )
    done, lost, numbers = Counter[str](), Counter[str](), Counter[str]()
    people: dict[str, set[str]] = {split: set() for split in tables.SPLITS}

    def batches() -> Iterator[tuple[str, embeddings.Faces]]:
        for name, splits in sources.items():
            photos = _photos(data / "landmarks" / name, splits)
            for face in photos:
                people[face["split"]].add(face["identity"])
            photos = _fewer(photos, params)
            numbers.update(_counted(photos, params, name))
            networks.see({face["identity"] for face in photos if face["split"] == "train"})
            for condition, source in _sources(data, name).items():
                wanted = {face["face_id"]: face for face in photos if source.wants(face, params)}
                asked = 0  # found faces of the last of the splits: train, or those under test
                for faces in _embedded(source, wanted, networks):
                    done[condition] += (there := int(faces.found.sum()))
                    lost[condition] += len(faces) - there
                    asked += int((faces.found & (np.array(faces.splits) == splits[-1])).sum())
                    yield condition, faces
                if not asked and source.shows != "oracle":
                    raise UnmaskError(
                        f"{source.table} has no face of split {splits[-1]!r} to embed under the condition "
                        f"{condition!r}; embed.masks is {params.masks}"
                    )

    stream = batches()
    first = next(stream)
    embeddings.write(out, itertools.chain([first], stream), networks.size)
    return {
        "faces": dict(done),
        "not_found": {condition: lost[condition] for condition in done},
        "unknown_whether_masked": numbers["unknown"],
        "real_masks": numbers["real"],
        "masks_left_out": numbers["left out"],
        "test_people_seen_in_training": len(overlap.seen(people["train"], people["test"])) if len(sources) > 1 else 0,
        "numbers": networks.size,
    }


class _Networks:
    """A recognizer, and for people it was trained on the networks that never saw them.

    Args:
        weights: the recognizer's file.
        folds: into which the people are divided if it never saw any of them, for its heads.

    Attributes:
        size: numbers in an embedding; 0 before the first one.
    """

    def __init__(self, weights: Path, folds: int | None) -> None:
        self.embed = {"all": embedders.load(weights)}
        self.folds = folds if embedders.knows_nobody(weights) else None
        self.fold_of: Mapping[str, int] = {}
        self.size = 0
        if apart := embedders.load_folds(weights):
            self.embed |= {str(fold): network for fold, network in enumerate(apart.embed)}
            self.fold_of = apart.fold_of

    def see(self, people: Collection[str]) -> None:
        """Learn who may be in training, to be divided into folds; not if too few are left to learn from."""
        if self.folds:
            largest = math.ceil(len(people) / self.folds)
            self.fold_of = folding.folds(people, self.folds) if len(people) - largest >= FEWEST else {}

    def fold(self, face: Face) -> int | None:
        """Return the fold of a face's person, if this is one to train on."""
        return self.fold_of.get(face["identity"]) if face["split"] == "train" else None

    def __call__(self, faces: Sequence[Face], change: Change) -> embeddings.Faces:
        """Return the embeddings of faces with `image` and `landmarks`."""
        folds = (str(self.fold(face)) for face in faces)
        networks = [fold if fold in self.embed else "all" for fold in folds]

        def work(network: str, indices: list[int]) -> list[NDArray[np.float32]]:
            pictures = [change(images.decode(faces[index]["image"])) for index in indices]
            return list(self.embed[network](pictures, [faces[index]["landmarks"] for index in indices]))

        found = np.stack(device.by_name(networks, work))
        self.size = found.shape[1]
        return self.rows(faces, found)

    def rows(self, faces: Sequence[Face], found: NDArray[np.float32]) -> embeddings.Faces:
        """Return faces with their embeddings (n, d)."""
        names, people, splits = ([face[name] for face in faces] for name in ("face_id", "identity", "split"))
        return embeddings.Faces(names, people, splits, [self.fold(face) for face in faces], found)


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
    """Return the photos of the splits wanted, without their images."""
    return [
        face for face in tables.read(table, ["face_id", "identity", "split", "wears_mask"]) if face["split"] in splits
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


def _embedded(source: _Source, wanted: Mapping[str, Face], networks: _Networks) -> Iterator[embeddings.Faces]:
    """Yield the faces wanted that a table has, and then the others, which have no embedding."""
    missing = dict(wanted)
    columns = ["face_id", "identity", "split", "image", "landmarks"]
    rows = (face for face in tables.read(source.table, columns) if face["face_id"] in wanted)
    while batch := list(itertools.islice(rows, BATCH)):
        for face in batch:
            del missing[face["face_id"]]
        yield networks(batch, source.change)
    if missing and networks.size:
        nothing = np.full((len(missing), networks.size), np.nan, np.float32)
        yield networks.rows(list(missing.values()), nothing)


if __name__ == "__main__":
    run_stage("recognition.embed")
