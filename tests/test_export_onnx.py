"""export_onnx: what onnxruntime says of an image is what the pipeline says."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML

from stages.compute import weights
from stages.core.errors import UnmaskError
from stages.core.images import decode, encode_png
from stages.core.tables import Face
from stages.detection import detector
from stages.faces import alignment
from stages.faces.alignment import Align
from stages.inpainting import inpainter
from stages.parsing import parser
from stages.recognition import dlib_embedding, embedders, import_recognizer, recognizer
from stages.tools import export_onnx
from stages.tools.exporting import comparison, detectors, onnx_file
from stages.tools.exporting.graph import planes
from stages.training import openmmlab
from tests.conftest import ROOT, face_row, write_table

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

ALIGN = Align(template="arcface", side=112)
SIDE = 64  # pixels, of the networks


def tiny_parser(to: Path, name: str = "extractor") -> Path:
    changes = {"decode_head.context_channels": 16} if name == "scanet" else {}
    model = parser.config(name, {"backbone.base_channels": 32, **changes})
    classes = [f"class {number}" for number in range(model["decode_head"]["num_classes"])]
    about = {"kind": parser.KIND, "name": name, "classes": classes, "size": SIDE, "model": model}
    weights.save(to, openmmlab.build("mmseg", model), about)
    return to


def tiny_detector(to: Path) -> Path:
    model = detector.config("mask_rcnn_r18").model.to_dict()
    model["test_cfg"]["rcnn"]["score_thr"] = 0.3  # an untrained network is sure of nothing
    weights.save(to, openmmlab.build("mmdet", model), {"kind": detector.KIND, "size": SIDE, "model": model})
    return to


def tiny_inpainter(to: Path) -> Path:
    about = {"channels": 4, "discriminator_channels": 4, "size": SIDE, "template": "arcface"}
    networks = inpainter.Networks(about)
    torch.nn.init.normal_(networks.generator.last[-1].weight, std=0.05)  # which is 0 before a training
    weights.save(to, networks, {"kind": inpainter.KIND, **about})
    return to


def tiny_recognizer(to: Path) -> Path:
    network = recognizer.Network(side=32, layers=[1, 1, 1, 1], channels=[8, 8, 16, 16], embedding=16, dropout=0.1)
    about = {"kind": recognizer.KIND, "loss": "arcface", "masks": "bare", "network": network.model_dump()}
    weights.save(to, network.build(), about)
    return to


def tiny_dlib(to: Path) -> Path:
    about = {"kind": recognizer.KIND, "pretrained": embedders.DLIB}
    weights.save(to, dlib_embedding.ResNet29(), about)
    return to


def faces(n: int = 3) -> list[Face]:
    rows = [face_row(index, gray=index == 0) for index in range(n)]
    for face in rows:
        region = np.zeros((112, 112), np.uint8)
        region[60:105, 25:90] = 255
        face["mask"] = encode_png(region)
    return rows


def exported(source: Path) -> tuple[Any, onnx_file.Session, dict[str, Any]]:
    """Return the graph, the session and the card of weights."""
    out = source.with_suffix(".onnx")
    graph = export_onnx.export_onnx(source, out, ALIGN)
    assert {path.name for path in out.parent.glob(f"{source.stem}.*")} == {
        source.name,
        out.name,
        f"{source.stem}.json",
    }
    return graph, onnx_file.Session(out, 1), json.loads(out.with_suffix(".json").read_text())


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any, onnx_file.Session, dict[str, Any]]:
    """Return a recognizer's weights, and what became of them."""
    torch.manual_seed(0)
    source = tiny_recognizer(tmp_path_factory.mktemp("pretrained") / "mine.safetensors")
    return source, *exported(source)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


# ---------------------------------------------------------------- each kind


@pytest.mark.parametrize("name", ["extractor", pytest.param("scanet", marks=pytest.mark.slow)])
def test_a_parser_says_the_same(tmp_path: Path, name: str):
    graph, session, card = exported(tiny_parser(tmp_path / "p.safetensors", name))
    found = comparison.compare(graph, session, faces(), 1)
    assert found.differences["logits"] < 1e-4
    assert found.differences["labels"] < 1e-3  # where two classes are as likely
    assert (card["kind"], card["name"], card["classes"][1]) == ("parser", name, "class 1")
    pictures = [decode(face["image"])[:96, :96] for face in faces(2)]  # of another size, several at once
    together = session({"faces": planes(pictures)})["labels"]
    expected = np.stack(parser.load(tmp_path / "p.safetensors", name)(pictures))
    assert together.shape == expected.shape
    assert (together != expected).mean() < 1e-3


def test_a_recognizer_comes_back_as_an_imported_one(tmp_path: Path, mine: Any):
    source, graph, session, card = mine
    assert comparison.compare(graph, session, faces(), 1).differences["embeddings"] < 1e-5
    described = YAML(typ="safe", pure=True).load(card["import_recognizer"])  # as it is put into params.yaml
    back = tmp_path / "recognizer-mine.safetensors"
    import_recognizer.import_recognizer(
        "mine", source.parent, back, import_recognizer.Params.model_validate({"mine": described})
    )
    rng = np.random.default_rng(0)
    for size in (32, 112):
        some = [rng.integers(0, 256, (size, size, 3), np.uint8) for _ in range(3)]
        expected = embedders.load(source)(some, [None] * 3)
        assert np.allclose(embedders.load(back)(some, [None] * 3), expected, atol=1e-5)
        assert np.allclose(session({"faces": planes(some)})["embeddings"], expected, atol=1e-5)
    with pytest.raises(UnmaskError, match="holds an ONNX model already"):
        export_onnx.export_onnx(back, tmp_path / "again.onnx", ALIGN)


@pytest.mark.slow
def test_dlibs_recognizer_says_the_same(tmp_path: Path):
    graph, session, card = exported(tiny_dlib(tmp_path / "dlib.safetensors"))
    assert comparison.compare(graph, session, faces(), 1).differences["embeddings"] < 1e-5
    assert "get_face_chip" in card["chips"]


@pytest.mark.slow
def test_an_inpainter_fills_in_the_same(tmp_path: Path):
    graph, session, _ = exported(tiny_inpainter(tmp_path / "i.safetensors"))
    own = inpainter.load(tmp_path / "i.safetensors")
    for size in (64, 112):
        pictures = [decode(face["image"])[:size, :size] for face in faces()]
        regions = [np.zeros((size, size), np.uint8) for _ in pictures]
        for region in regions:
            region[size // 2 : -8, 8:-16] = 255
        found = session({"faces": planes(pictures), "regions": planes(regions)})["filled"]
        expected = planes(own(pictures, regions))
        assert np.abs(found - expected).max() <= 1  # a level, where rounding is a matter of the last digit
        assert (found != expected).mean() < 1e-3
    assert comparison.compare(graph, session, faces(), 1).differences["filled"] <= 1


def test_the_inpainters_module_is_the_inpainter(tmp_path: Path):
    graph = export_onnx.graph_of(tiny_inpainter(tmp_path / "i.safetensors"))
    for face in faces():
        found = graph.by_torch(graph.feed(face))["filled"]
        assert np.abs(found - graph.pipeline(face)["filled"]).max() <= 1
        outside = graph.feed(face)["regions"][0, 0] == 0
        assert (found[0][:, outside] == graph.feed(face)["faces"][0][:, outside]).all()


def test_the_detectors_module_is_mask_r_cnn(tmp_path: Path):
    graph = export_onnx.graph_of(tiny_detector(tmp_path / "d.safetensors"))
    for face in small_faces():
        found, expected = graph.by_torch(graph.feed(face)), graph.pipeline(face)
        assert len(expected["boxes"]) > 1  # so that boxes compete
        assert comparison.apart(found["boxes"], expected["boxes"])[0] < 1e-3
        assert comparison.apart(found["scores"], expected["scores"])[0] < 1e-5
        assert comparison.apart(found["masks"], expected["masks"])[0] < 1e-3


@pytest.mark.slow
def test_a_detector_finds_the_same(tmp_path: Path):
    graph, session, card = exported(tiny_detector(tmp_path / "d.safetensors"))
    found = comparison.compare(graph, session, small_faces(), 1).differences
    assert found["boxes"] < 1e-3
    assert found["scores"] < 1e-5
    assert found["masks"] < 1e-3
    assert card["classes"] == ["face_mask"]
    shapes = [output.shape for output in session.session.get_outputs()]
    assert shapes == [["found", 4], ["found"], ["found", SIDE, SIDE]]


def small_faces() -> list[Face]:
    """Return faces of the detector's size."""
    rng = np.random.default_rng(0)
    rows = faces()
    for face in rows:
        face["image"] = encode_png(rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8))
    return rows


# ---------------------------------------------------------------- the file


def test_a_file_is_whole_and_says_what_it_is_and_not_where_it_was_made(mine: Any):
    source, _, session, card = mine
    data = source.with_suffix(".onnx").read_bytes()
    said = {entry.key: entry.value for entry in onnx.load_from_string(data).metadata_props}
    assert said["kind"] == "recognizer"
    assert json.loads(said["alignment"]) == card["alignment"]
    assert card["alignment"]["points"]["nose tip"] == pytest.approx(alignment.ARCFACE_112[2].tolist(), abs=1e-4)
    assert session.session.get_inputs()[0].shape == ["batch", 3, "height", "width"]
    assert b"exporting" not in data
    assert str(ROOT).encode() not in data


def test_the_same_weights_give_the_same_bytes(tmp_path: Path, mine: Any):
    source = mine[0]
    export_onnx.export_onnx(source, tmp_path / "again.onnx", ALIGN)
    assert (tmp_path / "again.onnx").read_bytes() == source.with_suffix(".onnx").read_bytes()


def test_faces_by_ffhq_have_no_five_points():
    facts = export_onnx.alignment_facts(Align(template="ffhq", side=256))
    assert (facts["template"], facts["size"]) == ("ffhq", 256)
    assert "points" not in facts


def test_differences_have_known_answers():
    one, other = np.float32([1, 2]), np.float32([1, 2.5])
    assert comparison.apart(one, other)[0] == 0.5
    assert comparison.apart(one, other[:1])[0] == float("inf")
    assert comparison.apart(one > 1, other > 2)[0] == 0
    assert comparison.apart(np.uint8([1, 2, 3, 4]), np.uint8([1, 2, 3, 0]))[0] == 0.25
    assert comparison.apart(one[:0], other[:0])[0] == 0
    assert comparison.apart(one, other)[1] == 0.5
    assert comparison.apart(one, other[:1])[1] == 1
    shares = {"boxes": 0.7, "masks": 0.0, "filled": 1e-5}
    found = comparison.Comparison({"boxes": 2e-6, "masks": 0.0, "filled": 1.0}, shares, 10.04, 5.0)
    told = "boxes 2.0e-06, masks 0, filled 1.0e+00 (in 1.0e-05 of the values)"
    assert found.row("detector") == f"| detector | {told} | 10.0 | 5.0 |"


# ---------------------------------------------------------------- what goes wrong


def test_what_cannot_be_exported_is_told_in_a_line(tmp_path: Path):
    def message(path: Path, out: str = "m.onnx") -> str:
        with pytest.raises(UnmaskError) as error:
            export_onnx.export_onnx(path, tmp_path / out, ALIGN)
        assert not (tmp_path / out).exists()
        return str(error.value)

    (tmp_path / "text.safetensors").write_text("no weights")
    weights.save(tmp_path / "heads.safetensors", torch.nn.Linear(2, 2), {"kind": "heads"})
    weights.save(tmp_path / "who.safetensors", torch.nn.Linear(2, 2), {"from": "elsewhere"})
    assert "no such file" in message(tmp_path / "none.safetensors")
    assert "is no whole safetensors file" in message(tmp_path / "text.safetensors")
    assert "was not written by this project" in message(tmp_path / "who.safetensors")
    exported_kinds = "exported are detector, inpainter, parser, recognizer"
    assert message(tmp_path / "heads.safetensors").endswith(f"weights of the kind 'heads'; {exported_kinds}")
    assert "ends in .onnx" in message(tiny_recognizer(tmp_path / "r.safetensors"), "m.pb")


def test_another_make_of_detector_is_refused(tmp_path: Path):
    model = detector.config("mask_rcnn_r18").model.to_dict()
    model["roi_head"]["bbox_roi_extractor"]["featmap_strides"] = [2, 4]
    network = openmmlab.build("mmdet", model)
    with pytest.raises(UnmaskError, match="one class and one level"):
        detectors.Module(network, SIDE)


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(onnx_file, "EXTRA", ("onnx", "no_such_package"))
    with pytest.raises(UnmaskError, match=r"an export needs no_such_package: pip install '\.\[onnx\]'"):
        export_onnx.export_onnx(tmp_path / "r.safetensors", tmp_path / "r.onnx", ALIGN)


def test_a_folder_is_exported_and_what_is_not_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)  # for params.yaml
    models = tmp_path / "models"
    models.mkdir()
    with pytest.raises(UnmaskError, match="has no weights"):
        list(export_onnx.run(models, tmp_path / "onnx", None))
    tiny_recognizer(models / "recognizer-tiny.safetensors")
    weights.save(models / "heads-tiny.safetensors", torch.nn.Linear(2, 2), {"kind": "heads"})
    table = write_table(tmp_path / "faces", [face | {"split": "test"} for face in faces()])
    lines = list(export_onnx.run(models, tmp_path / "onnx", table))
    assert lines[0].startswith("left out: ")
    assert lines[1].startswith(f"{tmp_path / 'onnx/recognizer-tiny.onnx'}: ")
    assert lines[3] == comparison.HEADER[0]
    assert lines[5].startswith("| recognizer-tiny | embeddings ")
    assert lines[-1].startswith("3 faces of ")


def test_the_command_line_prints_one_line_on_an_error(tmp_path: Path):
    command = [sys.executable, "-m", "stages.tools.export_onnx", "--weights", str(tmp_path / "no.safetensors")]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "m.onnx")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("export_onnx: ")
    assert "Traceback" not in done.stderr
