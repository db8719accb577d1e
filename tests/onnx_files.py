"""Tiny ONNX recognizers: faces in, averaged by blocks, times a matrix, embeddings out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE, NUMBERS = 32, 12
FLOAT, HALF, UINT8 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.UINT8


def weight(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def model(  # noqa: PLR0913 -- each is a trait of some file
    *,
    shape: Sequence[int | str] = ("n", 3, SIDE, SIDE),
    dtype: int = FLOAT,
    before: Sequence[Any] = (),
    after: Sequence[Any] = (),
    last: str = "embedding",
    outputs: Sequence[str] = (),
    tensors: dict[str, np.ndarray] | None = None,
    matrix: np.ndarray | None = None,
    out_dtype: int = FLOAT,
    inputs: Sequence[Any] = (),
    opset: int = 17,
    domain: str = "",
) -> onnx.ModelProto:
    """Return a model: nodes `before` map `faces` to `images`, `after` map `embedding` to other tensors."""
    cells = 4  # blocks on a side
    matrix = weight(3 * cells**2, NUMBERS) if matrix is None else matrix
    nodes = [
        *(before or [node("Identity", "faces", "images")]),
        node("AveragePool", "images", "blocks", kernel_shape=[SIDE // cells] * 2, strides=[SIDE // cells] * 2),
        node("Flatten", "blocks", "flat"),
        node("Gemm", ("flat", "matrix", "bias"), "embedding"),
        *after,
    ]
    values = {"matrix": matrix, "bias": weight(NUMBERS, seed=1), **(tensors or {})}
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("faces", dtype, shape), *inputs],
        [helper.make_tensor_value_info(name, out_dtype, None) for name in (outputs or [last])],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    opsets = [helper.make_opsetid("", opset), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def node(kind: str, inputs: str | Sequence[str], output: str, **attributes: Any) -> Any:
    return helper.make_node(kind, [inputs] if isinstance(inputs, str) else list(inputs), [output], **attributes)


def expected(faces: np.ndarray) -> np.ndarray:
    """Return the embeddings (n, 12) of normalized faces (n, 3, 32, 32)."""
    blocks = faces.reshape(len(faces), 3, 4, SIDE // 4, 4, SIDE // 4).mean((3, 5))
    return blocks.reshape(len(faces), -1) @ weight(48, NUMBERS) + weight(NUMBERS, seed=1)


def network(opset: int = 17, *, length_1: bool = False, dtype: Any = np.float32) -> onnx.ModelProto:
    """Return a model that can learn: two convolutions, the second one of a constant, batch norm, PReLU, a matrix."""
    rng = np.random.default_rng(0)
    values = {
        "first": rng.normal(size=(8, 3, 3, 3)) / 5,
        "scale": rng.uniform(0.5, 1.5, 8),
        "offset": rng.normal(size=8),
        "mean": rng.normal(size=8),
        "variance": rng.uniform(0.5, 1.5, 8),
        "slope": rng.uniform(0.1, 0.5, (8, 1, 1)),
        "matrix": rng.normal(size=(8 * 16, NUMBERS)) / 5,
        "bias": rng.normal(size=NUMBERS),
    }
    constant = numpy_helper.from_array((rng.normal(size=(8, 1, 3, 3)) / 3).astype(dtype), "second")
    nodes = [
        helper.make_node("Constant", [], ["second"], value=constant),
        node("Conv", ("pixels", "first"), "a", strides=[2, 2], pads=[1, 1, 1, 1]),
        node("BatchNormalization", ("a", "scale", "offset", "mean", "variance"), "b"),
        node("PRelu", ("b", "slope"), "c"),
        node("Conv", ("c", "second"), "d", group=8, strides=[2, 2], pads=[1, 1, 1, 1]),
        node("AveragePool", "d", "e", kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", "e", "f"),
        node("Gemm", ("f", "matrix", "bias"), "embedding"),
    ]
    if length_1:
        nodes += [
            helper.make_node("Constant", [], ["axes"], value_ints=[1]),
            node("ReduceL2", ("embedding", "axes"), "length", keepdims=1),
            node("Div", ("embedding", "length"), "unit"),
        ]
    number = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("pixels", number, ("n", 3, SIDE, SIDE))],
        [helper.make_tensor_value_info("unit" if length_1 else "embedding", number, ("n", NUMBERS))],
        [numpy_helper.from_array(np.asarray(value, dtype), name) for name, value in values.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
