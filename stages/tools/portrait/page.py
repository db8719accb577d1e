"""The app's page, in Gradio. Photos come and pictures go as data URLs within events: no file is written for either."""

import base64
import binascii
import html
import io
from typing import Any

import cv2
import gradio as gr
import numpy as np
from gradio import route_utils
from PIL import Image

from stages.core import images
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.faces.landmarks import face_size
from stages.masks.shapes import POSITIONS
from stages.tools.portrait import sheet, sitting
from stages.tools.portrait.portrait import Portrait, Tools
from stages.tools.portrait.sitting import LOOKS, Sitting
from stages.tools.portrait.uploads import Uploads

EDITED = 448  # pixels of the side at which a region is painted
LARGEST_LAYER = 4_000_000  # pixels
PAINT = (255, 80, 40)
KEPT = 1800  # seconds after which a photo that nobody looks at any more is forgotten
WAITING = 64  # events that may wait for their turn

DROP = """
<label class="drop" tabindex="0"><input type="file" accept="image/*" aria-label="photo">
<b>Drop a photo here</b><span>or click to choose one. It stays in this computer's memory.</span></label>
"""
# Listeners are on the element itself, as what is in it is drawn anew with each value.
TAKE = """
element.addEventListener("change", (event) => {
  const file = event.target.files && event.target.files[0];
  if (!file) return;
  const send = (data) => { trigger("upload", { name: file.name, size: file.size, data }); event.target.value = ""; };
  if (file.size > %d) return send(null);
  const reader = new FileReader();
  reader.onload = () => send(reader.result.slice(reader.result.indexOf(",") + 1));
  reader.onerror = () => send("");
  reader.readAsDataURL(file);
});
"""
# The color's dialog lies over the page: one that moved the button below it would take the next click from it.
CSS = """
#color { overflow: visible !important; }
#color .color-picker { position: absolute; bottom: 48px; z-index: 1000; }
.gradio-container { max-width: 1180px !important; margin: 0 auto; }
.drop { display: flex; flex-direction: column; gap: 4px; align-items: center; justify-content: center; height: 130px;
  border: 2px dashed var(--border-color-primary); border-radius: 10px; position: relative; text-align: center;
  cursor: pointer; padding: 8px; }
.drop:hover, .drop:focus-within { border-color: var(--color-accent); }
.drop input { position: absolute; inset: 0; opacity: 0; cursor: pointer; width: 100%; height: 100%; }
.drop span { color: var(--body-text-color-subdued); font-size: 0.9em; }
.strip { display: flex; flex-wrap: wrap; gap: 10px; }
.strip figure { margin: 0; width: 118px; }
.strip img { width: 118px; height: 118px; border-radius: 6px; display: block; }
.strip figcaption { font-size: 12px; line-height: 1.3; margin-top: 3px; overflow-wrap: anywhere; }
.strip p { width: 100%; margin: 0; font-size: 14px; }
.strip h4 { width: 100%; margin: 4px 0 0; font-size: 14px; }
"""
WORN = {"proper": "properly", "below_nose": "below the nose", "chin": "on the chin"}
COMPARED = {
    "bare": "by the whole face",
    "masked": "by the whole face, mask and all",
    "zeroed": "by the face without the mask",
    "inpainted": "by the face as it was filled in",
    "upper": "by the upper half of the face",
}
AROUND = 1.7  # what is shown to each side of a face's middle, of the face's size
NOTHING = "Drop a photo with a face first"
NONE_YET = "Drop a photo. Of each face you see whether it wears a mask, and what the networks make of it."


def data_url(picture: Pixels) -> str:
    """Return an image, uint8 (H, W), (H, W, 3) RGB or (H, W, 4) RGBA, as the text of a PNG's data URL."""
    if picture.ndim == 3 and picture.shape[2] == 4:
        data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGBA2BGRA))[1].tobytes()
    else:
        data = images.encode_png(picture)
    return "data:image/png;base64," + base64.b64encode(data).decode()


def _pair(_: gr.ImageSlider, value: tuple[Pixels, Pixels] | None) -> Any:
    return None if value is None else [{"url": data_url(picture)} for picture in value]


def _painting(_: gr.ImageEditor, value: dict[str, Any] | None) -> Any:
    if value is None:
        return None
    layers = [{"url": data_url(layer)} for layer in value["layers"]]
    return {"background": {"url": data_url(value["background"])}, "layers": layers, "composite": None, "id": None}


def keep_in_memory(uploads: Uploads) -> None:
    """Keep Gradio from writing files, for this whole program.

    Its slider and editor write what they show to files, to which their scripts get addresses; the scripts are as
    content with data URLs. What the editor's script uploads is asked of `uploads`. What comes in parts otherwise,
    Gradio would read into temporary files.
    """

    def painted(_: gr.ImageEditor, payload: Any) -> list[Pixels]:
        """Return the layers, RGBA uint8 (H, W, 4)."""
        if payload is None:
            return []
        for unused in (payload.background, payload.composite):
            if unused is not None:
                uploads.take(unused.path)
        parts = [uploads.take(layer.path) for layer in payload.layers or () if layer is not None]
        return [_layer(part) for part in parts if part]

    gr.ImageEditor.preprocess = painted  # type: ignore[method-assign]
    gr.ImageSlider.postprocess = _pair  # type: ignore[method-assign]
    gr.ImageEditor.postprocess = _painting  # type: ignore[method-assign]
    route_utils.NamedTemporaryFile = lambda **_: io.BytesIO()  # type: ignore[assignment]


def _layer(data: bytes) -> Pixels:
    with Image.open(io.BytesIO(data), formats=("PNG", "WEBP")) as layer:
        if layer.width * layer.height > LARGEST_LAYER:
            raise gr.Error("a painted layer is too large")
        return np.asarray(layer.convert("RGBA"))


def build(tools: Tools, uploads: Uploads, *, most: int, side: int) -> gr.Blocks:
    """Return the page.

    Args:
        tools: what looks at faces.
        uploads: where the guard keeps what the editor sends.
        most: bytes of a photo's file.
        side: a photo with a longer one is shrunk to it, pixels.
    """
    keep_in_memory(uploads)
    with gr.Blocks(title="Unmask", analytics_enabled=False) as page:
        now = gr.State(None, time_to_live=KEPT)
        gr.Markdown("# Unmask\nFaces behind masks. What is filled in is a guess, and no photo of the person.")
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                drop = gr.HTML(html_template=DROP, js_on_load=TAKE % most, elem_id="drop")
                says = gr.Markdown(NONE_YET, elem_id="says")
                which = gr.Radio([], label="Face", visible=False, elem_id="which")
                with gr.Tab("Put a mask on", elem_id="tab-mask"):
                    style = gr.Radio(list(LOOKS), value="surgical", label="Style", elem_id="style")
                    position = gr.Radio(
                        [(WORN[name], name) for name in POSITIONS], value="proper", label="Worn", elem_id="position"
                    )
                    color = gr.ColorPicker("#9cc5e3", label="Color", elem_id="color")
                    put = gr.Button("Put it on", variant="primary", elem_id="put")
                with gr.Tab("Correct the region", elem_id="tab-region"):
                    gr.Markdown("Red is what is filled in. Paint what is missing, erase what is too much.")
                    editor = gr.ImageEditor(
                        label="Region",
                        type="numpy",
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
                    label="Before | after", buttons=["fullscreen"], interactive=False, max_height=520, elem_id="slider"
                )
                strip = gr.HTML("", elem_id="strip")
        shown = [now, says, which, slider, strip, editor]
        act = _Actions(tools, most, side)
        # Networks are for one at a time: others wait for their turn.
        common: dict[str, Any] = {
            "concurrency_limit": 1,
            "concurrency_id": "networks",
            "api_visibility": "private",
            "show_progress_on": [slider],
        }
        drop.upload(act.open, None, shown, **common)
        which.input(act.choose, [now, which], [slider, strip, editor], **common)
        put.click(act.put, [now, which, style, position, color], shown, **common)
        again.click(act.fill_again, [now, which, editor], [now, slider, strip], **common)
    return page.queue(max_size=WAITING)


class _Actions:
    """What happens on each event; what goes wrong is said on the page, which stays as it is."""

    def __init__(self, tools: Tools, most: int, side: int) -> None:
        self.tools, self.most, self.side = tools, most, side

    def open(self, event: gr.EventData) -> Any:
        """Show a photo that was dropped."""
        name, data = str(event.name), event.data
        size = max(int(event.size), len(data or "") * 3 // 4 - 2)
        if size > self.most:
            return _warn(f"{name} has {size / 10**6:.0f} MB, more than {self.most / 10**6:.0f} MB: shrink it first")
        try:
            found = sitting.opened(base64.b64decode(data or ""), name, self.tools, self.side)
        except images.UnreadableImageError as error:
            return _warn(str(error))
        except (binascii.Error, ValueError):
            return _warn(f"{name} did not come whole: drop it again")
        return self._shown(found, 0)

    def choose(self, now: Sitting | None, which: int | None) -> Any:
        """Show another face."""
        if now is None or not now.faces:
            return _warn(NOTHING)
        return self._shown(now, _index(now, which))[3:]

    def put(self, now: Sitting | None, which: int | None, style: str, position: str, color: str) -> Any:
        """Put a mask on."""
        if now is None or not now.faces:
            return _warn(NOTHING)
        index = _index(now, which)
        try:
            changed = sitting.with_mask(now, index, sitting.look_of(style, position, color), self.tools)
        except UnmaskError as error:
            return _warn(str(error))
        return self._shown(changed, index)

    def fill_again(self, now: Sitting | None, which: int | None, layers: list[Pixels]) -> Any:
        """Fill in what was painted."""
        if now is None or not now.faces:
            return _warn(NOTHING)
        index = _index(now, which)
        region = np.zeros((EDITED, EDITED), np.uint8)
        for layer in layers:
            there = cv2.resize(layer[..., 3], (EDITED, EDITED), interpolation=cv2.INTER_AREA)
            region |= np.where(there >= 32, np.uint8(255), np.uint8(0))
        changed = sitting.corrected(now, index, region, self.tools)
        face = changed.faces[index]
        return changed, _seen_closely(changed.photo, changed.filled(), face), self._strip(face)

    def _shown(self, now: Sitting, index: int) -> Any:
        name = f"**{_plain(now.name)}**"
        if not now.faces:
            nobody = f"{name}: no face found. Is it turned away, or very small?"
            return now, nobody, gr.update(visible=False), (now.photo, now.photo), "", None
        face, n = now.faces[index], len(now.faces)
        masks = sum(bool(one.worn) for one in now.faces)
        if now.masked:
            says = f"{name} before and after the mask. *Correct the region* fills it in again."
        elif n == 1:
            says = f"{name}: one face, {'behind a mask' if masks else 'bare. Put a mask on it!'}"
        else:
            says = f"{name}: {n} faces, {masks or 'none'} behind a mask."
        choices = [(f"{at + 1} ({'mask' if one.worn else 'bare'})", at) for at, one in enumerate(now.faces)]
        before, after = (now.original, now.photo) if now.masked else (now.photo, now.filled())
        return (
            now,
            says,
            gr.update(choices=choices, value=index, visible=n > 1),
            _seen_closely(before, after, face),
            self._strip(face),
            _to_paint(face),
        )

    def _strip(self, face: Portrait) -> str:
        """Return what is said of the face, its pictures, and the people nearest to it, as HTML."""
        known = self.tools.gallery.photos([person.face_id for person in face.nearest])
        tiles, captions = sheet.row(face.crop.image, "", "", face, known, self.tools.n_nearest)
        captions[1] = "the face"
        figures = [
            f'<figure><img src="{data_url(tile)}" alt=""><figcaption>{html.escape(caption)}</figcaption></figure>'
            for tile, caption in zip(tiles, captions, strict=True)
            if caption
        ]
        own = len(figures) - len(face.nearest)
        compared = COMPARED[face.compared]
        worn = face.worn
        says = f"{'Wears a mask' if worn else 'Wears no mask'}: the landmarker gives it a probability of "
        says += f"{worn.probability:.2f}, and the region that was found takes {worn.share:.0%} of the face. "
        says += f"The classifier guesses <b>{face.sex}</b> ({face.certainty:.2f})."
        return (
            f'<div class="strip"><p>{says}</p>{"".join(figures[:own])}'
            f"<h4>Nearest in the gallery, {compared}</h4>{''.join(figures[own:])}</div>"
        )


def _warn(text: str) -> Any:
    """Say what is wrong, and leave the page as it is."""
    gr.Warning(html.escape(text), title="That did not work")
    return gr.skip()


def _index(now: Sitting, which: int | None) -> int:
    return which if isinstance(which, int) and 0 <= which < len(now.faces) else 0


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
    return {"background": large, "layers": [layer]}


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in " .-" else "_" for letter in name)
