"""Which kinds of weights are exported, and by what."""

import json
from collections.abc import Callable
from pathlib import Path

import safetensors

from stages.common.errors import UnmaskError
from stages.detection import detector
from stages.exporting import detectors, inpainters, parsers, recognizers
from stages.exporting.graph import Graph, NotExportedError
from stages.inpainting import inpainter
from stages.parsing import parser
from stages.recognition import recognizer
from stages.training import weights

GRAPHS: dict[str, Callable[[Path], Graph]] = {
    detector.KIND: detectors.graph,
    inpainter.KIND: inpainters.graph,
    parser.KIND: parsers.graph,
    recognizer.KIND: recognizers.graph,
}


def kind_of(path: Path) -> str:
    """Return the kind of model whose weights a file holds.

    Raises:
        UnmaskError: no such file, or not one of ours.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {}).get(weights.KEY, "null"))
    except FileNotFoundError:
        raise UnmaskError(f"{path}: no such file; `dvc repro` trains it, `dvc pull` gets it") from None
    except (OSError, safetensors.SafetensorError, json.JSONDecodeError) as error:
        raise UnmaskError(f"{path} is no whole safetensors file: {error}") from None
    if not isinstance(about, dict) or "kind" not in about:
        raise UnmaskError(f"{path} was not written by this project: its header does not say how to build the model")
    return str(about["kind"])


def graph(path: Path) -> Graph:
    """Return the graph of a file of weights.

    Raises:
        NotExportedError: the weights are of a kind that is not exported.
        UnmaskError: no such file, or not one of ours.
    """
    kind = kind_of(path)
    if kind not in GRAPHS:
        raise NotExportedError(f"{path} holds weights of the kind {kind!r}; exported are {', '.join(sorted(GRAPHS))}")
    return GRAPHS[kind](path)
