"""Draw a mask on every face, from its landmarks.

python -m stages.render_masks --faces data/aligned/orl --templates data/mask_templates --out data/masked/orl \
    --figure metrics/figures/render_masks-orl.png --metrics metrics/render_masks-orl.json

Given a plain folder of photos instead of a face table, it masks every face in every photo, writes the photos to
`masked/` and the mask regions to `regions/`, and says in index.csv what it did with each file:

python -m stages.render_masks --faces my/photos --templates data/mask_templates --out my/masked
"""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

import cv2
import numpy as np
from pydantic import Field, field_validator

from stages.common import figures, images, photos, tables
from stages.common.command import run_stage
from stages.common.errors import UnmaskError
from stages.common.images import Pixels
from stages.common.params import Section, StageParams, check, load, read_yaml
from stages.common.seeding import fraction, generator
from stages.common.tables import Face
from stages.faces import masks
from stages.faces.landmarks import Points
from stages.faces.mask_shapes import POSITIONS
from stages.faces.mask_styles import STYLES
from stages.faces.masks import POLYGON, Look, Template
from stages.faces.warp import CollinearPointsError
from stages.landmarks.search import FaceTypes, Search, all_faces

Weight = Annotated[float, Field(ge=0)]
Color = Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$")]

NOT_MASKED = ("wears_mask", "no_landmarks", "landmarks_on_a_line", "not_drawn_by_share")


class Positions(Section):
    """How often a mask is worn in each way, as weights."""

    proper: Weight
    below_nose: Weight
    chin: Weight


class Colors(Section):
    """Colors of the fabric, `#rrggbb`; each is drawn equally often."""

    polygon: list[Color] = Field(min_length=1)
    surgical: list[Color] = Field(min_length=1)
    cloth: list[Color] = Field(min_length=1)
    kn95: list[Color] = Field(min_length=1)
    n95: list[Color] = Field(min_length=1)


class Params(StageParams):
    """Section `render_masks:` of params.yaml."""

    top_level: ClassVar = ("seed",)

    seed: int = Field(ge=0)
    share: float = Field(ge=0, le=1)
    """Of the faces, how many get a mask."""
    styles: dict[str, Weight]
    """How often each style is drawn, as weights; beside the built-in ones, any folder of data/mask_templates."""
    positions: Positions
    colors: Colors
    softness: float = Field(ge=0, le=5)
    """Blur of the mask's edge: standard deviation in hundredths of the face's size."""

    @field_validator("styles")
    @classmethod
    def _some_style(cls, styles: dict[str, float]) -> dict[str, float]:
        if not sum(styles.values()) > 0:
            raise ValueError("all weights are 0: give at least one style a weight above 0")
        return styles


class Pin(Section):
    """A point of mask.png, in pixels, and the landmark on which it comes to lie."""

    x: float
    y: float
    landmark: int = Field(ge=0, le=67)


class TemplateFile(Section):
    """Content of a template.yaml."""

    points: list[Pin] = Field(min_length=3)


def render_masks(faces: Path, templates: Path, out: Path, figure: Path, params: Params) -> dict[str, Any]:
    """Draw a mask on every face of a table; add `mask`, `mask_style`, `mask_position` and `mask_color`.

    The mask of a face is drawn by chance from the seed and the face's id alone: it does not depend on other faces.

    Args:
        faces: a table with landmarks.
        templates: folder of the user's own masks, one folder each with mask.png (with alpha) and template.yaml.
        out: the table to write. A face that wears a real mask, has no usable landmarks, or got none by `share` stays as
            it is, with nulls in the four columns.
        figure: a contact sheet.
        params: section `render_masks`.

    Returns:
        How many faces got which style and position, how many none and why, and how much of the image masks cover.
    """
    work = functools.partial(_masked, own=read_templates(templates, params.styles), params=params)
    adds = ["mask", "mask_style", "mask_position", "mask_color"]
    numbers = tables.map_faces(work, faces, out, needs=["image", "landmarks", "face_type"], adds=adds)
    figures.show_table(
        out,
        figure,
        title="Masks drawn",
        caption=lambda face: f"{face['mask_style'] or 'none'} {face['mask_position'] or ''}",
    )
    drawn = sum(numbers[f"style {style}"] for style in params.styles)
    return {
        "faces": numbers["faces"],
        "masked": drawn,
        "not_masked": {reason: numbers[reason] for reason in NOT_MASKED},
        "outside_the_image": numbers["outside"],
        "styles": {style: numbers[f"style {style}"] for style in params.styles},
        "positions": {position: numbers[f"position {position}"] for position in POSITIONS},
        "mean_share_covered": numbers["covered"] / max(drawn, 1),
    }


def photos_folder(faces: Path, templates: Path, out: Path, params: Params) -> dict[str, Any]:
    """Draw a mask on every face in every photo of a folder; see the module's description."""
    work = functools.partial(
        _masked_photo,
        own=read_templates(templates, params.styles),
        params=params,
        search=load(Search, "find_landmarks.search"),
        face_types=load(FaceTypes, "find_landmarks.face_types"),
    )
    return photos.map_photos(work, faces, out)


def read_templates(folder: Path, styles: Mapping[str, float]) -> dict[str, Template]:
    """Return those of the styles that are masks of the user's own.

    Raises:
        UnmaskError: a style is neither built-in nor a template, or a template cannot be used.
    """
    own = {}
    for name, weight in styles.items():
        if name == POLYGON or name in STYLES or weight == 0:
            continue
        picture, description = folder / name / "mask.png", folder / name / "template.yaml"
        if not picture.is_file():
            known = ", ".join([POLYGON, *STYLES])
            raise UnmaskError(f"render_masks.styles: {name!r} is none of {known}, and there is no {picture}")
        image = cv2.imdecode(np.frombuffer(picture.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
        if image is None or image.ndim != 3 or image.shape[2] != 4 or image.dtype != np.uint8:
            raise UnmaskError(f"{picture} must be an 8-bit PNG with an alpha channel")
        pins = check(TemplateFile, read_yaml(description), description).points
        points = np.array([(pin.x, pin.y) for pin in pins], np.float32)
        try:
            own[name] = Template(cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA), points, tuple(pin.landmark for pin in pins))
        except CollinearPointsError as error:
            raise UnmaskError(f"{description}: points: {error}") from None
    return own


def _draw(
    image: Pixels, points: Points, kind: str, name: str, own: Mapping[str, Template], params: Params
) -> tuple[Look, Pixels, Pixels]:
    rng = generator(params.seed, "render_masks", name)
    colors = {style: [_rgb(color) for color in palette] for style, palette in params.colors}
    look = masks.random_look(rng, params.styles, dict(params.positions), colors, params.softness)
    if look.style in own:
        return look, *masks.draw_template(image, points, own[look.style])
    return look, *masks.draw(image, points, look, kind, rng)


def _rgb(color: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(color.removeprefix("#"))
    return red, green, blue


def _masked(face: Face, own: Mapping[str, Template], params: Params) -> tuple[Face, Mapping[str, float]]:
    bare = {**face, "mask": None, "mask_style": None, "mask_position": None, "mask_color": None}
    reason = _why_not(face, params)
    if reason:
        return bare, {reason: 1}
    image = images.decode(face["image"])
    try:
        look, masked, region = _draw(image, face["landmarks"], face["face_type"] or "0_0", face["face_id"], own, params)
    except CollinearPointsError:
        return bare, {"landmarks_on_a_line": 1}
    result = {
        **face,
        "image": images.encode_png(masked),
        "mask": images.encode_png(region),
        "mask_style": look.style,
        "mask_position": look.position,
        "mask_color": None if look.style in own else "#" + bytes(look.color).hex(),
    }
    numbers = {
        f"style {look.style}": 1,
        f"position {look.position}": 1,
        "covered": float((region > 0).mean()),
        "outside": int(not region.any()),
    }
    return result, numbers


def _why_not(face: Face, params: Params) -> str | None:
    if face.get("wears_mask"):
        return "wears_mask"
    if face["landmarks"] is None:
        return "no_landmarks"
    if fraction(params.seed, "render_masks share", face["face_id"]) >= params.share:
        return "not_drawn_by_share"
    return None


def _masked_photo(
    name: str, photo: Pixels, own: Mapping[str, Template], params: Params, search: Search, face_types: FaceTypes
) -> photos.Outcome:
    found = all_faces(photo, search)
    masked, region, looks = photo, np.zeros(photo.shape[:2], np.uint8), []
    for index, face in reversed(list(enumerate(found))):  # the small ones first, as they stand behind
        kind = face_types.of(photo, face.points)
        look, masked, covered = _draw(masked, face.points, kind, f"{name}/{index}", own, params)
        region |= covered
        looks.append(f"{look.style} {look.position}")
    pictures = {"masked": images.encode_png(masked), "regions": images.encode_png(region)}
    return photos.Outcome("masked" if found else "no_face", len(found), "; ".join(looks), pictures)


if __name__ == "__main__":
    run_stage("render_masks")
