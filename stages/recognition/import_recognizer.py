"""Make a pretrained recognizer one of ours: dlib's, or an ONNX model in models/pretrained.

python -m stages.recognition.import_recognizer --name dlib --pretrained models/pretrained \
    --out models/recognizer-dlib.safetensors --results metrics/import_recognizer-dlib
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, RootModel
from torch import nn

from stages.compute import weights
from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.params import Section
from stages.recognition import dlib_embedding, embedders, known_models, onnx_models, recognizer


class Dlib(Section):
    """dlib's ResNet-29; its weights come with a package."""

    kind: Literal["dlib"]


class Onnx(onnx_models.Description):
    """An ArcFace-style model: aligned faces in, embeddings out."""

    kind: Literal["onnx"]
    file: str
    """In models/pretrained; weights that lie beside it are taken in."""


Described = Annotated[Dlib | Onnx, Field(discriminator="kind"), BeforeValidator(known_models.like)]


class Params(RootModel[dict[str, Described]]):
    """Section `import_recognizer:` of params.yaml: a recognizer by name.

    One that is `like` a model of models/catalogue.yaml takes what that takes, where it says nothing else.
    """


def import_recognizer(name: str, pretrained: Path, out: Path, params: Params) -> dict[str, Any]:
    """Write a pretrained recognizer as a file like those of `train_recognizer`.

    Args:
        name: of the recognizer, a key of section `import_recognizer`.
        pretrained: folder of ONNX files.
        out: the weights to write.
        params: section `import_recognizer`.

    Returns:
        Its kind, how large it is, and of an ONNX model what its file says of input and output.

    Raises:
        UnmaskError: nobody described it, its file is missing, or it gives no embedding a face; see `onnx_models.read`.
    """
    chosen = params.root.get(name)
    if chosen is None:
        raise UnmaskError(f"--name is {name!r}, section import_recognizer of params.yaml has {', '.join(params.root)}")
    about: dict[str, Any] = {"kind": recognizer.KIND, "pretrained": chosen.kind}
    model: nn.Module
    if isinstance(chosen, Dlib):
        model = dlib_embedding.network()
        result = {"parameters": weights.parameters(model)}
    else:
        file = pretrained / chosen.file
        if not file.is_file():
            raise UnmaskError(f"import_recognizer.{name}.file: there is no {file}; put the model there")
        try:
            data = onnx_models.content(file)
            read = onnx_models.read(data, chosen)
        except UnmaskError as error:
            raise UnmaskError(f"import_recognizer.{name}: {file}: {error}") from None
        about |= read.described.model_dump(include=set(onnx_models.Description.model_fields))
        model = embedders.OnnxFile(data)
        result = {"bytes": len(data), **read.facts()}
    weights.save(out, model, about)
    return {"kind": chosen.kind, **result}


if __name__ == "__main__":
    run_stage("recognition.import_recognizer")
