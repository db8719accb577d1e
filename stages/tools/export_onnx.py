"""Write trained models as ONNX files, which run without this project and without torch. A tool, not a stage.

python -m stages.tools.export_onnx --weights models/parser-scanet.safetensors --out onnx/parser-scanet.onnx

Parsers, detector, inpainters and recognizers are exported; the header of the weights says what a file is. The
pre-processing is in the graph: all take RGB, float32 (batch, 3, height, width), 0 to 255. What else must be known
(how a face is aligned, classes, what comes out) stands in a .json file beside it and in the model's metadata. With a
folder of weights, all in it are exported into a folder. With a table of faces, each model is compared with the
pipeline on some of them: the largest difference, and milliseconds a face on the same number of threads.

python -m stages.tools.export_onnx --weights models --out onnx --faces data/masked/oracle/orl
"""

import argparse
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from stages.compute.weights import kind_of
from stages.core import tables
from stages.core.command import errors_in_words
from stages.core.errors import UnmaskError
from stages.core.parallel import settings
from stages.core.params import load
from stages.core.tables import Face
from stages.detection import detector
from stages.faces.alignment import ARCFACE_112, Align
from stages.inpainting import inpainter
from stages.parsing import parser
from stages.recognition import recognizer
from stages.tools.exporting import comparison, detectors, inpainters, onnx_file, parsers, recognizers
from stages.tools.exporting.graph import Graph, NotExportedError

GRAPHS: dict[str, Callable[[Path], Graph]] = {
    detector.KIND: detectors.graph,
    inpainter.KIND: inpainters.graph,
    parser.KIND: parsers.graph,
    recognizer.KIND: recognizers.graph,
}
COMPARED = 20  # faces
ARCFACE = (
    "the similarity transform that best maps the five points, by least squares, onto `points`, which are pixels of a "
    "112x112 image, the first pixel's center at 0, left and right as one sees them; for another size "
    "(p + 0.5) * size / 112 - 0.5"
)
POINTS = ("eye on the left", "eye on the right", "nose tip", "mouth corner on the left", "mouth corner on the right")
FFHQ = "the crop of FFHQ and CelebA-HQ by eyes and mouth: T. Karras et al., Progressive Growing of GANs, appendix C"


def graph_of(weights: Path) -> Graph:
    """Return the graph of a file of weights.

    Raises:
        NotExportedError: the weights are of a kind that is not exported.
        UnmaskError: no such file, or not one of ours.
    """
    kind = kind_of(weights)
    if kind not in GRAPHS:
        raise NotExportedError(f"{weights} holds weights of the kind {kind!r}; exported are {', '.join(GRAPHS)}")
    return GRAPHS[kind](weights)


def export_onnx(weights: Path, out: Path, align: Align) -> Graph:
    """Write a model as ONNX and JSON, each whole or not at all; return its graph.

    Raises:
        NotExportedError: the weights are of a kind that is not exported.
        UnmaskError: they are no weights of ours, `out` is no .onnx file, or the extra `onnx` is not installed.
    """
    onnx_file.need_extra()
    if out.suffix != ".onnx":
        raise UnmaskError(f"--out is {out}: the name of an ONNX file ends in .onnx")
    graph = graph_of(weights)
    card = {
        "kind": kind_of(weights),
        "opset": onnx_file.OPSET,
        **graph.facts,
        "inputs": dict(graph.inputs),
        "outputs": dict(graph.outputs),
        "alignment": alignment_facts(align),
        "weights": weights.name,
        "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
    }
    onnx_file.save(graph, out, card)
    return graph


def alignment_facts(align: Align) -> dict[str, Any]:
    """Return how a face is cut out of a photo before any of the models sees it."""
    facts: dict[str, Any] = {"template": align.template, "size": align.side}
    if align.template == "arcface":
        points = [[round(value, 4) for value in point] for point in ARCFACE_112.tolist()]
        return {**facts, "how": ARCFACE, "points": dict(zip(POINTS, points, strict=True))}
    return {**facts, "how": FFHQ}


def sample(table: Path) -> list[Face]:
    """Return some faces of a table, from all over it, with their landmarks.

    Raises:
        UnmaskError: `table` is no face table, or none of its faces has landmarks.
    """
    wanted = [name for name in ("face_id", "image", "landmarks", "mask") if name in tables.columns(table)]
    rows = [face for face in tables.read(table, wanted) if face.get("landmarks") is not None]
    if not rows:
        raise UnmaskError(f"{table} has no face with landmarks: name a table of aligned faces")
    return rows[:: -(-len(rows) // COMPARED)]


def run(weights: Path, out: Path, faces: Path | None) -> Iterator[str]:
    """Export a file of weights, or all in a folder; yield lines to print."""
    onnx_file.need_extra()
    align = load(Align, "align_faces")
    rows = sample(faces) if faces else []
    threads = settings().threads
    lines = []
    for source, target in _files(weights, out):
        try:
            graph = export_onnx(source, target, align)
        except NotExportedError as error:
            if not weights.is_dir():
                raise
            yield f"left out: {error}"
            continue
        yield f"{target}: {target.stat().st_size / 2**20:.1f} MB"
        if rows:
            found = comparison.compare(graph, onnx_file.Session(target, threads), rows, threads)
            lines.append(found.row(target.stem))
    if lines:
        yield from ("", *comparison.HEADER, *lines, "")
        yield (
            f"{len(rows)} faces of {faces}, one at a time, {threads} threads: numbers by their largest absolute "
            f"difference, labels and masks by the share of pixels that differ; times are medians"
        )


def _files(weights: Path, out: Path) -> list[tuple[Path, Path]]:
    if not weights.is_dir():
        return [(weights, out)]
    found = sorted(weights.glob("*.safetensors"))
    if not found:
        raise UnmaskError(f"{weights} has no weights, *.safetensors; `dvc repro` trains them, `dvc pull` gets them")
    return [(path, out / f"{path.stem}.onnx") for path in found]


if __name__ == "__main__":
    options = argparse.ArgumentParser(
        prog="python -m stages.tools.export_onnx",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("--weights", type=Path, required=True, help="a file of weights, or a folder of them")
    options.add_argument("--out", type=Path, required=True, help="the .onnx file to write, or a folder")
    options.add_argument("--faces", type=Path, help="a face table, on which onnxruntime is compared with the pipeline")
    arguments = options.parse_args()
    with errors_in_words("export_onnx"):
        for line in run(arguments.weights, arguments.out, arguments.faces):
            print(line, flush=True)
