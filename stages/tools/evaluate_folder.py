"""Evaluate a recognizer on a folder of your own, people/<name>/<photo>: who is who, bare and behind masks.

python -m stages.tools.evaluate_folder --faces people --out build/evaluate

`make evaluate FACES=people` is short for it. It needs the installation alone: no training, no `dvc repro`. Nobody
labels anything: the network for faces behind masks says who wears one. `--recognizer` is an ONNX file, or weights of a
recognizer of ours; without it dlib's network is evaluated, which comes with a package. `--pairs` is a published list
of pairs. `--out` gets a page, evaluate.html, its numbers as evaluate.json, and its pictures; and evaluate-photos.csv,
which says of each file what came of it.
"""

import functools
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from stages.core import images, metrics, parallel
from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.outputs import whole_folder, write_csv
from stages.core.params import StageParams, load
from stages.core.progress import Progress
from stages.core.text import same_name
from stages.figures import plots
from stages.landmarks import align_faces, find_landmarks
from stages.recognition import (
    dlib_embedding,
    embedders,
    identify,
    import_recognizer,
    known_models,
    lists,
    protocol,
    verify,
)
from stages.recognition.embeddings import Faces
from stages.tools.evaluating import page, photos, pictures
from stages.tools.evaluating import pairs as errors
from stages.tools.evaluating.photos import File, Looked

PRETRAINED = Path("models/pretrained")  # where params.yaml has its ONNX files
ARCFACE, SIDE = {"mean": 127.5, "scale": 127.5}, 112  # what ArcFace's models take, and most that came after it
CHANNELS = 4  # at most
DATASET, SPLIT = "folder", "test"  # of all faces
BATCH = 32  # faces that are embedded at a time
NAMED = 5  # listed photos that are not there
LACKS = {  # what a series needs at least one person to have
    protocol.BARE: "two bare photos",
    protocol.MASKED: "both a bare photo and a masked one",
    "masked-masked": "two masked photos",
}


class Params(StageParams):
    """It has no section of its own: faces are found, aligned and compared as these and `verify`, `identify` say."""

    top_level: ClassVar = ("find_landmarks", "align_faces", "import_recognizer")

    find_landmarks: find_landmarks.Params
    align_faces: align_faces.Params
    import_recognizer: import_recognizer.Params


def evaluate_folder(
    faces: Path, out: Path, params: Params, recognizer: Path | None = None, pairs: Path | None = None
) -> dict[str, Any]:
    """Write what a recognizer says of the people in a folder: a page, pictures, numbers, and a list of all files.

    Args:
        faces: a folder with a folder for each person, in which the person's photos are.
        out: the folder to write, in place of what an earlier call wrote there.
        params: sections `find_landmarks`, `align_faces` and `import_recognizer`.
        recognizer: an ONNX file, or a file models/recognizer-*.safetensors; by default dlib's network.
        pairs: a published list of pairs of these photos.

    Returns:
        Where the page is, how many files and photos there were, the figures, and why others could not be computed.

    Raises:
        UnmaskError: there is no such folder, it holds no files, the recognizer or the list cannot be used, or `out`
            holds files of the user's or lies among the photos. And if nothing at all could be computed, after all has
            been written.
    """
    files = photos.listed(faces)
    if out.resolve().is_relative_to(faces.resolve()):
        raise UnmaskError(f"{out} lies in {faces}, among the photos: write to another folder")
    names = {same_name(f"{file.person}/{file.name}") for file in files}
    wanted = lists.read_pairs(pairs, names) if pairs else None
    embed, about = _recognizer(recognizer, params.import_recognizer)
    with whole_folder(out, replaceable=page.OURS) as staging:
        looked = _looked(files, faces, params)
        table, of_file = _embedded(looked, embed)
        found = evaluated(table, wanted)
        numbers = {
            "folder": faces.as_posix(),
            "recognizer": about,
            "photos": photos.counted(looked),
            "verification": found.verified,
            "list": found.listed,
            "identification": found.identified,
            "not_computed": found.not_computed,
            "worst": [
                {
                    "number": number,
                    "series": pair.series,
                    "one_person": pair.genuine,
                    "photos": [of_file[name].shown for name in (pair.probe, pair.reference)],
                    "score": pair.score,
                }
                for number, pair in enumerate(found.worst, 1)
            ],
        }
        metrics.write(staging / page.JSON, numbers)
        write_csv(staging / page.PHOTOS, photos.COLUMNS, [photos.line(*one) for one in looked.items()])
        if found.lines:
            plots.roc(staging / page.ROC, found.lines, title="True over false accepts")
        pictures.write_all(staging, faces, looked, found.worst, of_file)
        page.write(staging, numbers, [(file.shown, one.why) for file, one in looked.items() if one.why])
    if not (found.verified or found.identified or found.listed):
        why = "; ".join(dict.fromkeys(found.not_computed.values()))
        raise UnmaskError(f"{faces}: nothing could be computed: {why}. {out / page.PHOTOS} has what came of each file")
    return {
        "page": (out / page.PAGE).as_posix(),
        "photos": numbers["photos"],
        "figures": page.figures(numbers),
        "not_computed": found.not_computed,
    }


# ---------------------------------------------------------------- who recognizes


def _recognizer(file: Path | None, known: import_recognizer.Params) -> tuple[embedders.Embed, dict[str, Any]]:
    """Return what embeds faces, and what is known of it."""
    if file is None:
        return dlib_embedding.Embedder(dlib_embedding.network()), {"name": "dlib", "kind": "dlib"}
    if not file.is_file():
        raise UnmaskError(f"there is no file {file}: give an ONNX file, or models/recognizer-<name>.safetensors")
    about: dict[str, Any] = {"name": file.stem, "kind": "onnx", "file": file.as_posix()}
    if file.suffix == ".safetensors":
        return embedders.load(file), about | {"name": file.stem.removeprefix("recognizer-"), "kind": "ours"}
    described, by = _described(file, known)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "recognizer.safetensors"
        params = import_recognizer.Params({file.stem: described})
        import_recognizer.import_recognizer(file.stem, file.parent, weights, params)
        embed = embedders.load(weights)
    print(f"evaluate_folder: {file} takes {_in_words(described)}; {by}", file=sys.stderr)
    return embed, about | {"takes": _in_words(described), "said_by": by}


def _described(file: Path, known: import_recognizer.Params) -> tuple[import_recognizer.Onnx, str]:
    """Return what an ONNX file takes, and who says so: params.yaml, the catalogue, or else it is assumed."""
    for name, one in known.root.items():
        if isinstance(one, import_recognizer.Onnx) and (PRETRAINED / one.file).resolve() == file.resolve():
            return one.model_copy(update={"file": file.name}), f"params.yaml says so, import_recognizer.{name}"
    found = known_models.of_file(file.name)
    if found:
        said, by = found[1].described(), f"{known_models.CATALOGUE} says so, {found[0]}"
    else:
        said = {"side": _side(file) or SIDE, **ARCFACE}
        by = "that is assumed, as for ArcFace's models: if it takes others, describe it in params.yaml"
    return import_recognizer.Onnx.model_validate({"kind": "onnx", "file": file.name, **said}), by


def _side(file: Path) -> int | None:
    """Return the side of the faces that an ONNX file takes, pixels; None if it leaves that open, or cannot be read."""
    try:
        import onnx  # noqa: PLC0415 -- an extra

        graph = onnx.load(file, load_external_data=False).graph
    except Exception:  # onnx raises many kinds, and `import_recognizer` says what is wrong
        return None
    weights = {one.name for one in graph.initializer}
    shapes = [one.type.tensor_type.shape.dim for one in graph.input if one.name not in weights]
    return next((dim.dim_value for shape in shapes for dim in shape[1:] if dim.dim_value > CHANNELS), None)


def _in_words(one: import_recognizer.Onnx) -> str:
    channels = getattr(one, "channels", "rgb").upper()
    side = f" of {one.side} pixels" if one.side else ""
    return f"{channels} faces{side}, (pixel - {one.mean:g}) / {one.scale:g}"


# ---------------------------------------------------------------- the faces


def _looked(files: Sequence[File], folder: Path, params: Params) -> dict[File, Looked]:
    search = params.find_landmarks.search
    # Nobody knows landmarks, nor who wears a mask.
    search = search.model_copy(update={"backends": search.with_box or ["dlib"], "masked": True})
    look = functools.partial(
        photos.look,
        folder=folder.absolute(),
        search=search,
        align=params.align_faces,
    )
    found = parallel.run(look, files, sizes=[1] * len(files), label="1 of 2, looking for faces", unit="photos")
    return dict(zip(files, found, strict=True))


def _embedded(looked: Mapping[File, Looked], embed: embedders.Embed) -> tuple[dict[str, Faces], dict[str, File]]:
    """Return the faces, bare and masked, and the file of each; who was not found is there without an embedding.

    As nobody knows whether a mask is worn in a photo in which no face was found, that counts as bare.
    """
    of_file = {f"{DATASET}/{file.person}/{file.name}": file for file, one in looked.items() if one.is_photo}
    faces = [(face_id, face) for face_id, file in of_file.items() if (face := looked[file].face) is not None]
    parts: list[NDArray[np.float32]] = []
    with Progress(len(faces), "2 of 2, embedding", "faces") as bar:
        for start in range(0, len(faces), BATCH):
            some = [face for _, face in faces[start : start + BATCH]]
            parts.append(embed([images.decode(face.image) for face in some], [face.landmarks for face in some]))
            bar.update(len(some))
    every = np.concatenate(parts) if parts else np.empty((0, 1), np.float32)
    row = {face_id: index for index, (face_id, _) in enumerate(faces)}
    masked = {face_id: bool((face := looked[file].face) and face.masked) for face_id, file in of_file.items()}
    nothing = np.full(every.shape[1], np.nan, np.float32)

    def those(wanted: bool) -> Faces:
        names = [face_id for face_id, is_so in masked.items() if is_so == wanted]
        found = [every[row[name]] if name in row else nothing for name in names]
        people = [str(of_file[name].person) for name in names]
        return Faces(
            names, people, [SPLIT] * len(names), [None] * len(names), np.array(found).reshape(-1, every.shape[1])
        )

    return {"bare": those(False), "masked": those(True)}, of_file


# ---------------------------------------------------------------- what is said of them


@dataclass(frozen=True)
class Evaluation:
    """What a recognizer says of some faces.

    Attributes:
        verified: by series, as `verify` reports it.
        listed: the same of a published list, and how many of its pairs name a photo that is not there; None without.
        identified: by series, as `identify` reports it.
        not_computed: why something was not computed, by what.
        lines: FAR and TAR by series, to be drawn.
        worst: the pairs at which it errs most.
    """

    verified: Mapping[str, Any]
    listed: Mapping[str, Any] | None
    identified: Mapping[str, Any]
    not_computed: Mapping[str, str]
    lines: Mapping[str, plots.Line]
    worst: Sequence[errors.Pair]


def evaluated(table: protocol.Table, wanted: Sequence[lists.Pair] | None = None) -> Evaluation:
    """Return what sections `verify` and `identify` of params.yaml say of faces, bare and masked, none of them listed.

    Args:
        table: faces under the conditions `bare` and `masked`.
        wanted: the pairs of a published list.
    """
    if not table["bare"].found.any():  # nobody knows whether what was not found is bare
        table = {**table, "bare": table["bare"].at([])}
    split = {"split": SPLIT, "missing": "count"}
    verification = load(verify.Params, "verify").model_copy(update={**split, "pairs": None})
    identification = load(identify.Params, "identify").model_copy(update={**split, "gallery": None, "probes": None})
    not_computed: dict[str, str] = {}
    every = list(protocol.series(table, None))
    for one in every:
        if why := _why_not(one):
            not_computed[f"verification, {one.name}"] = why
    compared = verify.compare([(table, None)], verification)
    verified, _ = verify.scored(compared, verification)
    answers, _, _ = identify.answered(table, None, identification)
    identified = {name: of for name, of in answers.get(protocol.NO_HEAD, {}).items() if _several_enrolled(table, name)}
    for one in every:
        if one.name not in identified:
            not_computed[f"identification, {one.name}"] = _why_not_identified(one)
    listed = None
    if wanted is not None:
        listed, why = _listed(table, wanted, verification)
        if why:
            not_computed["list"] = why
    return Evaluation(
        verified.get(protocol.NO_HEAD, {}),
        listed,
        identified,
        not_computed,
        {name: of.line for (_, name), (of,) in compared.items() if name in plots.CONDITIONS},
        [pair for one in every for pair in errors.worst(one)],
    )


def _listed(
    table: protocol.Table, wanted: Sequence[lists.Pair], params: verify.Params
) -> tuple[dict[str, Any] | None, str]:
    """Return what is said of the pairs of a list, or else why nothing is."""
    known = protocol.names(table)
    absent = [name for pair in wanted for name in (pair.one, pair.other) if name not in known]
    names = {pair.line: (pair.one, pair.other) for pair in wanted}
    n = lists.missing(names, known, Path(), "verify.pairs", params.missing)
    if n == len(wanted):
        here = f", the folder has {min(known)}" if known else ""
        return None, f"of each of its {n} pairs a photo is not there: the list says {absent[0]}{here}"
    compared = verify.compare([(table, None)], params, wanted)
    if not compared:
        return None, "it has pairs of one person alone, or of two people alone"
    found, _ = verify.scored(compared, params)
    first = list(dict.fromkeys(absent))
    counts = {"listed": len(wanted), "missing": n, "missing_photos": len(first), "first_missing": first[:NAMED]}
    return {**counts, **found[protocol.NO_HEAD][protocol.LISTS["masked"]]}, ""


def _why_not(one: protocol.Series) -> str:
    """Return why a series has no figures; nothing, if it has."""
    probes, _, references = one.name.partition("-")
    for name, faces in ((probes, one.probes), (references, one.references)):
        if not len(faces):
            return "nobody wears a mask" if name == "masked" else "there is no bare face"
    genuine, impostor = errors.how_many(one)
    if not genuine:
        return f"nobody has {LACKS[one.name]}, so there is no pair of one person"
    return "" if impostor else "there is one person only, so there is no pair of two people"


def _several_enrolled(table: protocol.Table, name: str) -> bool:
    return len(set(table[name.partition("-")[2]].identities)) > 1


def _why_not_identified(one: protocol.Series) -> str:
    if why := _why_not(one):
        return why
    return "there is one person only in the gallery"


if __name__ == "__main__":
    run_stage("tools.evaluate_folder")
