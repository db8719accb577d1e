"""The graph of a recognizer that was trained here, of dlib's, or of the taught copy of an ONNX model."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stages.compute import weights
from stages.core import images
from stages.core.tables import Face
from stages.faces.resize import resized, resized_pixels
from stages.recognition import dlib_embedding, embedders, onnx_models, onnx_networks, recognizer
from stages.recognition.networks import normalized
from stages.tools.exporting.graph import Arrays, Graph, NotExportedError, example, planes

EMBEDDINGS = (
    "float32 (batch, {}): of length 1, that of the face and that of its mirror image added up; two faces are as alike "
    "as the product of their embeddings, 1 at most"
)


class Module(nn.Module):
    """What `recognizer.Recognizer.embed` and `dlib_embedding.Embedder` do, from pixels to embeddings.

    The network takes faces of `size` pixels a side, in which white is `highest`, to embeddings of any length.
    """

    def __init__(self, network: nn.Module, highest: float, size: int) -> None:
        super().__init__()
        self.network = network.to("cpu", memory_format=torch.contiguous_format)
        self.factor, self.size = highest / 255, size

    def forward(self, faces: Tensor) -> Tensor:
        """Return embeddings of length 1, (n, d), of faces (n, 3, h, w), 0 to 255."""
        inputs = resized(faces, (self.size, self.size)) * self.factor
        return normalized(normalized(self.network(inputs)) + normalized(self.network(inputs.flip(3))))


def graph(path: Path) -> Graph:
    """Return the graph of a recognizer's file.

    Raises:
        NotExportedError: it holds a model that came as ONNX and learned nothing here, or two recognizers.
        UnmaskError: no such file, or it holds something else.
    """
    about, state = weights.load(path, recognizer.KIND)
    if embedders.FUSED in about:
        raise NotExportedError(f"{path} holds two recognizers side by side; export each of them")
    if about.get("pretrained") == embedders.ONNX and not about.get("distilled"):
        raise NotExportedError(f"{path} holds an ONNX model already, the one in models/pretrained")
    if about.get("pretrained") == embedders.ONNX:
        return _taught(path, about, state["file"].numpy().tobytes())
    if about.get("pretrained") == embedders.DLIB:
        return _dlib(path)
    trained = recognizer.load(path)
    own = embedders.load(path)
    size, dimensions = trained.size, about["network"]["embedding"]
    as_imported = f"{{kind: onnx, file: {path.stem}.onnx, side: {size}, mean: 0.0, scale: 1.0}}"
    return Graph(
        module=Module(trained.network, 1.0, size).eval(),
        example=(example(size),),
        outputs={"embeddings": EMBEDDINGS.format(dimensions)},
        pipeline=lambda face: {"embeddings": own([images.decode(face["image"])], [face.get("landmarks")])},
        facts={"trained_on_pixels": size, "import_recognizer": as_imported},
    )


def _dlib(path: Path) -> Graph:
    network, _ = embedders.load_dlib(path)
    own: Callable[..., object] = embedders.load(path)
    side = dlib_embedding.CHIP

    return Graph(
        module=Module(network, 255.0, side).eval(),
        example=(torch.zeros(2, 3, side, side),),
        inputs={"faces": f"float32 (batch, 3, {side}, {side}): RGB, 0 to 255, face chips as dlib cuts them out"},
        outputs={"embeddings": EMBEDDINGS.format(network.last.out_features)},
        free={"faces": {0: "batch"}},
        feed=lambda face: {"faces": planes([dlib_embedding.chip(images.decode(face["image"]), face["landmarks"])])},
        pipeline=lambda face: {"embeddings": own([images.decode(face["image"])], [face["landmarks"]])},
        facts={
            "chips": f"dlib.get_face_chip(image, landmarks, {side}, {dlib_embedding.PADDING}), with 68 landmarks, on "
            f"an aligned face that was enlarged {dlib_embedding.FINER} times (cubic), as dlib takes whole pixels",
        },
    )


def _taught(path: Path, about: Mapping[str, Any], content: bytes) -> Graph:
    """Return the graph of a copy of an ONNX model: the teacher's own, with other weights."""
    model = embedders.of_onnx(content, about).model
    network, described = onnx_networks.Network(content, model), model.described
    output = str(described.output)
    shapes = {one.name: one.shape for one in (*model.session.get_inputs(), *model.session.get_outputs())}
    order = f"; {described.channels.upper()}, (pixel - {described.mean}) / {described.scale}"

    def feed(face: Face) -> Arrays:
        return {model.input: model.prepared(planes([resized_pixels(images.decode(face["image"]), (model.side,) * 2)]))}

    def by_torch(face: Face) -> Arrays:
        with torch.inference_mode():
            return {output: network.converted(torch.from_numpy(feed(face)[model.input])).numpy()}

    as_imported = {"kind": "onnx", "file": f"{path.stem}.onnx", **described.model_dump(exclude_none=True)}
    return Graph(
        module=network.converted,
        example=(),
        inputs={model.input: f"{np.dtype(model.dtype).name} {shapes[model.input]}{order}"},
        outputs={output: f"{shapes[output]}: an embedding a face"},
        pipeline=by_torch,
        feed=feed,
        content=content,
        facts={
            "opset": max(entry.version for entry in onnx_models.parsed(content).opset_import),
            "replaces": "the file that the teacher was imported from: the same nodes, names, shapes and types",
            "import_recognizer": json.dumps(as_imported),
        },
    )
