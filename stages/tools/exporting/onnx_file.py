"""A graph as an ONNX file, with a JSON file of what is said of it beside it, and what runs the file."""

import importlib.util
import json
import logging
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from stages.core.errors import UnmaskError
from stages.core.outputs import whole_file
from stages.tools.exporting.graph import Arrays, Graph

OPSET = 18  # in which torch writes all that these networks do; older runtimes read it, too
EXTRA = ("onnx", "onnxscript", "onnxruntime")


def need_extra() -> None:
    """Check that what writes and runs ONNX files is there.

    Raises:
        UnmaskError: a package of the extra is not installed.
    """
    missing = [name for name in EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise UnmaskError(f"an export needs {', '.join(missing)}: pip install '.[onnx]'")


def save(graph: Graph, out: Path, about: Mapping[str, Any]) -> None:
    """Write a graph as one ONNX file, and what is said of it as .json beside it; each whole or not at all.

    The model's `metadata_props` say the same as the JSON file, but for a file that there was already, which is kept.
    """
    import onnx  # noqa: PLC0415 -- an extra

    if graph.content is not None:
        with whole_file(out) as staging, whole_file(out.with_suffix(".json")) as card:
            staging.write_bytes(graph.content)
            card.write_text(_text(about), encoding="utf-8")
        return
    model = traced(graph)
    for key, value in about.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        model.metadata_props.add(key=key, value=text)
    with whole_file(out) as staging, whole_file(out.with_suffix(".json")) as card:
        onnx.save_model(model, str(staging), save_as_external_data=False)
        onnx.checker.check_model(str(staging), full_check=True)
        card.write_text(_text(about), encoding="utf-8")


def _text(about: Mapping[str, Any]) -> str:
    return json.dumps(about, indent=2, ensure_ascii=False) + "\n"


def traced(graph: Graph) -> Any:
    """Return a graph as an `onnx.ModelProto` without what torch notes of the code it came from."""
    free = tuple({side: torch.export.Dim(name) for side, name in graph.free[key].items()} for key in graph.inputs)
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            # Traced apart, as mmdet takes other ways, which it lost, while torch says that it is exporting.
            program = torch.export.export(graph.module, graph.example, dynamic_shapes=free, strict=False)
            written = torch.onnx.export(
                program,
                dynamo=True,
                input_names=list(graph.inputs),
                output_names=list(graph.outputs),
                opset_version=OPSET,
                verbose=False,
            )
    finally:
        log.setLevel(level)
    model: Any = written.model_proto
    model.graph.name = "unmask"
    for part in (model.graph, *model.functions, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        del part.metadata_props[:]  # paths and lines of source code
    for tensor in (*model.graph.input, *model.graph.output):
        del tensor.metadata_props[:]
    _name_sides(model, graph)
    return model


def _name_sides(model: Any, graph: Graph) -> None:
    """Call the sides of any length what the graph calls them, and not s27."""
    names = {}
    for tensor in (*model.graph.input, *model.graph.output):
        shape = tensor.type.tensor_type.shape.dim
        names |= {shape[side].dim_param: name for side, name in graph.free.get(tensor.name, {}).items()}
    for tensor in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for side in tensor.type.tensor_type.shape.dim:
            if side.dim_param:
                side.dim_param = re.sub(r"\w+", lambda found: names.get(found[0], found[0]), side.dim_param)


class Session:
    """onnxruntime's session of an ONNX file, on some threads of the processor."""

    def __init__(self, path: Path, threads: int) -> None:
        import onnxruntime  # noqa: PLC0415 -- an extra

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.outputs = [output.name for output in self.session.get_outputs()]

    def __call__(self, inputs: Arrays) -> Arrays:
        """Return the outputs by name."""
        return dict(zip(self.outputs, self.session.run(None, inputs), strict=True))
