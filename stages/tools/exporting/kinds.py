"""Which kinds of weights are exported, and by what."""

from collections.abc import Callable
from pathlib import Path

from stages.compute import weights
from stages.detection import detector
from stages.inpainting import inpainter
from stages.parsing import parser
from stages.recognition import recognizer
from stages.tools.exporting import detectors, inpainters, parsers, recognizers
from stages.tools.exporting.graph import Graph, NotExportedError

GRAPHS: dict[str, Callable[[Path], Graph]] = {
    detector.KIND: detectors.graph,
    inpainter.KIND: inpainters.graph,
    parser.KIND: parsers.graph,
    recognizer.KIND: recognizers.graph,
}


def graph(path: Path) -> Graph:
    """Return the graph of a file of weights.

    Raises:
        NotExportedError: the weights are of a kind that is not exported.
        UnmaskError: no such file, or not one of ours.
    """
    kind = weights.kind_of(path)
    if kind not in GRAPHS:
        raise NotExportedError(f"{path} holds weights of the kind {kind!r}; exported are {', '.join(sorted(GRAPHS))}")
    return GRAPHS[kind](path)
