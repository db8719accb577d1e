"""Train a parser: SCANet, which tells the parts of a face and its mask, or the extractor of the visible face.

python -m stages.parsing.train_parser --model scanet --faces data/labeled/orl --templates data/mask_templates \
    --occluders data/occluders --photos data/landmarks/orl --out models/parser-scanet.safetensors \
    --results metrics/train_parser-scanet
"""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from stages.core import images, tables
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.core.params import Section, StageParams
from stages.core.results import Results
from stages.core.seeding import derived, generator
from stages.core.tables import Face
from stages.faces import parts
from stages.masks import beards, occluders
from stages.masks.looks import Looks, masked
from stages.parsing import parser, photo_samples, samples
from stages.training import checkpoints, launch, loop, openmmlab, pretrained
from stages.training.rows import on_disk

CLASSES = {"scanet": parts.NAMES, "extractor": ("hidden or not face", "visible face")}
Rng = np.random.Generator
FREQUENT = 0.1  # share of the pixels from which on a class is not rare
FACES_FOR_WEIGHTS = 1000  # over so many, class frequencies are counted


class Extractor(Section):
    """What the extractor is and how it is trained."""

    config: str
    """A file of stages/parsing/configs, one of mmseg's (`mmseg::…`), or a file of your own."""
    pretrained: str | None
    """Weights to start from, see `stages.training.pretrained`; null: from scratch."""
    side: int = Field(ge=32, le=1024)
    """Side of its input, pixels."""
    occluder_prob: float = Field(ge=0, le=1)
    """Share of the training images that get an occluder (SCANet's are masks); the others stay bare."""
    beard_prob: float = Field(ge=0, le=1)
    """Share of the training images that get a drawn beard, below the occluder."""
    schedule: loop.Schedule

    def changes(self, head: Mapping[str, Any]) -> dict[str, Any]:
        """Return what differs from the config file, by dotted key; `head` is its decode head."""
        del head
        return {}


class Scanet(Extractor):
    """What SCANet is and how it is trained."""

    attention: bool
    """Of SCANet; without it, plain convolutions stand in its place."""
    edge: bool
    """Of SCANet: whether there is a branch that finds the edges between parts."""
    rare_power: float = Field(ge=0, le=1)
    """A class with less than a tenth of the pixels weighs (0.1 / its share) to this power in the loss, others 1."""
    photos: bool
    """Whether it learns from photos, cut as the finder cuts them, behind masks as varied as those that people wear."""
    real: str | None
    """With `photos`: a face table from which it learns, too, with labels that have the class `mask`; null: none."""

    def changes(self, head: Mapping[str, Any]) -> dict[str, Any]:
        """Return what differs from the config file, by dotted key; `head` is its decode head."""
        if head["type"] != "SCANetHead":
            return {}
        return {"decode_head.attention": self.attention, "decode_head.edge": self.edge}


class Params(StageParams):
    """Section `train_parser:` of params.yaml."""

    top_level: ClassVar = ("seed", "render_masks")

    seed: int = Field(ge=0)
    render_masks: Looks
    scanet: Scanet
    extractor: Extractor


def train_parser(
    model: str,
    faces: Path,
    templates: Path,
    occluders: Path,
    out: Path,
    results: Results,
    params: Params,
    photos: Path | None = None,
) -> dict[str, Any]:
    """Train a parser on the faces of a table's train split, with masks or occluders drawn anew in each round.

    Args:
        model: `scanet` or `extractor`.
        faces: a table of bare faces with labels and landmarks.
        templates: folder of the user's own masks.
        occluders: folder of the user's own occluders (such as FaceOcc's), PNG with alpha; for the extractor.
        out: the weights to write.
        results: where the numbers go, and the curve of the losses.
        params: section `train_parser`.
        photos: a table of the photos from which `faces` come, with the publisher's labels; for SCANet with `photos`.

    Returns:
        On how many faces of how many people it was trained, who labeled them, its parameters and its last losses.
    """
    if model not in CLASSES:
        raise UnmaskError(f"--model is {model!r}, it must be one of {', '.join(CLASSES)}")
    chosen: Extractor = getattr(params, model)
    in_photos = isinstance(chosen, Scanet) and chosen.photos
    rows = on_disk(photo_samples.windows(_photos(photos), chosen.side) if in_photos else labeled(faces, "train"))
    real = Path(chosen.real) if isinstance(chosen, Scanet) and chosen.photos and chosen.real else None
    change = changer(model, params.render_masks.flattened(), templates, occluders, chosen)
    param = f"train_parser.{model}"
    recipe = parser.read_config(chosen.config, len(CLASSES[model]), f"{param}.config")
    head = recipe.model.decode_head
    changes = chosen.changes(head)
    # Losses of other kinds, and lists of losses, keep their own weights.
    loss = head.get("loss_decode")
    weighed = isinstance(loss, dict) and loss.get("type") == "CrossEntropyLoss"
    if isinstance(chosen, Scanet) and chosen.rare_power and weighed:
        changes["decode_head.loss_decode.class_weight"] = class_weights(rows, change, params.seed, chosen.rare_power)
    config = parser.changed(recipe, changes)
    start = pretrained.Start(chosen.pretrained, f"{param}.pretrained", recipe.get("pretrained_tensors"))
    read = [faces, templates, occluders, *([photos] if photos and in_photos else []), *([real] if real else [])]
    read += [*start.files, *openmmlab.own_files(chosen.config)]
    key = checkpoints.key_of({"model": model, **params.model_dump()}, read, Path(__file__))
    learned: Callable[..., samples.FaceSamples] = samples.Samples
    if in_photos:
        others = on_disk(photo_samples.windows(_real(real), chosen.side)) if real else ()
        learned = functools.partial(photo_samples.PhotoSamples, real=others)
    trained = loop.train(
        lambda: start(openmmlab.build("mmseg", config)),
        learned(rows, change, chosen.side, derived(params.seed, f"train_parser-{model}")),
        chosen.schedule,
        name=f"train_parser-{model}",
        key=key,
    )
    about = {"kind": parser.KIND, "name": model, "classes": CLASSES[model], "size": chosen.side, "model": config}
    written = trained.write(out, about, results, rows)
    return {**written, "labels_by": tables.count_by(rows, "labels_by"), **start.report}


def _photos(photos: Path | None) -> Iterator[Face]:
    if photos is None:
        raise UnmaskError("train_parser.scanet.photos is true: name the table of photos by --photos")
    if "labels" not in tables.columns(photos):
        raise UnmaskError(f"{photos} has no labels by its publisher: set train_parser.scanet.photos to false")
    for face in labeled(photos, "train", with_source=False):
        yield {**face, "labels_by": "publisher"}


def _real(table: Path) -> Iterator[Face]:
    """Yield faces whose masks are real, and bare ones, with labels that have the class `mask`."""
    if not table.is_dir():
        raise UnmaskError(f"train_parser.scanet.real: {table} is no face table; docs/masks.md says what writes one")
    yield from tables.read(table, ["face_id", "image", "landmarks", "face_type", "labels", "wears_mask"])


def labeled(faces: Path, split: str, *, with_source: bool = True) -> Iterator[Face]:
    """Yield the faces of a split that have labels and landmarks, `with_source` also who labeled them.

    Raises:
        UnmaskError: there is none, or a label map has an unknown class.
    """
    wanted = ["face_id", "identity", "split", "image", "landmarks", "face_type", "labels"]
    wanted += ["labels_by"] * with_source
    found = False
    for face in tables.read(faces, wanted):
        if face["split"] != split or face["labels"] is None or face["landmarks"] is None:
            continue
        highest = int(images.decode_gray(face["labels"]).max())
        if highest >= len(parts.CLASSES):
            raise UnmaskError(f"{faces}, face {face['face_id']}: its label map has the unknown class {highest}")
        found = True
        yield face
    if not found:
        raise UnmaskError(f"{faces} has no face in split {split!r} with labels and landmarks")


def changer(model: str, looks: Looks, templates: Path, occluders_folder: Path, chosen: Extractor) -> samples.Change:
    """Return what draws on a face: masks for SCANet, occluders for the extractor, and beards."""
    own = looks.own_styles(templates)
    if model == "scanet":
        draw_mask = functools.partial(masked, looks=looks, own=own)
        if isinstance(chosen, Scanet) and chosen.photos:
            shares = {"mask_prob": chosen.occluder_prob, "beard_prob": chosen.beard_prob}
            return functools.partial(photo_samples.changed, draw=draw_mask, **shares)
        return functools.partial(_changed, draw=draw_mask, chosen=chosen)
    pictures = occluders.read_pictures(occluders_folder)

    def draw(face: Face, image: Pixels, rng: Rng) -> tuple[Pixels, Pixels]:
        points, kind = face["landmarks"], face["face_type"]
        return occluders.occlude(image, points, kind, rng, looks=looks, own=own, pictures=pictures)[1:]

    return functools.partial(_changed, draw=draw, chosen=chosen, face_alone=True)


def _changed(
    face: Face,
    image: Pixels,
    labels: Pixels,
    rng: Rng,
    *,
    draw: samples.Draw,
    chosen: Extractor,
    face_alone: bool = False,
) -> tuple[Pixels, Pixels]:
    """Return a face with a beard and something drawn over it, each by chance, and its label map.

    With `face_alone` the map tells the visible face (1) from all else (0), otherwise the parts and the mask.
    """
    if face_alone:
        labels = parts.visible_face(labels)
    image = beards.draw_on_some(image, face["landmarks"], rng, chosen.beard_prob)
    if rng.random() >= chosen.occluder_prob:
        return image, labels
    hidden, region = draw(face, image, rng)
    return hidden, parts.covered(labels, region, by=parts.HIDDEN if face_alone else parts.MASK)


def class_weights(rows: Sequence[Face], change: samples.Change, seed: int, power: float) -> list[float]:
    """Return SCANet's weights in the loss: frequent classes and such as do not occur weigh 1, rare ones more.

    Were frequent classes weighed apart, too, the border between two of them would shift to the side of the heavier one.
    """
    counts = np.zeros(len(parts.NAMES))
    for face in rows[:: -(-len(rows) // FACES_FOR_WEIGHTS)]:
        rng = generator(seed, "class_weights", face["face_id"])
        _, labels = change(face, images.decode(face["image"]), images.decode_gray(face["labels"]), rng)
        counts += np.bincount(labels.ravel(), minlength=len(counts))
    frequency = counts / counts.sum()
    weights = np.where(counts > 0, np.maximum(FREQUENT / np.maximum(frequency, 1e-9), 1), 1) ** power
    return [round(float(weight), 4) for weight in weights]


if __name__ == "__main__":
    launch.run_stage("parsing.train_parser")
