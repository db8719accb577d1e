"""Compare what was filled in with the photo, on people not seen in training, beside seven other ways to fill.

python -m stages.inpainting.evaluate_inpainting --faces data/aligned/orl --masked data/masked/oracle/orl \
    --inpainted data/inpainted/oracle/orl --shared models/inpainter-shared.safetensors \
    --pretrained models/inpainter-pretrained.safetensors --results metrics/evaluate_inpainting
"""

import functools
import itertools
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from stages.core import images, intervals, tables
from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.core.params import FilePath, StageParams
from stages.core.results import Results
from stages.core.seeding import generator
from stages.faces.landmarks import Points
from stages.figures import sheets
from stages.inpainting import baselines, inpainter, scores
from stages.inpainting.lpips import Lpips
from stages.recognition import dlib_embedding, identification

BATCH = 32
COLUMNS = ["face_id", "identity", "sex", "split", "image", "landmarks"]
SHOWN = 12  # rows of the contact sheet
SCRATCH = Path(".scratch")
OURS = "ours"
WAYS = ("masked", "zeroed", "mean_face", "fitted_mean", "telea", "nearest_face", "l1_alone", "shared_gan", OURS)
Row = dict[str, Pixels]
"""Of the contact sheet, by caption."""


class Params(StageParams):
    """Section `evaluate_inpainting:` of params.yaml."""

    top_level: ClassVar = ("seed",)

    seed: int = Field(ge=0)
    split: Literal["val", "test"]
    """Whose scores stand at the top; those of `val` stand below `val` in any case."""
    known_faces: int = Field(ge=1)
    """From so many training faces, drawn by chance, come the mean face and the nearest one."""
    resamples: int = Field(ge=100)
    """Of the people, for the intervals."""
    alexnet: FilePath | None
    """torchvision's weights of AlexNet, for LPIPS; null: without LPIPS."""


@dataclass(frozen=True)
class Case:
    """A face behind a mask.

    Attributes:
        face_id: of the face.
        identity: of the person.
        sex: of the person, or None.
        style: of the mask.
        photo: RGB uint8 (H, W, 3).
        landmarks: of the photo, float32 (68, 2).
        masked: the photo with its mask.
        mask: the mask's region, bool (H, W).
        found: the region that was filled, uint8 (H, W), not 0 in it.
        inpainted: what `inpaint` made of it.
    """

    face_id: str
    identity: str
    sex: str | None
    style: str
    photo: Pixels
    landmarks: Points
    masked: Pixels
    mask: NDArray[np.bool_]
    found: Pixels
    inpainted: Pixels


@dataclass(frozen=True)
class Judged:
    """What is kept of a face.

    Attributes:
        identity: of the person.
        sex: of the person, or None.
        style: of the mask.
        scores: by way to fill.
        embeddings: dlib's, of the photo and of each way in their order, float32 (1 + n, 128).
        changed_outside: pixels outside the region that `inpaint` changed.
    """

    identity: str
    sex: str | None
    style: str
    scores: dict[str, dict[str, float]]
    embeddings: NDArray[np.float32]
    changed_outside: int


class Files(NamedTuple):
    """What fills and compares faces, as absolute paths."""

    known: Path
    """Faces that were seen in training, uint8 (n, H, W, 3), of numpy."""
    shared: Path
    pretrained: Path
    alexnet: Path | None


def evaluate_inpainting(
    faces: Path, masked: Path, inpainted: Path, shared: Path, pretrained: Path, results: Results, params: Params
) -> dict[str, Any]:
    """Score what `inpaint` filled in, and other ways to fill the same regions.

    Args:
        faces: a table of bare faces with landmarks.
        masked: the same faces with drawn masks.
        inpainted: what `inpaint` made of these.
        shared: weights of the shared GAN.
        pretrained: weights of the same generator, trained by pixels alone.
        results: where the numbers go, and a contact sheet of the split, a row a face: the truth, masked, region, each
            way to fill.
        params: section `evaluate_inpainting`.

    Returns:
        By way to fill: the scores of `stages.inpainting.scores`, the cosine of dlib's embeddings with the bare photo's
        (`identity`), and how often the nearest of all people's first bare photos is the same person's (`rank_1`); what
        that cosine is on average of two bare photos of one person (`identity_of_another_photo`) and of two people
        (`identity_of_others`), None if there are no two; hole PSNR by style of the mask and by sex; by how much ours is
        ahead in hole PSNR, with an interval; and how many pixels changed outside the regions. Below `val` the same of
        the people of split `val`, by which one may choose; null if none of their faces can be scored, and left out if
        they are the split that is scored anyway. Of fewer people the right one is found more easily, so `rank_1` of
        `val` compares settings and ways, not splits.

    Raises:
        UnmaskError: the split has no face with a drawn mask and landmarks, or the training split no bare face.
    """
    tables.parts(inpainted, ["image", "found_mask"])
    shown = set(tables.evenly(_face_ids(masked, params.split), SHOWN))
    cases = functools.partial(_cases, masked=masked.absolute(), inpainted=inpainted.absolute())
    SCRATCH.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        known = Path(folder).absolute() / "known.npy"
        np.save(known, np.stack(_known(faces, params)))
        files = Files(known, shared.absolute(), pretrained.absolute(), params.alexnet and params.alexnet.absolute())
        _ways(files)  # or no part is begun

        def judged(split: str, to_show: Collection[str] = ()) -> tuple[list[Judged], list[Row]]:
            work = functools.partial(_of_part, cases=cases, split=split, files=files, to_show=to_show)
            found = tables.map_parts(work, faces, needs=COLUMNS, label=f"{results.metrics.stem} {split}")
            return [one for some, _ in found for one in some], [row for _, rows in found for row in rows]

        tested, rows = judged(params.split, shown)
        if not tested:
            raise UnmaskError(f"{masked} has no face with a drawn mask and landmarks in split {params.split!r}")
        _show(results.figure, rows)
        result = {**_summary(tested, params), "split": params.split}
        if params.split != "val":
            to_choose_by, _ = judged("val")
            result["val"] = _summary(to_choose_by, params) if to_choose_by else None
    return result


@functools.cache  # once in a worker
def _ways(files: Files) -> tuple[Callable[[Sequence[Case]], list[dict[str, Pixels]]], Lpips | None]:
    """Return what fills some faces in each way, and LPIPS."""
    known = baselines.Known(np.load(files.known, mmap_mode="r"))
    by_gan, by_l1 = inpainter.load(files.shared), inpainter.load(files.pretrained)
    one_by_one: dict[str, baselines.Fill] = {
        "masked": lambda face, _: face,
        "zeroed": lambda face, region: baselines.filled(face, region, np.zeros_like(face)),
        "mean_face": known.mean_face,
        "telea": baselines.telea,
        "nearest_face": known.nearest,
    }
    together: dict[str, Callable[[Sequence[Pixels], Sequence[Pixels]], list[Pixels]]] = {
        "fitted_mean": known.fitted_means,
        "l1_alone": by_l1,
        "shared_gan": by_gan,
    }

    def filled(cases: Sequence[Case]) -> list[dict[str, Pixels]]:
        columns = [case.masked for case in cases], [case.found for case in cases]
        made = {name: fill(*columns) for name, fill in together.items()}
        made |= {name: [fill(*one) for one in zip(*columns, strict=True)] for name, fill in one_by_one.items()}
        made[OURS] = [case.inpainted for case in cases]
        return [{name: made[name][index] for name in WAYS} for index in range(len(cases))]

    return filled, None if files.alexnet is None else Lpips(files.alexnet)


def _of_part(
    part: Path, cases: Callable[..., Iterator[Case]], split: str, files: Files, to_show: Collection[str]
) -> tuple[list[Judged], list[Row]]:
    """Return the scores of the faces of a part that are of a split, and of those to show what they were filled with."""
    filled, lpips = _ways(files)
    judged, rows = list[Judged](), list[Row]()
    some = cases(part, split=split)
    while batch := list(itertools.islice(some, BATCH)):
        for case, by_way in zip(batch, filled(batch), strict=True):
            judged.append(_judged(case, by_way, lpips))
            if case.face_id in to_show:
                region = np.repeat(case.found[..., None], 3, 2)
                truth = f"truth {case.face_id.split('/', 1)[1]}"
                rows.append({truth: case.photo, "masked": case.masked, "region": region, **by_way})
    return judged, rows


def _judged(case: Case, filled: Mapping[str, Pixels], lpips: Lpips | None) -> Judged:
    """Return the scores of a face, filled in each way."""
    rows = {name: scores.compare(image, case.photo, case.mask) for name, image in filled.items()}
    if lpips is not None:
        distances = lpips(list(filled.values()), [case.photo] * len(filled))
        for name, distance in zip(filled, distances, strict=True):
            rows[name]["lpips"] = distance
    embeddings = dlib_embedding.embed([case.photo, *filled.values()], [case.landmarks] * (1 + len(filled)))
    outside = (case.inpainted != case.masked).any(2) & (case.found == 0)
    return Judged(case.identity, case.sex, case.style, rows, embeddings, int(outside.sum()))


def _face_ids(masked: Path, split: str) -> list[str]:
    rows = tables.read(masked, ["face_id", "split", "mask_style"])
    return [face["face_id"] for face in rows if face["split"] == split and face["mask_style"] is not None]


def _cases(faces: Path, masked: Path, inpainted: Path, split: str) -> Iterator[Case]:
    before = tables.joined(faces, masked, COLUMNS, ["face_id", "image", "mask", "mask_style"])
    after = tables.joined(faces, inpainted, ["face_id"], ["face_id", "image", "found_mask"])
    nothing: tuple[tables.Face, tables.Face] = {"face_id": None}, {}  # beside a face that the other table lacks
    for (face, with_mask), (other, result) in itertools.zip_longest(before, after, fillvalue=nothing):
        if face["face_id"] != other["face_id"]:
            raise UnmaskError(f"{masked} and {inpainted} are not of the same faces: run inpaint again")
        if face["split"] != split or face["landmarks"] is None or with_mask["mask"] is None:
            continue
        mask = images.decode_gray(with_mask["mask"]) > 0
        if mask.any():
            yield Case(
                face["face_id"],
                face["identity"],
                face["sex"],
                with_mask["mask_style"],
                images.decode(face["image"]),
                face["landmarks"],
                images.decode(with_mask["image"]),
                mask,
                images.decode_gray(result["found_mask"]),
                images.decode(result["image"]),
            )


def _summary(judged: Sequence[Judged], params: Params) -> dict[str, Any]:
    """Return the scores of at least one face; see `evaluate_inpainting`."""
    identities = [one.identity for one in judged]
    psnr = {name: np.array([one.scores[name]["hole_psnr"] for one in judged]) for name in WAYS}
    bare = np.stack([one.embeddings[0] for one in judged])
    result: dict[str, Any] = {"ways": {}, "hole_psnr_by_style": {}, "hole_psnr_by_sex": {}}
    for index, name in enumerate(WAYS, 1):
        embeddings = np.stack([one.embeddings[index] for one in judged])
        rows = [one.scores[name] for one in judged]
        result["ways"][name] = {
            **{key: float(np.mean([row[key] for row in rows])) for key in rows[0]},
            "identity": float((embeddings * bare).sum(1).mean()),
            "rank_1": identification.rank_1_of_first(bare, embeddings, identities),
        }
        result["hole_psnr_by_style"][name] = _means(psnr[name], [one.style for one in judged])
        result["hole_psnr_by_sex"][name] = _means(psnr[name], [one.sex for one in judged])
    own, others = mean_cosines(bare, identities)
    return {
        **result,
        "identity_of_another_photo": own,
        "identity_of_others": others,
        "hole_psnr_ahead_of": {
            name: _ahead(psnr[OURS] - psnr[name], identities, params) for name in WAYS if name not in {OURS, "masked"}
        },
        "pixels_changed_outside": sum(one.changed_outside for one in judged),
        "images": len(judged),
        "identities": len(set(identities)),
    }


def mean_cosines(embeddings: NDArray[np.float32], identities: Sequence[str]) -> tuple[float | None, float | None]:
    """Return the mean cosine of two photos of one person, and of photos of two people; None if there are no two.

    The cosines of all pairs of some photos, in both orders and of each with itself, add up to the square of the sum of
    their embeddings. So it takes no time, however many photos there are.

    Args:
        embeddings: float32 (n, d), of length 1.
        identities: of the n photos.
    """
    photos = embeddings.astype(np.float64)
    people, person, counts = np.unique(identities, return_inverse=True, return_counts=True)
    sums = np.zeros((len(people), photos.shape[1]))
    np.add.at(sums, person, photos)
    anybody, one_person, itself = (np.square(some).sum() for some in (photos.sum(0), sums, photos))
    of_anybody, of_one_person = len(photos) ** 2, np.square(counts).sum()
    return (
        _ratio(one_person - itself, of_one_person - len(photos)),
        _ratio(anybody - one_person, of_anybody - of_one_person),
    )


def _ratio(total: float, n: int) -> float | None:
    return float(total / n) if n else None


def _known(faces: Path, params: Params) -> list[Pixels]:
    n = sum(1 for _ in tables.bare(faces, [], "train"))
    drawn = set(generator(params.seed, "evaluate_inpainting").permutation(n)[: params.known_faces].tolist())
    rows = enumerate(tables.bare(faces, ["image"], "train"))
    return [images.decode(face["image"]) for index, face in rows if index in drawn]


def _means(values: NDArray[np.floating], groups: Sequence[str | None]) -> dict[str, float]:
    named = np.array([str(group) for group in groups])
    return {name: float(values[named == name].mean()) for name in sorted(set(named.tolist()))}


def _ahead(differences: NDArray[np.floating], identities: Sequence[str], params: Params) -> dict[str, float]:
    values = intervals.resampled(
        lambda indices: float(differences[indices].mean()),
        identities,
        n=params.resamples,
        rng=generator(params.seed, "evaluate_inpainting people"),
    )
    return {"mean": float(differences.mean()), **intervals.bounds(values, len(set(identities)))._asdict()}


def _show(figure: Path, rows: Sequence[Row]) -> None:
    sheet = sheets.contact_sheet(
        [image for row in rows for name, image in row.items() if name != "zeroed"],
        [name.replace("_", " ") for row in rows for name in row if name != "zeroed"],
        columns=len(rows[0]) - 1,
        title="Filled in behind the mask, on people not seen in training",
    )
    sheets.write(figure, sheet)


if __name__ == "__main__":
    run_stage("inpainting.evaluate_inpainting")
