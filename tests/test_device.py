"""The device is said once; what a network says of a face does not depend on the faces beside it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from stages.compute import device
from stages.core import params, tables
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.core.parallel import Parallel, settings
from stages.detection import detector
from stages.faces.alignment import Align
from stages.gender import classifier
from stages.inpainting import baselines, inpainter
from stages.inpainting.inpaint import SHARED, Filler
from stages.inpainting.networks import Generator
from stages.landmarks import landmarker
from stages.parsing import parser
from stages.recognition import dlib_embedding, recognizer
from stages.training import openmmlab
from tests.conftest import drawn_face, drawn_landmarks
from tests.tiny_gan import hole

N = 9
FACES = [drawn_face(seed)[0] for seed in range(N)]
HOLES = [np.roll(hole(112, 112), 3 * place, 1) for place in range(N)]


def gpus(monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    """Let torch say that it finds so many GPUs, and let computing on one be possible."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: n > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: n)
    one = torch.ones(1)
    monkeypatch.setattr(torch, "ones", lambda *_, **__: one)


# ---------------------------------------------------------------- which device


@pytest.mark.parametrize(
    ("said", "n_gpus", "expected"),
    [("auto", 0, "cpu"), ("auto", 2, "cuda:0"), ("cpu", 2, "cpu"), ("cuda", 1, "cuda:0"), ("cuda:1", 2, "cuda:1")],
)
def test_the_setting_and_the_machine_decide(monkeypatch: pytest.MonkeyPatch, said: str, n_gpus: int, expected: str):
    gpus(monkeypatch, n_gpus)
    monkeypatch.setenv("UNMASK_DEVICE", said)
    assert device.chosen() == torch.device(expected)


def test_of_several_processes_each_has_its_own_gpu(monkeypatch: pytest.MonkeyPatch):
    gpus(monkeypatch, 4)
    monkeypatch.setenv("UNMASK_DEVICE", "cuda:0")
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert device.chosen() == torch.device("cuda:3")
    monkeypatch.setenv("UNMASK_DEVICE", "cpu")
    assert device.chosen() == torch.device("cpu")


def test_params_yaml_says_it_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("UNMASK_DEVICE")
    Path("params.yaml").write_text("parallel:\n  device: cuda:7\n")
    with pytest.raises(UnmaskError, match=r"parallel.device in params.yaml: the device 'cuda:7' cannot be used"):
        device.chosen()
    monkeypatch.setenv("UNMASK_DEVICE", "cpu")
    assert device.chosen() == torch.device("cpu")


@pytest.mark.parametrize("said", ["gpu", "cuda:", "cuda:x", "CPU", "cuda:0 "])
def test_a_device_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch, said: str):
    monkeypatch.setenv("UNMASK_DEVICE", said)
    with pytest.raises(UnmaskError, match=rf"UNMASK_DEVICE is '{said}', it must be auto, cpu, cuda"):
        settings()
    Path("params.yaml").write_text(f"parallel:\n  device: '{said}'\n")
    with pytest.raises(UnmaskError, match=rf"params.yaml, line 2: parallel.device: is '{said}', it must be auto"):
        params.load(Parallel, "parallel")


@pytest.mark.parametrize(("said", "n_gpus"), [("cuda", 0), ("cuda:1", 1), ("mps", 0)])
def test_a_device_that_is_not_there_is_an_error_that_names_the_setting(
    monkeypatch: pytest.MonkeyPatch, said: str, n_gpus: int
):
    gpus(monkeypatch, n_gpus)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setenv("UNMASK_DEVICE", said)
    with pytest.raises(
        UnmaskError, match=f"UNMASK_DEVICE: the device '{said}' cannot be used, as torch .* set it to cpu"
    ):
        device.chosen()


def test_a_gpu_that_cannot_compute_is_one_too(monkeypatch: pytest.MonkeyPatch):
    gpus(monkeypatch, 1)

    def too_old(*shape: int, device: object) -> None:
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device\nmore")

    monkeypatch.setattr(torch, "ones", too_old)
    monkeypatch.setenv("UNMASK_DEVICE", "auto")
    with pytest.raises(UnmaskError, match=r"no kernel image is available for execution on the device; set it to cpu"):
        device.chosen()


def test_onnxruntime_computes_on_the_device_if_its_build_can(monkeypatch: pytest.MonkeyPatch):
    gpus(monkeypatch, 2)
    monkeypatch.setenv("UNMASK_DEVICE", "cuda:1")
    cuda = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert device.providers(cuda) == [(cuda[0], {"device_id": 1}), cuda[1]]
    assert device.providers(cuda[1:]) == cuda[1:]
    monkeypatch.setenv("UNMASK_DEVICE", "cpu")
    assert device.providers(cuda) == cuda[1:]


def test_a_training_takes_the_device_that_was_said(monkeypatch: pytest.MonkeyPatch):
    """mmengine would take any GPU that it finds."""
    import mmengine.device.utils

    from tests import tiny_training

    monkeypatch.setattr(mmengine.device.utils, "DEVICE", "cuda")
    monkeypatch.setenv("UNMASK_DEVICE", "cpu")
    assert len(tiny_training.train(steps=5).rows) == 1
    monkeypatch.setenv("UNMASK_DEVICE", "cuda")
    with pytest.raises(UnmaskError, match="UNMASK_DEVICE: the device 'cuda' cannot be used"):
        tiny_training.train(steps=5)


def test_no_module_asks_torch_for_a_gpu_by_itself():
    root = Path(device.__file__).parents[1]
    words = ("cuda.is_available", "cuda.current_device", "mps.is_available", '.to("cuda', ".cuda()", 'device="cuda')
    asks = {
        file.relative_to(root).as_posix()
        for file in root.rglob("*.py")
        if any(word in file.read_text() for word in words)
    }
    assert asks == {"compute/device.py"}


# ---------------------------------------------------------------- batches


def test_neighbors_of_one_shape_share_a_batch_and_none_is_left_over(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(device.AT_ONCE, "cpu", 4 * 10 * 10)
    sides = [10] * 9 + [30] * 2 + [10] * 5 + [5] * 3
    items = [np.full((side, side, 3), place, np.uint8) for place, side in enumerate(sides)]
    seen: list[tuple[int, ...]] = []

    def first_pixel(some: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(some.shape))
        return some[:, 0, 0, 0]

    found = device.apply(first_pixel, torch.device("cpu"), items)
    assert [int(value) for value in found] == list(range(len(items)))
    assert [shape[0] for shape in seen] == [3, 3, 3, 1, 1, 2, 3, 3]
    assert {shape[1:] for shape in seen} == {(3, 10, 10), (3, 30, 30), (3, 5, 5)}
    assert device.apply(first_pixel, torch.device("cpu"), []) == []


def test_several_results_of_an_item_come_together():
    columns = [np.full((2, 2), place, np.float32) for place in range(3)], [np.ones((2, 2), np.float32)] * 3
    found = device.apply(lambda a, b: (a + b, (a * b).sum((1, 2))), torch.device("cpu"), *columns)
    assert [(float(one[0, 0]), float(other)) for one, other in found] == [(1, 0), (2, 4), (3, 8)]


def test_by_name_calls_once_a_name_and_keeps_the_order():
    calls = []

    def work(name: str, places: list[int]) -> list[str]:
        calls.append(name)
        return [f"{name}{place}" for place in places]

    assert device.by_name(["b", "a", "b", "a"], work) == ["b0", "a1", "b2", "a3"]
    assert calls == ["b", "a"]
    assert device.by_name([], work) == []


def _parser() -> Callable[[Sequence[Pixels]], Any]:
    torch.manual_seed(0)
    network = openmmlab.build("mmseg", parser.config("scanet", {}))
    return parser.Parser(network, tuple("x" * 20), 112)


def _inpainter() -> Callable[[Sequence[Pixels]], Any]:
    torch.manual_seed(0)
    generator = Generator(24, 112)
    torch.nn.init.normal_(generator.last[-1].weight, std=0.05)
    fill = inpainter.Inpainter(generator, Align(template="arcface", side=112))
    return lambda faces: fill(faces, HOLES[: len(faces)])


def _gender() -> Callable[[Sequence[Pixels]], Any]:
    torch.manual_seed(0)
    network = classifier.Network(name="resnet10", side=64, pretrained=None, frozen=False).build()
    return classifier.Classifier(network, 64).female


def _detector() -> Callable[[Sequence[Pixels]], Any]:
    torch.manual_seed(0)
    find = detector.Detector(openmmlab.build("mmdet", detector.config("mask_rcnn_r18").model), 112)
    return lambda faces: [one.regions.any(0) for one in find(faces)]


def _recognizer() -> Callable[[Sequence[Pixels]], Any]:
    torch.manual_seed(0)
    network = recognizer.Network(side=64, layers=[1] * 4, channels=[32, 64, 128, 256], embedding=128, dropout=0.2)
    return recognizer.Recognizer(network.build(), 64).embed


def _dlib() -> Callable[[Sequence[Pixels]], Any]:
    return lambda faces: dlib_embedding.embed(faces, [drawn_landmarks()] * len(faces))


def _fitted() -> Callable[[Sequence[Pixels]], Any]:
    return lambda faces: baselines.Known(FACES).fitted_means(faces, HOLES[: len(faces)])


NETWORKS = {_parser: 0, _inpainter: 0, _detector: 0, _fitted: 0, _gender: 1e-6, _recognizer: 1e-6, _dlib: 1e-6}
"""What makes each network, and by how much a batch may differ from one face at a time."""


@pytest.mark.parametrize(("make", "tolerance"), NETWORKS.items())
@pytest.mark.parametrize("at_once", [1, 2, 4, 16])
def test_a_batch_says_of_each_face_what_one_at_a_time_says(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[], Any], tolerance: float, at_once: int
):
    """No pixel differs; embeddings and probabilities do in the last bits, as small images take other kernels."""
    network = make()
    monkeypatch.setitem(device.AT_ONCE, "cpu", 1)
    one_at_a_time: NDArray[Any] = np.stack(network(FACES))
    monkeypatch.setitem(device.AT_ONCE, "cpu", at_once * 112 * 112)
    together = np.stack(network(FACES))
    assert len(np.unique(one_at_a_time)) > 1
    assert np.abs(together.astype(np.float64) - one_at_a_time).max() <= tolerance


def test_squares_of_a_photo_are_looked_at_as_one_alone_is():
    """To a hundredth of a pixel: each look is at a crop by what the one before said, its last bits with it."""
    squares = [landmarker.Square(56 + place, 56, 90) for place in range(5)]
    together = landmarker.look(FACES[0], squares)
    for square, seen in zip(squares, together, strict=True):
        assert np.allclose(landmarker.look(FACES[0], [square])[0].points, seen.points, atol=0.01)


# ---------------------------------------------------------------- tables


def test_many_faces_at_once_give_the_table_that_one_at_a_time_gives(table: Path, tmp_path: Path):
    handed = []

    def split(faces: Sequence[tables.Face]) -> list[tables.Mapped]:
        handed.append(len(faces))
        return [({**face, "split": "test"}, {"n": 1}) for face in faces]

    for at_once in (1, 3, 100):
        total = tables.map_many(split, table, tmp_path / f"{at_once}", at_once=at_once)
        assert total == {"faces": 12, "n": 12}
    assert handed == [1] * 12 + [3, 1] * 3 + [4] * 3
    first, *others = ([file.read_bytes() for file in sorted((tmp_path / name).iterdir())] for name in ("1", "3", "100"))
    assert all(other == first for other in others)


def test_the_face_that_cannot_be_mapped_is_named_among_many(table: Path, tmp_path: Path):
    def fails(faces: Sequence[tables.Face]) -> list[tables.Mapped]:
        if any(face["face_id"] == "drawn/p1/006" for face in faces):
            raise UnmaskError("no")
        return [(face, {}) for face in faces]

    with pytest.raises(UnmaskError, match=r"\.parquet, face drawn/p1/006: no$"):
        tables.map_many(fails, table, tmp_path / "out")


def test_faces_of_both_sexes_and_sizes_are_filled_in_their_order(monkeypatch: pytest.MonkeyPatch):
    from stages.inpainting import inpaint

    class Paints:
        def __init__(self, value: int) -> None:
            self.value = value

        def __call__(self, faces: Sequence[Pixels], regions: Sequence[Pixels]) -> list[Pixels]:
            return [np.full_like(face, self.value) for face, _ in zip(faces, regions, strict=True)]

    monkeypatch.setattr(inpaint, "_generator", lambda path: Paints(int(path.name)))
    filler = Filler(None, {SHARED: Path("1"), "female": Path("2"), "male": Path("3")})
    faces = [drawn_face(place, size)[0] for place, size in enumerate((32, 48, 32, 32))]
    found = filler(faces, [face[..., 0] for face in faces], ["male", "female", None, "male"])
    assert [(int(image[0, 0, 0]), image.shape, name) for image, name in found] == [
        (3, (32, 32, 3), "male"),
        (2, (48, 48, 3), "female"),
        (1, (32, 32, 3), SHARED),
        (3, (32, 32, 3), "male"),
    ]
    assert filler([], [], []) == []
