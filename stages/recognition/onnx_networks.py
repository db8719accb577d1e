"""An ONNX model as a torch network that can learn, and what it learned put back into the very file it came from.

onnx2torch makes the network. What it learned replaces the numbers of the file's own weights: names, shapes and types of
input and output, and all nodes, stay as they are.
"""

import copy
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stages.core.errors import UnmaskError
from stages.recognition import onnx_models
from stages.recognition.networks import normalized
from stages.recognition.onnx_models import Array, in_a_line

CLOSE = 1e-4  # largest difference of embeddings of length 1 up to which two networks are one
REDUCE = ("ReduceL1", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSumSquare")


@dataclass(frozen=True)
class Place:
    """Where a parameter of the network stands in the file.

    Attributes:
        tensor: the name of an initializer, or of the output of a node `Constant`.
        transposed: whether it stands there transposed.
    """

    tensor: str
    transposed: bool


class Network(nn.Module):
    """A network made of an ONNX model; it learns what has a place in the file, and nothing else.

    Args:
        data: content of the file.
        model: what was read from it.

    Raises:
        UnmaskError: it cannot be made, or says something else than the file; the message names what is in the way.
    """

    def __init__(self, data: bytes, model: onnx_models.Model) -> None:
        super().__init__()
        self.described, self.channels_last = model.described, model.channels_last
        self.converted, self.places = _converted(data, str(model.described.output))
        for name, weight in self.converted.named_parameters():
            weight.requires_grad_(name in self.places)
        if not self.places:
            raise UnmaskError("no weights were found in it that can learn, as float32 and used once each")
        self.eval()
        faces = onnx_models.faces(model.side)
        with torch.no_grad():
            try:
                found = self(torch.from_numpy(faces))
            except Exception as error:  # a graph of fixed sizes fails in many ways
                raise UnmaskError(f"as a torch network it fails at two faces: {in_a_line(error)}") from None
        apart = difference(found, model.embeddings(faces))
        if not apart <= CLOSE:
            raise UnmaskError(f"as a torch network it gives other embeddings, by {apart:.1e}")

    def forward(self, faces: Tensor) -> Tensor:
        """Return embeddings (n, d), of any length, of RGB faces (n, 3, side, side), 0 to 255."""
        inputs = faces.flip(1) if self.described.channels == "bgr" else faces
        inputs = (inputs - self.described.mean) / self.described.scale
        found: Tensor = self.converted(inputs.permute(0, 2, 3, 1) if self.channels_last else inputs)
        return found.reshape(len(faces), -1)

    def written(self, data: bytes) -> bytes:
        """Return the content of the file that the network was made of, with what the network knows now."""
        import onnx  # noqa: PLC0415 -- an extra

        model = onnx_models.parsed(data)
        tensors = {tensor.name: tensor for tensor in model.graph.initializer} | onnx_models.constants(model)
        learned = dict(self.converted.named_parameters())
        for name, place in self.places.items():
            tensor, value = tensors[place.tensor], learned[name].detach().cpu().float().numpy()
            value = (value.T if place.transposed else value).reshape(tuple(tensor.dims))
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(value), tensor.name))
        return bytes(model.SerializeToString())


def difference(one: Tensor, other: Array) -> float:
    """Return by how much embeddings (n, d) differ at most, brought to length 1; infinite if their shapes do."""
    if one.shape != other.shape:
        return float("inf")
    return float((normalized(one.cpu()) - normalized(torch.from_numpy(other))).abs().max())


def _converted(data: bytes, output: str) -> tuple[Any, dict[str, Place]]:
    """Return the torch module of a graph up to one of its outputs, and the places of its parameters by their names."""
    try:
        import onnx2torch  # noqa: PLC0415 -- an extra
    except ImportError:
        raise UnmaskError("to teach a copy of an ONNX model needs onnx2torch: pip install '.[onnx]'") from None
    model = onnx_models.parsed(data)
    _hold_constants(model)
    for other in [one for one in model.graph.output if one.name != output]:
        model.graph.output.remove(other)
    if missing := _unknown(model):
        raise UnmaskError(f"onnx2torch has no converter for {', '.join(missing)}, so it becomes no torch network")
    before = copy.deepcopy(model)
    try:
        converted = onnx2torch.convert(model)
    except Exception as error:  # of a converter that an attribute or a shape is new to
        raise UnmaskError(f"onnx2torch cannot make it a torch network: {in_a_line(error)}") from None
    for name in [name for name, module in converted.named_modules() if type(module).__name__ == "OnnxPReLU"]:
        converted.set_submodule(name, _PReLU())
    return converted, _places(converted, before)


def _hold_constants(model: Any) -> None:
    """Make initializers of nodes `Constant`, of which there is a new version with almost every opset."""
    found = onnx_models.constants(model)
    for node in [node for node in model.graph.node if node.op_type == "Constant" and node.output[0] in found]:
        tensor = model.graph.initializer.add()
        tensor.CopyFrom(found[node.output[0]])
        tensor.name = node.output[0]
        model.graph.node.remove(node)


def _places(converted: nn.Module, model: Any) -> dict[str, Place]:
    """Return where parameters of a module stand in its graph: those whose numbers stand there, and are used once."""
    import onnx  # noqa: PLC0415 -- an extra
    from onnx2torch.onnx_graph import OnnxGraph  # noqa: PLC0415

    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    used = Counter(name for node in model.graph.node for name in node.input)
    places: dict[str, Place] = {}
    for module, node in OnnxGraph(model.graph).nodes.items():
        free = {
            name: onnx.numpy_helper.to_array(tensors[name])
            for name in node.input_values
            if name in tensors and used[name] == 1 and tensors[name].data_type == onnx.TensorProto.FLOAT
        }
        for name, weight in converted.get_submodule(module).named_parameters():
            value = weight.detach().numpy()
            for tensor, held in free.items():
                same = held.size == value.size and np.array_equal(held.ravel(), value.ravel())
                if same or (held.ndim == 2 and np.array_equal(held.T, value)):
                    places[f"{module}.{name}"] = Place(tensor, transposed=not same)
                    del free[tensor]
                    break
    return places


def _unknown(model: Any) -> list[str]:
    """Return the operators of a graph that onnx2torch cannot convert, after it was told what it can."""
    from onnx import defs  # noqa: PLC0415 -- an extra
    from onnx2torch.node_converters import registry  # noqa: PLC0415

    known = registry._CONVERTER_REGISTRY
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    missing = set()
    for domain, kind in {(node.domain, node.op_type) for node in model.graph.node}:
        opset = opsets.get(domain, 0)
        version = defs.get_schema(kind, opset, domain).since_version if defs.has(kind, domain) else opset
        if registry.OperationDescription(domain, kind, version) in known:
            continue
        own = _own_converter(kind, version) if not domain else None
        versions = [entry.version for entry in known if (entry.domain, entry.operation_type) == (domain, kind)]
        older = max((one for one in versions if one < version), default=None)
        if own is None and older is None:
            missing.add(f"{domain or 'operator'} {kind} of version {version}")
            continue
        # Most new versions take other types, or have one attribute more; whether this one does the same, a trial tells.
        converter = own or known[registry.OperationDescription(domain, kind, older)]
        registry.add_converter(kind, version, domain)(converter)
    return sorted(missing)


def _own_converter(kind: str, version: int) -> Any:
    """Return a converter of ours; None if there is none."""
    from onnx2torch.node_converters.reduce import OnnxReduceStaticAxes  # noqa: PLC0415 -- an extra
    from onnx2torch.utils.common import OnnxMapping, OperationConverterResult, get_const_value  # noqa: PLC0415

    def result(module: nn.Module, node: Any) -> Any:
        return OperationConverterResult(module, OnnxMapping((node.input_values[0],), node.output_values))

    def reduced(node: Any, graph: Any) -> Any:
        axes = get_const_value(node.input_values[1], graph).tolist() if len(node.input_values) > 1 else None
        return result(OnnxReduceStaticAxes(kind, axes, node.attributes.get("keepdims", 1)), node)

    def of_length_1(node: Any, graph: Any) -> Any:
        del graph
        return result(_Normalized(node.attributes.get("p", 2), node.attributes.get("axis", -1)), node)

    if kind in REDUCE and version >= 18:  # from which on axes are an input
        return reduced
    return of_length_1 if kind == "LpNormalization" else None


class _PReLU(nn.Module):
    """Of slopes that stay. torch's own finds their gradient, too: a third of the time of a MobileFaceNet's training."""

    def forward(self, x: Tensor, slope: Tensor) -> Tensor:
        return nn.functional.relu(x) - slope.to(x) * nn.functional.relu(-x)


class _Normalized(nn.Module):
    def __init__(self, p: int, axis: int) -> None:
        super().__init__()
        self.p, self.axis = p, axis

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.normalize(x, self.p, self.axis)
