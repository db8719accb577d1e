"""ONNX recognizers: what a file says of its model is read from it, and the model is tried before it is relied on.

`read` maps the bytes of a file to a model that embeds faces, or says in a line what is wrong and what to do. Only what
no file can say is described by people.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from stages.compute import device
from stages.core.errors import UnmaskError
from stages.core.params import Section

Array = NDArray[Any]
Color = tuple[int, int, int]  # red, green, blue
# Of an input, by the names that onnxruntime has for them.
DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}
DTYPES |= {"tensor(uint8)": np.uint8}
ALIKE = 0.999  # cosine, from which on two embeddings of one face count as the same; float16 knows three digits
BLIND = 40  # times as far apart may embeddings of faces lie without mean and scale before these are not believed
APART = 1e-5  # largest difference of two embeddings of length 1 up to which a model does not tell faces apart
LEAST = 2  # numbers in an embedding
NUMBERS = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
SUM = 0.01  # by which a softmax may miss 1, in float16
OF_PIXELS = 16  # a graph that first subtracts or divides by more than this, expects pixels of 0 to 255
UNCHANGING = {"Cast", "Clip", "Gather", "Identity", "Pad", "Reshape", "Resize", "Slice", "Squeeze", "Transpose"}
LONGEST = 300  # letters of what onnxruntime says
POINTER = b"version https://git-lfs"  # how a file starts that Git LFS has not fetched


class Description(Section):
    """What people say of an ONNX model, as its file cannot."""

    mean: float
    """Subtracted from pixels of 0 to 255 …"""
    scale: float = Field(gt=0)
    """… before they are divided by this; a model that does it itself has mean 0 and scale 1."""
    channels: Literal["rgb", "bgr"] = "rgb"
    """Their order in its input."""
    side: int | None = Field(None, ge=16)
    """Side of its input, pixels: needed only where the file leaves it open."""
    output: str | None = None
    """Name of the embedding: needed only where several outputs could be it."""


@dataclass(frozen=True)
class Model:
    """An ONNX model that embeds faces.

    Attributes:
        session: onnxruntime's.
        described: what its file cannot say; side and output are those that it has.
        input: name of its input.
        dtype: of its input.
        channels_last: whether that is (n, h, w, 3), not (n, 3, h, w).
        batch: how many faces it takes at once; None: any number.
    """

    session: Any
    described: Description
    input: str
    dtype: type[np.generic]
    channels_last: bool
    batch: int | None

    @property
    def side(self) -> int:
        """Side of the faces it takes, pixels."""
        return self.described.side or 0

    def facts(self) -> dict[str, Any]:
        """Return what the file says of its input and output."""
        return {
            "input": self.input,
            "input_type": np.dtype(self.dtype).name,
            "layout": "nhwc" if self.channels_last else "nchw",
            "batch": self.batch,
            "side": self.side,
            "output": self.described.output,
        }

    def embeddings(self, faces: Array) -> NDArray[np.float32]:
        """Return embeddings (n, d), of any length, of RGB faces, float32 (n, 3, side, side), 0 to 255.

        Raises:
            UnmaskError: onnxruntime fails at them, or what comes out is not one embedding a face.
        """
        found = []
        for start in range(0, len(faces), self.batch or max(1, len(faces))):
            some = faces[start : start + self.batch] if self.batch else faces
            rows = of_each(self._outputs(some)[str(self.described.output)], self.batch or len(some))
            if rows is None:
                raise UnmaskError(f"the ONNX model gives {len(some)} faces something else than one embedding each")
            found.append(rows[: len(some)])
        return np.concatenate(found)

    def prepared(self, faces: Array) -> Array:
        """Return RGB faces, float32 (n, 3, side, side), 0 to 255, as the model wants them; its batch filled up."""
        faces = faces[:, ::-1] if self.described.channels == "bgr" else faces
        inputs = (faces - np.float32(self.described.mean)) / np.float32(self.described.scale)
        if self.dtype == np.uint8:
            inputs = np.clip(np.round(inputs), 0, 255)
        if self.batch:
            inputs = np.concatenate([inputs, np.repeat(inputs[-1:], self.batch - len(inputs), 0)])
        return np.ascontiguousarray(inputs.transpose(0, 2, 3, 1) if self.channels_last else inputs, self.dtype)

    def _outputs(self, faces: Array) -> dict[str, Array]:
        names = [output.name for output in self.session.get_outputs()]
        try:
            found = self.session.run(None, {self.input: self.prepared(faces)})
        except Exception as error:  # onnxruntime raises many kinds
            raise UnmaskError(f"onnxruntime fails at {len(faces)} faces: {in_a_line(error)}") from None
        return dict(zip(names, found, strict=True))

    def candidates(self, face: Array) -> dict[str, NDArray[np.float32]]:
        """Return the outputs that are an embedding of a face (1, 3, side, side), by name."""
        found = {name: of_each(value, self.batch or 1) for name, value in self._outputs(face).items()}
        return {name: rows[:1] for name, rows in found.items() if rows is not None and rows.shape[1] >= LEAST}


def of_each(output: Any, n: int) -> NDArray[np.float32] | None:
    """Return an output as embeddings of `n` faces, float32 (n, d): sides of 1 do not count; None if it is none."""
    if not isinstance(output, np.ndarray) or output.dtype.kind != "f":
        return None
    if n > 1 and output.shape[:1] != (n,):
        return None
    if sum(side != 1 for side in output.shape[n > 1 :]) > 1:
        return None
    return output.reshape(n, -1).astype(np.float32)


def in_a_line(error: BaseException) -> str:
    """Return what another library says, in one line that is not too long."""
    return " ".join(str(error).split())[:LONGEST]


# ---------------------------------------------------------------- from bytes to a model


def content(path: Path) -> bytes:
    """Return an ONNX file as bytes that need no other file: weights that lie beside it are taken in.

    Raises:
        UnmaskError: it is no ONNX file, or the weights are not there, or it is larger than 2 GB with them.
    """
    data = path.read_bytes()
    model = parsed(data)
    if not (files := beside(model)):
        return data
    import onnx  # noqa: PLC0415 -- an extra

    try:
        onnx.load_external_data_for_model(model, str(path.parent))
        return bytes(model.SerializeToString())
    except Exception as error:  # onnx and protobuf raise many kinds
        raise UnmaskError(
            f"its weights lie beside it, in {', '.join(files)}, and cannot be taken in ({in_a_line(error)}); put them "
            f"whole into {path.parent}, under the name that the model knows"
        ) from None


def parsed(data: bytes) -> Any:
    """Return the `onnx.ModelProto` in the content of a file.

    Raises:
        UnmaskError: there is none in it, or the extra is not installed.
    """
    try:
        import onnx  # noqa: PLC0415 -- an extra
    except ImportError:
        raise UnmaskError("an ONNX recognizer needs onnx and onnxruntime: pip install '.[onnx]'") from None
    if data.startswith(POINTER):
        raise UnmaskError("it is a pointer of Git LFS, not the model: git lfs pull")
    try:
        model = onnx.load_model_from_string(data)
    except Exception:  # protobuf raises many kinds
        raise UnmaskError("it is no ONNX model, or was cut off; get it again") from None
    if not model.graph.node or not model.graph.output:
        raise UnmaskError("it is no ONNX model: there is no graph in it")
    return model


def beside(model: Any) -> list[str]:
    """Return the files in which weights of a model lie that are not in the model itself."""
    import onnx  # noqa: PLC0415 -- an extra

    tensors = [*model.graph.initializer, *constants(model).values()]
    apart = [tensor for tensor in tensors if tensor.data_location == onnx.TensorProto.EXTERNAL]
    places = ({entry.key: entry.value for entry in tensor.external_data} for tensor in apart)
    return sorted({place.get("location", "a file without a name") for place in places})


def read(data: bytes, described: Description) -> Model:
    """Return the model in the content of an ONNX file, tried on two faces, one by one and together.

    What the file says is taken from it: name, type and layout of its input, batch and side. If it fails at two faces
    and not at one, it gets one at a time.

    Raises:
        UnmaskError: it is no model that gives each face one embedding, or not the one described; the message says in a
            line what to do.
    """
    graph = parsed(data)
    if files := beside(graph):
        raise UnmaskError(f"its weights lie in another file, {', '.join(files)}")
    model = _checked(_opened(data), described, graph)
    two = faces(model.side)
    every = model.candidates(two[:1])
    found = {name: rows for name, rows in every.items() if not is_of_classes(rows)}
    wanted = described.output
    chosen = [wanted] if wanted in every else [] if found else [*every]
    if chosen and chosen[0] not in found:
        raise UnmaskError(
            f"output {chosen[0]!r} is a classifier's, {every[chosen[0]].shape[1]} numbers that sum to 1: cut the graph "
            f"before its last layer and softmax, as what goes into these is the embedding"
        )
    if wanted is not None and wanted not in found:
        raise UnmaskError(f"output is {wanted!r}, embeddings of one face could be {_listed(found)}")
    if not found:
        raise UnmaskError(
            f"no output is one embedding a face: {_shapes(model)}; export the model up to its embedding, not less (a "
            f"feature map has several sides) and not more"
        )
    if len(found) > 1 and wanted is None:
        raise UnmaskError(f"several outputs could be the embedding; set output to one of {_listed(found)}")
    name = wanted or next(iter(found))
    model = dataclasses.replace(model, described=model.described.model_copy(update={"output": name}))
    alone = _of_length_1(np.concatenate([model.embeddings(face[None]) for face in two]))
    try:
        together = model.embeddings(two)
    except UnmaskError:  # the graph has a 1 in it where the batch should be
        model = dataclasses.replace(model, batch=1)
        together = model.embeddings(two)
    if (times := times_apart(model)) > BLIND:
        raise UnmaskError(
            f"faces differ {times:.0f} times less with mean {described.mean:g} and scale {described.scale:g} than as "
            f"pixels of 0 to 255, so the model normalizes by itself: set mean to 0 and scale to 1, or to what it was "
            f"trained with"
        )
    if np.abs(alone[0] - alone[1]).max() < APART:
        raise UnmaskError(
            f"output {name!r} is the same whatever the face: mean and scale may be others, or it is not the embedding"
        )
    if ((alone * _of_length_1(together)).sum(1) < ALIKE).any():
        raise UnmaskError(
            "a face gets another embedding each time, or beside another face: the model was exported in training mode; "
            "export it in evaluation mode, model.eval()"
        )
    return model


def _opened(data: bytes) -> Any:
    """Return onnxruntime's session of a model."""
    try:
        import onnxruntime  # noqa: PLC0415 -- an extra
    except ImportError:
        raise UnmaskError("an ONNX recognizer needs onnxruntime: pip install '.[onnx]'") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it says is in its errors, too
    providers = device.providers(onnxruntime.get_available_providers())
    try:
        return onnxruntime.InferenceSession(data, options, providers=providers)
    except Exception as error:  # onnxruntime raises many kinds
        raise UnmaskError(
            f"onnxruntime {onnxruntime.__version__} cannot run it: {in_a_line(error)}; export it with ONNX's own "
            f"operators and an opset that this version knows"
        ) from None


def _checked(session: Any, described: Description, model: Any) -> Model:
    """Return a model whose input is one of images, as its file and its description agree."""
    inputs = session.get_inputs()
    if len(inputs) != 1:
        names = ", ".join(f"{one.name} {one.shape}" for one in inputs)
        raise UnmaskError(
            f"it takes {len(inputs)} inputs ({names}), expected one of images: put the others into the graph"
        )
    (one,) = inputs
    shape = [side if isinstance(side, int) and side > 0 else None for side in one.shape]
    if one.type not in DTYPES:
        raise UnmaskError(
            f"its input {one.name!r} is a {one.type}, expected float32, float16, float64 or uint8: put a cast into the "
            f"graph"
        )
    if len(shape) != 4 or 3 not in (shape[1], shape[3]):
        raise UnmaskError(
            f"its input {one.name!r} is {one.shape}, expected images (n, 3, h, w) or (n, h, w, 3) with the 3 channels "
            f"stated: put a conversion into the graph, or export it with fixed channels"
        )
    if shape[1] == shape[3]:
        raise UnmaskError(f"its input {one.name!r} is {one.shape}: nobody can tell which side the channels are")
    channels_last = shape[3] == 3
    height, width = shape[1:3] if channels_last else shape[2:]
    if height and width and height != width:
        raise UnmaskError(f"it takes {height}x{width} pixels, aligned faces are squares: put the crop into the graph")
    side = height or width or described.side
    if side is None:
        raise UnmaskError(f"its input {one.name!r} is {one.shape}: set side to that of the faces it was trained on")
    if described.side not in (None, side):
        raise UnmaskError(
            f"side is {described.side}, the file takes {side} pixels: set side to {side}, or leave it out"
        )
    if 0 < described.mean <= 1:  # as torchvision writes it, for pixels of 0 to 1
        raise UnmaskError(
            f"mean is {described.mean} and scale {described.scale}, as for pixels of 0 to 1; here they are 0 to 255: "
            f"set both to 255 times as much, such as 127.5 for 0.5"
        )
    by_itself = np.dtype(DTYPES[one.type]) == np.uint8 or normalizes(model, one.name)
    if by_itself and (described.mean, described.scale) != (0, 1):
        raise UnmaskError(
            f"the model normalizes pixels of 0 to 255 by itself, and mean is {described.mean}, scale "
            f"{described.scale}: set mean to 0 and scale to 1"
        )
    described = described.model_copy(update={"side": side})
    return Model(session, described, one.name, DTYPES[one.type], channels_last, shape[0])


def faces(side: int) -> NDArray[np.float32]:
    """Return two drawn faces that differ in light, color and shape, float32 (2, 3, side, side), 0 to 255."""
    looks = [((220, 180, 150), (60, 90, 160), (60, 40, 20), 18, 4), ((120, 80, 60), (20, 10, 10), (10, 10, 10), 22, 8)]
    return np.stack([_drawn(side, *look) for look in looks])


def _drawn(side: int, skin: Color, iris: Color, hair: Color, eyes: int, lips: int) -> NDArray[np.float32]:
    """Return a face, float32 (3, side, side), drawn on 112 pixels: `eyes` from its middle, `lips` half as high."""
    image = np.full((112, 112, 3), 90, np.uint8)
    for center, axes, color in (
        ((56, 50), (50, 62), hair),
        ((56, 62), (40, 52), skin),
        *(((x, 51), (9, 4), (240, 240, 240)) for x in (56 - eyes, 56 + eyes)),
        *(((x, 51), (4, 4), iris) for x in (56 - eyes, 56 + eyes)),
        *(((x, 41), (10, 2), hair) for x in (56 - eyes, 56 + eyes)),
        ((57, 73), (6, 2), iris),
        ((56, 92), (14, lips), (170, 60, 60)),
    ):
        cv2.ellipse(image, center, axes, 0, 0, 360, color, cv2.FILLED)
    smooth = cv2.resize(cv2.GaussianBlur(image, (0, 0), 1.2), (side, side), interpolation=cv2.INTER_AREA)
    return smooth.astype(np.float32).transpose(2, 0, 1)


def is_of_classes(rows: NDArray[np.float32]) -> bool:
    """Tell whether rows (n, d) are a classifier's: shares, which are not negative and sum to 1, or their logarithms."""
    shares = np.exp(rows) if (rows <= 0).all() else rows
    return bool((shares >= 0).all() and np.allclose(shares.sum(1), 1, atol=SUM))


def times_apart(model: Model) -> float:
    """Return how many times farther embeddings lie apart if a model gets pixels as they are, without mean and scale.

    They are those of two faces and of gray: what is normalized twice has hardly any contrast left.
    """
    if (model.described.mean, model.described.scale) == (0, 1):
        return 1
    plain = model.described.model_copy(update={"mean": 0.0, "scale": 1.0})
    try:
        return _spread(dataclasses.replace(model, described=plain)) / max(_spread(model), 1e-9)
    except UnmaskError:  # onnxruntime fails at them
        return 1


def _spread(model: Model) -> float:
    """Return the largest cosine distance between embeddings of two faces and of gray; 0 if less than two have any."""
    gray = np.full((1, 3, model.side, model.side), 127.5, np.float32)
    rows = np.concatenate([model.embeddings(one[None]) for one in (*faces(model.side), *gray)]).astype(np.float64)
    lengths = np.linalg.norm(rows, axis=1)
    rows = rows[np.isfinite(lengths) & (lengths > 0)]
    if len(rows) < 2:
        return 0
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return float(1 - (rows @ rows.T).min())


def _of_length_1(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(embeddings, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not lengths.all():
        raise UnmaskError(
            "an embedding is not finite, or 0: mean and scale may be others, or float16 is too small; export it in "
            "float32"
        )
    return np.asarray(embeddings / lengths, np.float32)


def _listed(names: Mapping[str, Array]) -> str:
    return ", ".join(f"{name!r} ({rows.shape[1]} numbers)" for name, rows in names.items()) or "none"


def _shapes(model: Model) -> str:
    return ", ".join(f"{output.name!r} is {output.type} {output.shape}" for output in model.session.get_outputs())


# ---------------------------------------------------------------- what stands in a graph


def constants(model: Any) -> dict[str, Any]:
    """Return the tensors that nodes `Constant` hold, `onnx.TensorProto`, by the name of their output."""
    import onnx  # noqa: PLC0415 -- an extra

    found = {}
    for node in model.graph.node:
        if node.op_type != "Constant" or len(node.output) != 1 or len(node.attribute) != 1:
            continue
        (attribute,) = node.attribute
        if attribute.name == "value":
            found[node.output[0]] = attribute.t
        elif attribute.name in NUMBERS:
            value = onnx.helper.get_attribute_value(attribute)
            found[node.output[0]] = onnx.numpy_helper.from_array(np.asarray(value, NUMBERS[attribute.name]))
    return found


def normalizes(model: Any, start: str) -> bool:
    """Tell whether the first sums and factors of a graph are such as pixels of 0 to 255 need."""
    import onnx  # noqa: PLC0415 -- an extra

    tensors = {tensor.name: tensor for tensor in model.graph.initializer} | constants(model)
    for node in _first_nodes(model, start):
        if node.op_type in UNCHANGING:
            continue
        others = [tensors[name] for name in node.input if name in tensors]
        values = [np.abs(onnx.numpy_helper.to_array(other).astype(np.float64)) for other in others]
        if node.op_type == "BatchNormalization" and len(values) == 4:
            mean, variance = values[2:]
            return bool(max(mean.max(), np.sqrt(variance.max())) > OF_PIXELS)
        if node.op_type not in {"Sub", "Add", "Mul", "Div"} or len(values) != 1:
            return False
        (value,) = values
        if value.size not in {1, 3} and node.op_type not in {"Sub", "Add"}:  # not a picture that is subtracted
            return False
        if (1 / np.maximum(value, 1e-9) if node.op_type == "Mul" else value).max() > OF_PIXELS:
            return True
    return False


def _first_nodes(model: Any, name: str) -> Iterator[Any]:
    """Yield the nodes after an input, as long as each is the only one that takes what was before."""
    while len(after := [node for node in model.graph.node if name in node.input]) == 1 and len(after[0].output) == 1:
        yield after[0]
        name = after[0].output[0]
