"""The app's page, in Gradio."""

import base64
import functools
import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import gradio as gr
import numpy as np

from stages.core import images
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.faces.landmarks import face_size
from stages.masks.shapes import POSITIONS
from stages.photos.reading import UnreadableImageError
from stages.tools.portrait import sheet, sitting
from stages.tools.portrait.portrait import Portrait, Tools
from stages.tools.portrait.sitting import LOOKS, Sitting

EDITED = 448  # pixels of the side at which a region is painted
PAINT = (255, 80, 40)
KEPT = 1800  # seconds after which a photo that nobody looks at any more, and its files, are forgotten
WAITING = 64  # events that may wait for their turn
THEME = gr.themes.Default(font=["system-ui", "sans-serif"])
AROUND = 1.7  # what is shown to each side of a face's middle, of the face's size
WORN = {"proper": "properly", "below_nose": "below the nose", "chin": "on the chin"}
COMPARED = {
    "bare": "by the whole face",
    "masked": "by the whole face, mask and all",
    "zeroed": "by the face without the mask",
    "inpainted": "by the face as it was filled in",
    "upper": "by the upper half of the face",
}
MASK, REGION = "mask", "region"  # tabs
IN_VIEW = "() => document.querySelector('#slider').scrollIntoView({block: 'nearest', behavior: 'smooth'})"
NONE_YET = "Drop a photo. Of each face you see whether it wears a mask, and what the networks make of it."


def build(tools: Tools, side: int) -> gr.Blocks:
    """Return the page.

    Args:
        tools: what looks at faces.
        side: a photo with a longer one is shrunk to it, pixels.
    """
    with gr.Blocks(title="Unmask", analytics_enabled=False, delete_cache=(60, KEPT)) as page:
        now = gr.State(None, time_to_live=KEPT)
        gr.Markdown("# Unmask\nFaces behind masks. What is filled in is a guess, and no photo of the person.")
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                drop = gr.File(label="Photo", height=140, elem_id="drop")
                says = gr.Markdown(NONE_YET, elem_id="says")
                which = gr.Radio([], label="Face", visible=False, elem_id="which")
                tabs = gr.Tabs()
                with tabs, gr.Tab("Put a mask on", id=MASK, visible=False, elem_id="tab-mask") as mask_tab:
                    style = gr.Radio(list(LOOKS), value="surgical", label="Style", elem_id="style")
                    position = gr.Radio(
                        [(WORN[name], name) for name in POSITIONS], value="proper", label="Worn", elem_id="position"
                    )
                    with gr.Row():  # side by side: the color's dialog would move a button below it
                        color = gr.ColorPicker("#9cc5e3", label="Color", min_width=260, elem_id="color")
                        put = gr.Button("Put it on", variant="primary", min_width=100, elem_id="put")
                with tabs, gr.Tab("Correct the region", id=REGION, visible=False, elem_id="tab-region") as region_tab:
                    gr.Markdown("Red is what is filled in. Paint what is missing, erase what is too much.")
                    editor = gr.ImageEditor(
                        label="Region",
                        format="png",
                        sources=(),
                        transforms=(),
                        layers=False,
                        brush=gr.Brush(default_size=24, colors=["#ff5028"], color_mode="fixed"),
                        eraser=gr.Eraser(default_size=24),
                        canvas_size=(EDITED, EDITED),
                        fixed_canvas=True,
                        buttons=[],
                        elem_id="editor",
                    )
                    again = gr.Button("Fill again", variant="primary", elem_id="again")
            with gr.Column(scale=3, min_width=420):
                slider = gr.ImageSlider(
                    label="Before | after", format="png", interactive=False, max_height=520, elem_id="slider"
                )
                strip = gr.HTML(elem_id="strip")
        shown = [now, says, which, slider, strip, tabs, mask_tab, region_tab, editor]
        act = _Actions(tools, side)
        # Networks are for one at a time: others wait for their turn.
        common: dict[str, Any] = {
            "outputs": shown,
            "concurrency_limit": 1,
            "concurrency_id": "networks",
            "api_visibility": "private",
            "show_progress_on": [slider],
        }
        opened = drop.upload(act.open, [drop], **common)
        emptied = opened.then(lambda: None, None, drop, api_visibility="private")  # there is room for the next one
        emptied.then(None, None, None, js=IN_VIEW, api_visibility="private")
        which.input(act.choose, [now, which], **common)
        put.click(act.put, [now, which, style, position, color], **common)
        again.click(act.fill_again, [now, which, editor], **common)
    return page.queue(max_size=WAITING)


def _said(action: Callable[..., Any]) -> Callable[..., Any]:
    """Say on the page what went wrong with an action, and leave the page as it is."""

    @functools.wraps(action)
    def tried(*inputs: Any) -> Any:
        try:
            return action(*inputs)
        except (UnmaskError, UnreadableImageError) as error:
            gr.Warning(html.escape(str(error)), title="That did not work")
            return gr.skip()

    return tried


class _Actions:
    """What happens on each event: maps its inputs to what the page shows."""

    def __init__(self, tools: Tools, side: int) -> None:
        self.tools, self.side = tools, side

    @_said
    def open(self, path: str) -> Any:
        """Show a photo that was dropped."""
        file = Path(path)
        return self._shown(sitting.opened(file.read_bytes(), file.name, self.tools, self.side), 0)

    @_said
    def choose(self, now: Sitting | None, which: int | None) -> Any:
        """Show another face."""
        return self._shown(*_face_of(now, which))

    @_said
    def put(self, now: Sitting | None, which: int | None, style: str, position: str, color: str) -> Any:
        """Put a mask on."""
        now, index = _face_of(now, which)
        return self._shown(sitting.with_mask(now, index, sitting.look_of(style, position, color), self.tools), index)

    @_said
    def fill_again(self, now: Sitting | None, which: int | None, painted: dict[str, Any]) -> Any:
        """Fill in what was painted; the editor stays, so that its strokes can be undone."""
        now, index = _face_of(now, which)
        region = np.zeros((EDITED, EDITED), np.bool_)
        for layer in painted["layers"]:
            region |= cv2.resize(layer[..., 3], (EDITED, EDITED), interpolation=cv2.INTER_AREA) >= 32
        changed = sitting.corrected(now, index, region, self.tools)
        return *self._shown(changed, index, filled=True)[:-1], gr.skip()

    def _shown(self, now: Sitting, index: int, *, filled: bool = False) -> tuple[Any, ...]:
        """Return what is shown of a face, with the mask that was put on, or filled in if it was not or is `filled`."""
        if not now.faces:
            nobody = f"**{now.name}**: no face found. Is it turned away, or very small?"
            hidden = gr.update(visible=False)
            return now, nobody, hidden, (now.photo, now.photo), "", gr.skip(), hidden, hidden, None
        face = now.faces[index]
        choices = [(f"{at + 1} ({'mask' if one.worn else 'bare'})", at) for at, one in enumerate(now.faces)]
        before, after = (now.original, now.photo) if now.masked and not filled else (now.photo, now.filled())
        may_put, may_correct = sitting.may_wear(now, index), bool(face.worn or face.generator)
        return (
            now,
            _of_the_photo(now),
            gr.update(choices=choices, value=index, visible=len(now.faces) > 1),
            _seen_closely(before, after, face),
            self._strip(face),
            gr.update(selected=MASK if may_put and not filled else REGION),
            gr.update(visible=may_put),
            gr.update(visible=may_correct),
            _to_paint(face),
        )

    def _strip(self, face: Portrait) -> str:
        """Return what is said of the face, its pictures, and the people whom it may show, as HTML."""
        tiles = sheet.row(face.crop.image, "", "", face, self.tools.gallery)
        tiles |= {sheet.FACE: (tiles[sheet.FACE][0], "the face")}
        del tiles[sheet.PHOTO]
        people = {what: tile for what, tile in tiles.items() if what.startswith(sheet.PERSON)}
        own = "".join(_figure(*tile) for what, tile in tiles.items() if what not in people)
        says = (
            f"{'Wears a mask' if face.worn else 'Wears no mask'}: the classifier gives it a probability of "
            f"{face.worn.probability:.2f}"
        )
        says += f", and the region that was found takes {face.worn.share:.0%} of the face. " if face.worn else ". "
        if face.female is not None:
            says += f"Of the sex, the classifier says <b>{sheet.of_sex(face)}</b>. "
        if self.tools.gallery is None:
            return f"{says}<div>{own}</div>"
        how = f"Compared with the known people {COMPARED[face.compared]}"
        if not any(person.match for person in face.nearest):
            return f"{says}<div>{own}</div><br>{how}: no match."
        return f"{says}<div>{own}</div><br>{how}:<div>{''.join(_figure(*tile) for tile in people.values())}</div>"


def _figure(picture: Pixels, caption: str) -> str:
    """Return an image, RGB uint8 (H, W, 3), above its caption as HTML."""
    data = base64.b64encode(images.encode_png(picture)).decode()
    return (
        '<figure style="display: inline-block; width: 118px; margin: 8px 8px 0 0; vertical-align: top">'
        f'<img src="data:image/png;base64,{data}" alt=""><figcaption>{html.escape(caption)}</figcaption></figure>'
    )


def _face_of(now: Sitting | None, which: int | None) -> tuple[Sitting, int]:
    """Return the photo, and the index of the face that was chosen; the first one if none was.

    Raises:
        UnmaskError: there is no photo, or no face in it.
    """
    if now is None or not now.faces:
        raise UnmaskError("Drop a photo with a face first")
    return now, which or 0


def _of_the_photo(now: Sitting) -> str:
    name, n = f"**{now.name}**", len(now.faces)
    masks = sum(bool(one.worn) for one in now.faces)
    if now.masked:
        return f"{name} before and after the mask. *Correct the region* fills it in again."
    if n == 1:
        return f"{name}: one face, {'behind a mask' if masks else 'bare. Put a mask on it!'}"
    return f"{name}: {n} faces, {masks or 'none'} behind a mask."


def _seen_closely(before: Pixels, after: Pixels, face: Portrait) -> tuple[Pixels, Pixels]:
    """Return two photos (H, W, 3) of one size, cut to what is around a face."""
    middle, around = face.points.mean(0), AROUND * face_size(face.points)
    left, top = np.maximum(np.floor(middle - around), 0).astype(int)
    right, bottom = np.ceil(middle + around).astype(int)
    return before[top:bottom, left:right], after[top:bottom, left:right]


def _to_paint(face: Portrait) -> dict[str, Any]:
    """Return what the editor begins with: the aligned face, and over it the region that is filled in."""
    large = cv2.resize(face.crop.image, (EDITED, EDITED), interpolation=cv2.INTER_CUBIC)
    region = cv2.resize(face.to_fill, (EDITED, EDITED), interpolation=cv2.INTER_NEAREST)
    layer = np.zeros((EDITED, EDITED, 4), np.uint8)
    layer[region > 0] = (*PAINT, 150)
    return {"background": large, "layers": [layer], "composite": None}
