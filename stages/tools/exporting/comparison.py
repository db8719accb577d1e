"""How far an exported model is from the pipeline, and how fast both are."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from stages.core.tables import Face
from stages.tools.exporting.graph import Arrays, Graph
from stages.tools.exporting.onnx_file import Session

FEW = 0.01
HEADER = (
    "| model | largest difference | torch, ms | onnxruntime, ms |",
    "|---|---|---|---|",
)


@dataclass(frozen=True)
class Comparison:
    """What came out for some faces, one at a time.

    Attributes:
        differences: by output, the largest absolute difference of numbers, or the share of the classes or pixels that
            differ; infinite if not as many masks were found.
        shares: by output, the share of the values that differ at all.
        torch_ms: median time of a face in the pipeline, milliseconds.
        onnx_ms: the same of onnxruntime.
    """

    differences: Mapping[str, float]
    shares: Mapping[str, float]
    torch_ms: float
    onnx_ms: float

    def row(self, name: str) -> str:
        """Return a line of a Markdown table."""
        parts = []
        for output, value in self.differences.items():
            few = 0 < self.shares[output] < min(FEW, value)  # rounded the other way, a pixel differs by 1
            rare = f" (in {self.shares[output]:.1e} of the values)" if few else ""
            parts.append(f"{output} {value:.1e}{rare}" if value else f"{output} 0")
        return f"| {name} | {', '.join(parts)} | {self.torch_ms:.1f} | {self.onnx_ms:.1f} |"


def compare(graph: Graph, session: Session, faces: Sequence[Face], threads: int) -> Comparison:
    """Compare onnxruntime with the pipeline; outputs that the pipeline keeps to itself are compared with the module's.

    The faces are rows of a table, with what `graph.feed` needs. The session and torch both run on so many threads.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        inputs = [graph.feed(face) for face in faces]
        found = [session(one) for one in inputs]
        expected = [graph.by_torch(one) | graph.pipeline(face) for one, face in zip(inputs, faces, strict=True)]
        pairs = list(zip(found, expected, strict=True))
        both = {name: np.array([apart(a[name], b[name]) for a, b in pairs]) for name in graph.outputs}
        differences = {name: float(some[:, 0].max()) for name, some in both.items()}
        shares = {name: float(some[:, 1].mean()) for name, some in both.items()}
        times = [(_ms(graph.pipeline, face), _ms(session, one)) for one, face in zip(inputs, faces, strict=True)]
    finally:
        torch.set_num_threads(before)
    torch_ms, onnx_ms = np.median(times, axis=0)  # taken in turns, so that other work slows both alike
    return Comparison(differences, shares, float(torch_ms), float(onnx_ms))


def apart(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Return the largest difference of numbers, or the share of classes that differ; and the share of all that differ.

    If the shapes do, these are infinite and 1.
    """
    if one.shape != other.shape:
        return float("inf"), 1.0
    share = float((one != other).mean()) if one.size else 0.0
    is_number = one.dtype.kind == "f"
    return float(np.abs(one.astype(np.float64) - other).max(initial=0)) if is_number else share, share


def _ms(run: Callable[..., Arrays], what: object) -> float:
    start = time.perf_counter()
    run(what)
    return 1000 * (time.perf_counter() - start)
