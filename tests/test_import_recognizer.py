"""import_recognizer: an ONNX file is read for what it is and tried; what cannot be used is told in a line."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages.compute import weights
from stages.core.errors import UnmaskError
from stages.recognition import embedders, import_recognizer, recognizer
from tests.conftest import SHARED

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
onnx_models = pytest.importorskip("stages.recognition.onnx_models")
from tests import onnx_files  # noqa: E402
from tests.onnx_files import FLOAT, HALF, NUMBERS, SIDE, UINT8, node  # noqa: E402

Model = Callable[..., Any]
MEAN, SCALE = 127.5, 128.0


def imported(folder: Path, model: Any, **described: Any) -> tuple[embedders.Embed, dict[str, Any]]:
    """Return what embeds faces after a model was imported, and what the import says."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "mine.onnx"
    file.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    return imported_file(file, **described)


def imported_file(file: Path, **described: Any) -> tuple[embedders.Embed, dict[str, Any]]:
    described = {"mean": MEAN, "scale": SCALE, **described}
    chosen = import_recognizer.Params.model_validate({"mine": {"kind": "onnx", "file": file.name, **described}})
    out = file.parent / "recognizer-mine.safetensors"
    result = import_recognizer.import_recognizer("mine", file.parent, out, chosen)
    return embedders.load(out), result


def faces(n: int = 5) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 256, (n, SIDE, SIDE, 3), np.uint8))


def right(pictures: list[np.ndarray]) -> np.ndarray:
    """Return the embeddings that the tiny model gives, those of a face and its mirror image added up."""

    def of_length_1(rows: np.ndarray) -> np.ndarray:
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    planes = ((np.stack(pictures).astype(np.float32) - MEAN) / SCALE).transpose(0, 3, 1, 2)
    return of_length_1(sum(of_length_1(onnx_files.expected(some)) for some in (planes, planes[..., ::-1])))


def with_sub_and_mul(mean: float, factor: float) -> dict[str, Any]:
    tensors = {"mean": np.float32([mean]), "factor": np.float32([factor])}
    return {
        "before": [node("Sub", ("faces", "mean"), "moved"), node("Mul", ("moved", "factor"), "images")],
        "tensors": tensors,
    }


def to_float() -> Any:
    return node("Cast", "faces", "floats", to=FLOAT)


NORMALIZES = with_sub_and_mul(MEAN, 1 / SCALE)
BYTES = {
    **NORMALIZES,
    "dtype": UINT8,
    "before": [to_float(), node("Sub", ("floats", "mean"), "moved"), NORMALIZES["before"][1]],
}
BATCH_NORM = {
    "before": [node("BatchNormalization", ("faces", "scale", "offset", "mean", "variance"), "images", epsilon=0.0)],
    "tensors": {
        "scale": np.ones(3, np.float32),
        "offset": np.zeros(3, np.float32),
        "mean": np.full(3, MEAN, np.float32),
        "variance": np.full(3, SCALE**2, np.float32),
    },
}
IN_WEIGHTS = {
    "matrix": onnx_files.weight(48, NUMBERS) / np.float32(SCALE),
    "tensors": {
        "bias": onnx_files.weight(NUMBERS, seed=1) - np.float32(MEAN / SCALE) * onnx_files.weight(48, NUMBERS).sum(0)
    },
}
NHWC = [node("Transpose", "faces", "images", perm=[0, 3, 1, 2])]
RESHAPED = {"tensors": {"shape": np.int64([-1, NUMBERS, 1, 1])}, "last": "four"}
BGR = {"before": [node("Gather", ("faces", "order"), "images", axis=1)], "tensors": {"order": np.int64([2, 1, 0])}}
WORKS = {
    "any batch": ({}, {}, {"batch": None, "layout": "nchw", "input_type": "float32", "side": SIDE}),
    "a batch of 1": ({"shape": (1, 3, SIDE, SIDE)}, {}, {"batch": 1}),
    "a batch of 4": ({"shape": (4, 3, SIDE, SIDE)}, {}, {"batch": 4}),
    "channels last": ({"shape": ("n", SIDE, SIDE, 3), "before": NHWC}, {}, {"layout": "nhwc"}),
    "float16": (
        {"dtype": HALF, "before": [node("Cast", "faces", "images", to=FLOAT)]},
        {},
        {"input_type": "float16", "output": "embedding"},
    ),
    "bytes": (BYTES, {"mean": 0.0, "scale": 1.0}, {"input_type": "uint8"}),
    "normalizes by itself": (NORMALIZES, {"mean": 0.0, "scale": 1.0}, {}),
    "normalizes by itself in a layer": (BATCH_NORM, {"mean": 0.0, "scale": 1.0}, {}),
    "normalizes by itself in its weights": (IN_WEIGHTS, {"mean": 0.0, "scale": 1.0}, {}),
    "shares of classes beside it": (
        {"after": [node("Softmax", "embedding", "prob")], "outputs": ["prob", "embedding"]},
        {},
        {"output": "embedding"},
    ),
    "BGR": (BGR, {"channels": "bgr"}, {}),
    "open sides": ({"shape": ("n", 3, "h", "w")}, {"side": SIDE}, {"side": SIDE}),
    "a side that is said": ({}, {"side": SIDE}, {"side": SIDE}),
    "four sides": (
        {"after": [node("Reshape", ("embedding", "shape"), "four")], **RESHAPED},
        {},
        {"output": "four"},
    ),
    "a length beside it": (
        {"after": [node("ReduceL2", "embedding", "length", axes=[1], keepdims=1)], "outputs": ["length", "embedding"]},
        {},
        {"output": "embedding"},
    ),
    "one of two": (
        {"after": [node("Neg", "embedding", "other")], "outputs": ["other", "embedding"]},
        {"output": "embedding"},
        {"output": "embedding"},
    ),
    "a batch of 1 in the graph": (
        {
            "after": [node("Reshape", ("embedding", "shape"), "row")],
            "tensors": {"shape": np.int64([1, NUMBERS])},
            "last": "row",
        },
        {},
        {"batch": 1},
    ),
    "without a batch in the output": (
        {"shape": (1, 3, SIDE, SIDE), "after": [node("Squeeze", "embedding", "row")], "last": "row"},
        {},
        {"batch": 1},
    ),
}


@pytest.mark.parametrize("case", WORKS)
def test_what_works_gives_the_right_embeddings(tmp_path: Path, case: str):
    made, described, says = WORKS[case]
    embed, result = imported(tmp_path, onnx_files.model(**made), **described)
    assert result.items() >= {"kind": "onnx", **says}.items()
    pictures = faces()
    atol = 2e-3 if case == "float16" else 1e-5
    assert np.allclose(embed(pictures, [None] * len(pictures)), right(pictures), atol=atol)
    assert np.allclose(embed(pictures[:1], [None]), right(pictures)[:1], atol=atol)


def test_weights_beside_the_file_are_taken_in(tmp_path: Path):
    file = tmp_path / "models" / "mine.onnx"
    file.parent.mkdir()
    onnx.save_model(
        onnx_files.model(), str(file), save_as_external_data=True, location="mine.onnx.data", size_threshold=0
    )
    assert b"mine.onnx.data" in file.read_bytes()
    embed, _ = imported_file(file)
    (file.parent / "mine.onnx.data").unlink()
    assert np.allclose(embed(faces(), [None] * 5), right(faces()), atol=1e-5)
    with pytest.raises(UnmaskError, match=r"its weights lie beside it, in mine\.onnx\.data, and cannot be taken in"):
        imported_file(file)
    with pytest.raises(UnmaskError, match=r"its weights lie in another file, mine\.onnx\.data"):
        onnx_models.read(file.read_bytes(), onnx_models.Description(mean=MEAN, scale=SCALE))


@pytest.mark.parametrize("place", ["../elsewhere.data", "/etc/hostname"])
def test_no_weights_are_taken_from_elsewhere(tmp_path: Path, place: str):
    model = onnx_files.model()
    tensor = model.graph.initializer[0]
    (tmp_path / "elsewhere.data").write_bytes(tensor.raw_data)
    onnx.external_data_helper.set_external_data(tensor, place, offset=0, length=len(tensor.raw_data))
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    with pytest.raises(UnmaskError, match="its weights lie beside it"):
        imported(tmp_path / "models", model)


def test_weights_that_were_cut_off_are_told(tmp_path: Path):
    file = tmp_path / "mine.onnx"
    onnx.save_model(onnx_files.model(), str(file), save_as_external_data=True, location="w.data", size_threshold=0)
    os.truncate(tmp_path / "w.data", 100)
    with pytest.raises(UnmaskError, match=r"import_recognizer\.mine: .*mine\.onnx: "):
        imported_file(file)


SQUARE = {"before": [node("AveragePool", "faces", "images", kernel_shape=[3, 3], pads=[1, 1, 1, 1])]}
CHANGING = [
    node("ReduceMean", "embedding", "mean", axes=[0], keepdims=1),
    node("Sum", ("embedding", "embedding"), "twice"),
    node("Sub", ("twice", "mean"), "other"),
]
REFUSED = {
    "several inputs": (
        {
            "inputs": [onnx.helper.make_tensor_value_info("train", FLOAT, [NUMBERS])],
            "after": [node("Add", ("embedding", "train"), "other")],
            "last": "other",
        },
        {},
        "takes 2 inputs .*put the others into the graph",
    ),
    "other numbers": (
        {"dtype": onnx.TensorProto.INT32, "before": [node("Cast", "faces", "images", to=FLOAT)]},
        {},
        r"tensor\(int32\).*put a cast",
    ),
    "one channel": (
        {"shape": ("n", 1, SIDE, SIDE), "before": [node("Concat", ("faces", "faces", "faces"), "images", axis=1)]},
        {},
        "put a conversion into the graph",
    ),
    "unknown channels": ({"shape": ("n", "c", "h", "w")}, {"side": SIDE}, "export it with fixed channels"),
    "three sides": (
        {
            "shape": (3, SIDE, SIDE),
            "before": [node("Unsqueeze", ("faces", "axis"), "images")],
            "tensors": {"axis": np.int64([0])},
        },
        {},
        r"expected images \(n, 3, h, w\)",
    ),
    "not square": ({"shape": ("n", 3, SIDE, SIDE + 1)}, {}, "32x33 pixels, aligned faces are squares"),
    "open sides": ({"shape": ("n", 3, "h", "w")}, {}, "set side to that of the faces"),
    "another side": ({}, {"side": 112}, "side is 112, the file takes 32 pixels: set side to 32, or leave it out"),
    "bytes, normalized twice": (BYTES, {}, "set mean to 0 and scale to 1"),
    "normalized twice": (NORMALIZES, {}, "mean is 127.5, scale 128.0: set mean to 0 and scale to 1"),
    "normalized twice, once in a layer": (BATCH_NORM, {}, "mean is 127.5, scale 128.0: set mean to 0 and scale to 1"),
    "normalized twice, once by a picture": (
        {
            "before": [node("Sub", ("faces", "mean"), "images")],
            "tensors": {"mean": np.full((1, 3, SIDE, SIDE), MEAN, np.float32)},
        },
        {"mean": 0.0, "scale": 128.0},
        "mean is 0.0, scale 128.0: set mean to 0 and scale to 1",
    ),
    "normalized twice, once in its weights": (
        IN_WEIGHTS,
        {},
        r"faces differ \d+ times less with mean 127\.5 and scale 128 than .* set mean to 0 and scale to 1",
    ),
    "made to 0 to 1 before": (
        IN_WEIGHTS,
        {"mean": 0.0, "scale": 255.0},
        r"faces differ \d+ times less with mean 0 and",
    ),
    "shares of classes": (
        {"after": [node("Softmax", "embedding", "prob")], "last": "prob"},
        {},
        "output 'prob' is a classifier's, 12 numbers that sum to 1: cut the graph before its last layer and softmax",
    ),
    "their logarithms": (
        {"after": [node("LogSoftmax", "embedding", "prob")], "last": "prob"},
        {},
        "output 'prob' is a classifier's",
    ),
    "shares of classes that are asked for": (
        {"after": [node("Softmax", "embedding", "prob")], "outputs": ["prob", "embedding"]},
        {"output": "prob"},
        "output 'prob' is a classifier's",
    ),
    "a feature map": ({"last": "blocks"}, {}, "'blocks' is .*a feature map has several sides"),
    "no embedding": (
        {"last": "blocks"},
        {},
        "no output is one embedding a face",
    ),
    "one number a face": (
        {"after": [node("ReduceL2", "embedding", "length", axes=[1])], "last": "length"},
        {},
        "no output is one embedding a face",
    ),
    "two embeddings": (
        {"after": [node("Neg", "embedding", "other")], "outputs": ["other", "embedding"]},
        {},
        r"set output to one of 'other' \(12 numbers\), 'embedding' \(12 numbers\)",
    ),
    "no such output": ({}, {"output": "fc1"}, r"output is 'fc1', embeddings of one face could be 'embedding' \(12"),
    "not a number": ({"after": [node("Sqrt", "embedding", "other")], "last": "other"}, {}, "not finite"),
    "zeros": ({"after": [node("Sub", ("embedding", "embedding"), "other")], "last": "other"}, {}, "not finite, or 0"),
    "the same for all": ({"matrix": np.zeros((48, NUMBERS), np.float32)}, {}, "the same whatever the face"),
    "other faces change it": ({"after": CHANGING, "last": "other"}, {}, "export it in evaluation mode"),
    "an unknown operator": (
        {"after": [node("Sqrtt", "embedding", "other")], "last": "other"},
        {},
        "cannot run it: .*Sqrtt",
    ),
    "another maker's operator": (
        {"after": [node("Other", "embedding", "other", domain="acme")], "last": "other", "domain": "acme"},
        {},
        "cannot run it: .*acme",
    ),
    "an opset to come": ({"opset": 99}, {}, "an opset that this version knows"),
    "a matrix of another size": ({"matrix": np.ones((7, NUMBERS), np.float32)}, {}, "onnxruntime"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_told_in_a_line(tmp_path: Path, case: str):
    made, described, says = REFUSED[case]
    with pytest.raises(UnmaskError, match=says) as error:
        imported(tmp_path, onnx_files.model(**made), **described)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"import_recognizer.mine: {tmp_path / 'mine.onnx'}: ")
    assert not (tmp_path / "recognizer-mine.safetensors").exists()


@pytest.mark.parametrize("training", [True, False])
def test_dropout_in_training_mode_is_told(tmp_path: Path, training: bool):
    made = {
        "after": [node("Dropout", ("embedding", "ratio", "on"), "other")],
        "tensors": {"ratio": np.float32(0.5), "on": np.array(training)},
        "last": "other",
    }
    if not training:
        embed, _ = imported(tmp_path, onnx_files.model(**made))
        assert np.allclose(embed(faces(), [None] * 5), right(faces()), atol=1e-5)
        return
    with pytest.raises(UnmaskError, match=r"exported in training mode; export it in evaluation mode, model\.eval\(\)"):
        imported(tmp_path, onnx_files.model(**made))


CONTENTS = {
    "nothing": (b"", "no graph in it"),
    "text": (b"<html>not found</html>", "no ONNX model"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 5\n", "git lfs pull"),
    "cut off": (onnx_files.model().SerializeToString()[:-300], "was cut off; get it again"),
}


@pytest.mark.parametrize("case", CONTENTS)
def test_what_is_no_model_is_told(tmp_path: Path, case: str):
    content, says = CONTENTS[case]
    with pytest.raises(UnmaskError, match=says):
        imported(tmp_path, content)


def test_a_missing_file_is_told(tmp_path: Path):
    with pytest.raises(UnmaskError, match=r"import_recognizer\.mine\.file: there is no "):
        imported_file(tmp_path / "none.onnx")


@settings(
    max_examples=int(os.environ.get("UNMASK_FUZZ", "60")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,
)
@given(
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4),
    st.none() | st.floats(0, 1),
)
def test_a_broken_file_is_a_model_or_an_error(changes: list[tuple[float, int]], end: float | None):
    content = bytearray(onnx_files.model().SerializeToString())
    for place, value in changes:
        content[int(place * len(content))] = value
    if end is not None:
        del content[int(end * len(content)) :]
    told = None
    try:
        model = onnx_models.read(bytes(content), onnx_models.Description(mean=MEAN, scale=SCALE))
    except UnmaskError as error:
        told = str(error)
    if told is None:
        assert model.embeddings(onnx_models.faces(model.side)).shape[0] == 2
    else:
        assert "\n" not in told


def test_the_header_says_all_that_the_embedder_needs(tmp_path: Path):
    made, described, _ = WORKS["one of two"]
    imported(tmp_path, onnx_files.model(**made), **described)
    about, state = weights.load(tmp_path / "recognizer-mine.safetensors", recognizer.KIND)
    assert json.loads(json.dumps(about)) == {
        "kind": "recognizer",
        "pretrained": "onnx",
        "mean": MEAN,
        "scale": SCALE,
        "side": SIDE,
        "channels": "rgb",
        "output": "embedding",
    }
    assert state["file"].numpy().tobytes() == (tmp_path / "mine.onnx").read_bytes()


@pytest.mark.skipif(not (SHARED / "cases/onnx").is_dir(), reason="needs ../shared/cases")
def test_files_from_the_field(tmp_path: Path):
    files = sorted((SHARED / "cases/onnx").glob("*.onnx"))
    assert files
    for file in files:
        model = onnx_models.read(onnx_models.content(file), onnx_models.Description(mean=MEAN, scale=SCALE))
        assert model.embeddings(onnx_models.faces(112)).shape in {(2, 8), (2, 64)}
