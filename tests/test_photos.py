"""Photos from outside: every format and depth that people bring is read right, or refused in words."""

import io
import struct
import sys
import time
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

import numpy as np
import pillow_heif
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps, features

from stages.core import images, tables
from stages.core.images import Pixels
from stages.core.results import Results
from stages.data import clean
from stages.photos import folders, reading
from stages.photos.folders import Outcome
from stages.photos.reading import UnreadableImageError, open_photo
from stages.tools.portrait import files
from tests.conftest import drawn_face

pillow_heif.register_heif_opener()  # so that the tests can write it
RGB = Image.fromarray(drawn_face(1, 64)[0])
GRAY = np.asarray(RGB.convert("L"))
CORNER = RGB.getpixel((0, 0))
ORIENTATION = 0x0112  # EXIF's tag
STEPS = np.arange(256, dtype=np.uint8).reshape(8, 32)  # every value of 8 bits


def encoded(photo: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    photo.save(buffer, kind, **options)
    return buffer.getvalue()


def png(samples: np.ndarray, **chunks: bytes) -> bytes:
    """Return a PNG of samples uint8 or uint16 (H, W, 1 to 4), with more chunks before its pixels."""
    kind, depth = {1: 0, 2: 4, 3: 2, 4: 6}[samples.shape[2]], 8 * samples.itemsize
    rows = b"".join(b"\0" + row.astype(samples.dtype.newbyteorder(">")).tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], depth, kind, 0, 0, 0)
    named = {"IHDR": header, **chunks, "IDAT": zlib.compress(rows), "IEND": b""}
    written = b"\x89PNG\r\n\x1a\n"
    for name, data in named.items():
        body = name.encode() + data
        written += struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))
    return written


KINDS = {"u": 1, "i": 2, "f": 3}  # of TIFF's SampleFormat
Tags = Mapping[int, tuple[str, tuple[Any, ...]]]  # struct's letter, and values


def tiff(*pages: np.ndarray, order: str = "<", tags: Tags = MappingProxyType({}), later: Tags | None = None) -> bytes:
    """Return a plain TIFF of pages (H, W) or (H, W, 3 or 4), with tags of one's own, other ones for `later` pages."""
    types = {"H": 3, "I": 4, "f": 11}
    written = (b"II*\0" if order == "<" else b"MM\0*") + bytes(4)
    link = 4
    for page in pages:
        samples = page if page.ndim == 3 else page[..., None]
        height, width, channels = samples.shape
        start = len(written)
        written += samples.astype(samples.dtype.newbyteorder(order)).tobytes()
        fields = {
            256: ("I", (width,)),
            257: ("I", (height,)),
            258: ("H", (8 * samples.itemsize,) * channels),
            259: ("H", (1,)),
            262: ("H", (1 if channels == 1 else 2,)),
            273: ("I", (start,)),
            277: ("H", (channels,)),
            278: ("I", (height,)),
            279: ("I", (samples.nbytes,)),
            339: ("H", (KINDS[samples.dtype.kind],) * channels),
            **(tags if later is None or link == 4 else later),
        }
        values = {}
        for tag, (letter, value) in fields.items():
            packed = struct.pack(f"{order}{len(value)}{letter}", *value)
            if len(packed) > 4:
                written, packed = written + packed, struct.pack(f"{order}I", len(written))
            values[tag] = packed.ljust(4, b"\0")
        written = written[:link] + struct.pack(f"{order}I", len(written)) + written[link + 4 :]
        written += struct.pack(f"{order}H", len(fields))
        for tag in sorted(fields):
            letter, value = fields[tag]
            written += struct.pack(f"{order}HHI", tag, types[letter], len(value)) + values[tag]
        link = len(written)
        written += bytes(4)
    return written


def read(data: bytes) -> Pixels:
    return open_photo(data, 10**6)[0]


def reason(data: bytes) -> str:
    with pytest.raises(UnreadableImageError) as refused:
        read(data)
    return refused.value.reason


@pytest.fixture
def no_heif(monkeypatch: pytest.MonkeyPatch):
    """The extra is not installed."""
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    reading._heif_is_read.cache_clear()
    yield
    reading._heif_is_read.cache_clear()


# ---------------------------------------------------------------- formats


EVERY_KIND = {
    "png": (encoded(RGB, "PNG"), True),
    "jpeg": (encoded(RGB, "JPEG", quality=100), True),
    "garbage": (encoded(RGB, "JPEG", quality=100) + b"a camera's own notes" * 99, True),
    "gray_png": (encoded(RGB.convert("L"), "PNG"), True),
    "gray_jpeg": (encoded(RGB.convert("L"), "JPEG", quality=100), True),
    "webp": (encoded(RGB, "WEBP", lossless=True), False),
    "avif": (encoded(RGB, "AVIF", quality=100), False),
    "heic": (encoded(RGB, "HEIF", quality=100), False),
    "gray_heic": (encoded(RGB.convert("L"), "HEIF", quality=100), False),
    "cmyk": (encoded(RGB.convert("CMYK"), "JPEG", quality=100), False),
    "mpo": (encoded(RGB, "MPO", quality=100, save_all=True, append_images=[Image.new("RGB", (64, 64))]), False),
    "cmyk_tiff": (encoded(RGB.convert("CMYK"), "TIFF"), False),
    "rgba": (encoded(RGB.convert("RGBA"), "PNG"), False),
    "palette": (encoded(RGB.convert("P", palette=Image.Palette.ADAPTIVE), "PNG"), False),
    "gif": (encoded(RGB.convert("P", palette=Image.Palette.ADAPTIVE), "GIF"), False),
    "pgm": (encoded(RGB.convert("L"), "PPM"), False),
    "bmp": (encoded(RGB, "BMP"), False),
    "tiff": (encoded(RGB, "TIFF"), False),
    "lzw": (encoded(RGB, "TIFF", compression="tiff_lzw"), False),
    "jpeg_tiff": (encoded(RGB, "TIFF", compression="jpeg", quality=100), False),
    "gray16": (encoded(Image.fromarray(GRAY.astype(np.uint16) * 257), "PNG"), False),
    "rgb16": (png(np.asarray(RGB).astype(np.uint16) * 257), False),
}


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_photos_of_every_kind_look_the_same(kind: str):
    data, as_it_is = EVERY_KIND[kind]
    photo, kept = open_photo(data, 10**6)
    assert kept == as_it_is
    assert photo.shape == (64, 64, 3)
    assert photo.dtype == np.uint8
    assert np.abs(np.asarray(Image.fromarray(photo).convert("L"), float) - GRAY).mean() < 4
    if kept:
        assert np.abs(images.decode(data).astype(int) - photo).max() <= 2  # what stages read is what was looked at


@pytest.mark.parametrize("orientation", [3, 5, 6, 8])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_a_sideways_photo_is_turned_upright_once(kind: str, orientation: int):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    wide = RGB.resize((64, 32))
    data = encoded(wide, kind, exif=exif.tobytes(), quality=100)
    photo, as_it_is = open_photo(data, 10**6)
    turned = {3: np.rot90(wide, 2), 5: np.swapaxes(wide, 0, 1), 6: np.rot90(wide, -1), 8: np.rot90(wide)}[orientation]
    assert photo.shape == turned.shape
    assert np.abs(photo.astype(int) - turned).mean() < 4
    assert not as_it_is
    assert reading.orientation(data) == (1 if kind == "HEIF" else orientation)


def test_heic_is_turned_as_its_standard_says():
    """By its own property, which cameras write; EXIF's tag is for information only, and may stand alone."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    wide = RGB.resize((64, 32))
    alone = encoded(wide, "HEIF", exif=exif)
    assert b"irot" not in alone
    assert read(alone).shape == (32, 64, 3)


@pytest.mark.parametrize(
    "samples", [np.uint8(STEPS), np.uint16(STEPS) * 257, np.float64(STEPS) / 255], ids=["8", "16", "float"]
)
def test_a_sideways_tiff_is_turned_at_every_depth(samples: np.ndarray):
    data = tiff(samples, tags={274: ("H", (6,))})
    photo = read(data)
    assert reading.orientation(data) == 6
    assert np.array_equal(photo[..., 0], np.rot90(STEPS, -1))


def test_deep_png_is_turned_too():
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    photo = read(encoded(Image.fromarray(STEPS.astype(np.uint16) * 257), "PNG", exif=exif))
    assert np.array_equal(photo[..., 0], np.rot90(STEPS, -1))


@pytest.mark.parametrize(
    ("kind", "options"),
    [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("AVIF", {"quality": 100}), ("MPO", {"quality": 100})],
)
def test_of_several_frames_the_first_is_read(kind: str, options: dict[str, Any]):
    other = Image.new("RGB", RGB.size, "blue")
    photo, as_it_is = open_photo(encoded(RGB, kind, save_all=True, append_images=[other], **options), 10**6)
    assert np.abs(photo.astype(int) - np.asarray(RGB)).mean() < 6  # a GIF has few colors
    assert not as_it_is


def test_a_tiff_of_several_photos_is_refused_and_one_with_a_thumbnail_read():
    assert reason(tiff(STEPS, STEPS)) == "several_pages"
    assert reason(encoded(RGB, "TIFF", save_all=True, append_images=[RGB])) == "several_pages"
    small = {254: ("I", (1,))}
    assert np.array_equal(read(tiff(STEPS, STEPS[:4, :4], later=small))[..., 0], STEPS)
    assert reason(tiff(STEPS, tags=small)) == "unreadable"  # as a raw photo has it, whose samples stand elsewhere


def test_what_is_transparent_is_white():
    half = np.full((4, 4, 4), (255, 0, 0, 255), np.uint8)
    half[:2, :, 3] = 0
    half[2, :, 3] = 51  # a fifth
    want = [255, 255, 255], [255, 204, 204], [255, 0, 0]
    for data in (
        encoded(Image.fromarray(half), "PNG"),
        encoded(Image.fromarray(half), "WEBP", lossless=True),
        encoded(Image.fromarray(half), "TIFF"),
        png(half.astype(np.uint16) * 257),
        tiff(half.astype(np.uint16) * 257, tags={338: ("H", (2,))}),
        tiff((half * (half[..., 3:] / 255) ** ([1, 1, 1, 0])).astype(np.uint16) * 257, tags={338: ("H", (1,))}),
    ):
        photo, as_it_is = open_photo(data, 100)
        assert np.abs(photo[[0, 2, 3], 0].astype(int) - want).max() <= 1
        assert not as_it_is


PALETTE = RGB.convert("P", palette=Image.Palette.ADAPTIVE)
ONE_COLOR_TRANSPARENT = {
    "palette": encoded(PALETTE, "PNG", transparency=PALETTE.getpixel((0, 0))),
    "gray": encoded(RGB.convert("L"), "PNG", transparency=int(GRAY[0, 0])),
    "rgb": encoded(RGB, "PNG", transparency=CORNER),
    "gray16": png(GRAY[..., None].astype(np.uint16) * 257, tRNS=struct.pack(">H", 257 * int(GRAY[0, 0]))),
    "rgb16": png(np.asarray(RGB).astype(np.uint16) * 257, tRNS=struct.pack(">HHH", *(257 * value for value in CORNER))),
}


@pytest.mark.parametrize("kind", ONE_COLOR_TRANSPARENT)
def test_a_transparent_color_is_white_in_the_table_too(kind: str):
    photo, as_it_is = open_photo(ONE_COLOR_TRANSPARENT[kind], 10**6)
    of_mode = PALETTE if kind == "palette" else RGB.convert("L") if "gray" in kind else RGB
    shown = np.asarray(of_mode.convert("RGB"))
    transparent = (shown == shown[0, 0]).all(-1)
    assert (photo[transparent] == 255).all()
    assert np.array_equal(photo[~transparent], shown[~transparent])
    assert not as_it_is  # OpenCV, which reads the table, would show what is behind


def test_print_colors():
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 51))  # red, a fifth darker
    inverted = encoded(cmyk, "JPEG", quality=100)  # as Adobe's programs and Pillow write it
    assert np.abs(read(inverted)[8, 8].astype(int) - (204, 0, 0)).max() <= 2
    # YCCK: the marker says that the first three, (0, 255, 255) here, are stored as YCbCr.
    adobe = inverted.index(b"Adobe")
    assert inverted[adobe + 11] == 0
    bands = Image.new("RGB", (16, 16), (0, 255, 255)).convert("YCbCr").split()
    first = Image.merge("CMYK", [*(ImageOps.invert(band) for band in bands), Image.new("L", (16, 16), 51)])
    ycck = bytearray(encoded(first, "JPEG", quality=100))
    ycck[adobe + 11] = 2
    assert np.abs(read(bytes(ycck))[8, 8].astype(int) - (204, 0, 0)).max() <= 2


def test_lab_is_read_as_colors():
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    lab = ImageCms.profileToProfile(RGB, *profiles, outputMode="LAB")
    assert np.abs(read(encoded(lab, "TIFF")).astype(int) - np.asarray(RGB)).mean() < 2
    white = Image.new("LAB", (4, 4), (255, 128, 128))
    assert (read(encoded(white, "TIFF")) >= 254).all()


def test_a_color_profile_changes_nothing():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encoded(RGB.convert("L"), "PNG", icc_profile=profile)
    assert np.array_equal(open_photo(data, 10**6)[0][..., 0], GRAY)


def test_a_palette_may_be_short():
    indices = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3) % 3, "P")
    indices.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    assert read(encoded(indices, "PNG", bits=8))[0].tolist() == [[10, 20, 30], [40, 50, 60], [70, 80, 90]]


# ---------------------------------------------------------------- depth

FULL = STEPS.astype(np.uint16) * 257  # to 65535
TWELVE = np.round(STEPS / 255 * 4095).astype(np.uint16)
COLORS = np.stack([TWELVE, TWELVE[:, ::-1], TWELVE[::-1]], 2)


DEEP_GRAYS = {
    "png": png(FULL[..., None]),
    "png12": png(TWELVE[..., None]),
    "tiff": tiff(FULL),
    "tiff_be": tiff(FULL, order=">"),
    "tiff12": tiff(TWELVE),
    "tiff12_be": tiff(TWELVE, order=">"),
    "tag": tiff(np.round(STEPS / 255 * 1000).astype(np.uint16), tags={281: ("H", (1000,))}),
    "8in16": tiff(STEPS.astype(np.uint16)),
    "int16": tiff(STEPS.astype(np.int16)),
    "uint32_16": tiff(FULL.astype(np.uint32)),
    "uint32": tiff(FULL.astype(np.uint32) * 65537),
    "int32_12": tiff(TWELVE.astype(np.int32)),
    "white_is_zero": tiff((65535 - FULL), tags={262: ("H", (0,))}),
    "pgm": b"P5 32 8 65535\n" + FULL.astype(">u2").tobytes(),
    "pgm12": b"P5 32 8 65535\n" + TWELVE.astype(">u2").tobytes(),
    "pgm_maxval": b"P5\n# a comment\n32 8\n4095\n" + TWELVE.astype(">u2").tobytes(),
    "float": tiff(STEPS.astype(np.float32) / 255),
    "float64": tiff(STEPS.astype(np.float64) / 255),
    "float_be": tiff(STEPS.astype(">f4") / np.float32(255), order=">"),
    "float255": tiff(STEPS.astype(np.float32)),
    "float_tag": tiff(STEPS.astype(np.float32) / 102, tags={341: ("f", (2.5,))}),
}


@pytest.mark.parametrize("kind", DEEP_GRAYS)
def test_deep_grays_are_scaled_by_what_they_hold(kind: str):
    data = DEEP_GRAYS[kind]
    photo, as_it_is = open_photo(data, 10**6)
    assert np.abs(photo[..., 0].astype(int) - STEPS).max() <= (1 if b"4095" in data else 0)
    assert images.is_gray(photo)
    assert not as_it_is


def test_packed_samples_of_12_bits():
    pairs = TWELVE.reshape(-1, 2).astype(np.uint32)
    packed = np.stack([pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255], 1)
    dark = tiff(packed.astype(np.uint8).reshape(8, 48), tags={256: ("I", (32,)), 258: ("H", (12,))})
    assert np.array_equal(read(dark)[..., 0], STEPS)


DEEP_COLORS = {
    "png12": png(COLORS),
    "png16": png(COLORS * np.uint16(16) + (COLORS >> 8)),
    "rgba12": png(np.dstack([COLORS, np.full_like(TWELVE, 4095)])),
    "tiff12": tiff(COLORS),
    "tiff12_be": tiff(COLORS, order=">"),
    "rgbx": tiff(np.dstack([COLORS, TWELVE]), tags={338: ("H", (0,))}),
    "float": tiff(COLORS.astype(np.float32) / 4095),
    "ppm12": b"P6 32 8 65535\n" + COLORS.astype(">u2").tobytes(),
    "ppm_maxval": b"P6 32 8 4095\n" + COLORS.astype(">u2").tobytes(),
}


@pytest.mark.parametrize("kind", DEEP_COLORS)
def test_deep_colors_are_scaled_by_what_they_hold(kind: str):
    data = DEEP_COLORS[kind]
    assert np.array_equal(read(data), np.stack([STEPS, STEPS[:, ::-1], STEPS[::-1]], 2))


UNKNOWN_RANGES = {
    "nan": (tiff(np.where(STEPS == 9, np.nan, STEPS / 255).astype(np.float32)), "no finite numbers"),
    "inf": (tiff(np.where(STEPS == 9, np.inf, STEPS / 255).astype(np.float32)), "no finite numbers"),
    "negative": (tiff((STEPS / 255 - 0.2).astype(np.float32)), "from -0.2 to 0.8, neither in 0 to 1 nor in 0 to 255"),
    "hdr": (tiff((STEPS / 20).astype(np.float32)), "from 0 to 12.75"),
    "overshoot": (tiff((STEPS / 250).astype(np.float32)), "from 0 to 1.02"),
    "lamp": (tiff(np.where(STEPS > 250, 240, STEPS / 300).astype(np.float32)), "from 0 to 240"),
    "beyond": (tiff(STEPS.astype(np.float32) * 4), "from 0 to 1020"),
    "int16": (tiff(STEPS.astype(np.int16) - 30), "from -30 to 225, not in 0 to 4294967295"),
}


@pytest.mark.parametrize("kind", UNKNOWN_RANGES)
def test_deep_samples_whose_range_is_unknown_are_refused(kind: str):
    data, says = UNKNOWN_RANGES[kind]
    with pytest.raises(UnreadableImageError, match=says) as refused:
        read(data)
    assert refused.value.reason == "unknown_range"


def test_deep_heic_and_its_opacity():
    levels = np.linspace(0, 65535, 64).astype(np.uint16) + np.zeros((64, 1), np.uint16)
    buffer = io.BytesIO()
    pillow_heif.encode("RGB;16", (64, 64), np.stack([levels] * 3, 2).tobytes(), buffer, quality=-1, chroma=444)
    assert np.abs(read(buffer.getvalue())[..., 0].astype(int) - levels / 257).max() <= 2
    half = np.full((64, 64, 4), (255, 0, 0, 255), np.uint8)
    half[:32, :, 3] = 0
    photo = read(encoded(Image.fromarray(half), "HEIF", quality=-1, chroma=444))
    assert np.abs(photo[[10, 50], 10].astype(int) - [(255, 255, 255), (255, 0, 0)]).max() <= 2


def test_deep_tiffs_of_a_kind_that_is_not_read_are_refused():
    assert reason(tiff(STEPS.astype(np.float16))) == "unreadable"
    assert reason(tiff(np.dstack([COLORS, TWELVE]), tags={262: ("H", (5,))})) == "unreadable"
    assert reason(tiff(FULL)[:300]) == "unreadable"
    cut = tiff(COLORS)
    assert reason(cut[:100] + cut[400:]) == "unreadable"


def test_a_huge_deep_tiff_is_refused_before_it_is_decoded():
    assert reason(tiff(FULL, tags={256: ("I", (2**20,)), 257: ("I", (2**20,))})) == "too_large"


MODES = ["1", "L", "P", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I;16B", "I", "F", "LAB", "PA", "HSV", "RGBX"]
WRITTEN: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 100, "subsampling": 0},
    "PNG": {},
    "WEBP": {"lossless": True, "exact": True},
    "BMP": {},
    "PPM": {},
    "TIFF": {},
    "GIF": {},
    "AVIF": {"quality": 100, "subsampling": "4:4:4"},
    "HEIF": {"quality": -1, "chroma": 444},
    "MPO": {"quality": 100, "subsampling": 0},
}


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_what_pillow_writes_is_read_as_it_was_or_refused(data: st.DataObject):
    mode, kind = data.draw(st.sampled_from(MODES)), data.draw(st.sampled_from(list(WRITTEN)))
    colors = data.draw(st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=16, max_size=16))
    blocks = np.array([*colors[:14], (0, 0, 0), (255, 255, 255)], np.uint8).reshape(4, 4, 3)
    rgb = Image.fromarray(blocks.repeat(8, 0).repeat(8, 1))
    gray = np.asarray(rgb.convert("L"))
    if mode == "LAB":
        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        image = ImageCms.profileToProfile(rgb, *profiles, outputMode="LAB")
        want = np.asarray(ImageCms.profileToProfile(image, *profiles[::-1], outputMode="RGB"))
    elif mode in {"I;16", "I;16B", "I", "F"}:
        assume(kind in {"PNG", "TIFF", "PPM"})  # others, and Pillow before them, cut off what is above 255
        assume((mode, kind) not in {("F", "PNG"), ("I", "PNG")})
        deep = {"F": gray / np.float32(255), "I": gray.astype(np.int32) * 257}.get(mode, gray.astype(np.uint16) * 257)
        image = Image.fromarray(deep)
        if mode == "I;16B":
            image = Image.frombytes(mode, rgb.size, deep.astype(">u2").tobytes())
        want = gray[..., None].repeat(3, 2)
    else:
        image = rgb.convert(mode)
        want = np.asarray(image.convert("RGB"))
    try:
        written = encoded(image, kind, **WRITTEN[kind])
    except (OSError, ValueError, KeyError):
        assume(False)
    if (mode, kind) == ("YCbCr", "TIFF"):  # Pillow does not read what it wrote
        assert reason(written) == "unreadable"
        return
    photo, as_it_is = open_photo(written, 10**6)
    near = 4 if kind in {"JPEG", "MPO", "AVIF", "HEIF"} else 24 if kind == "GIF" else 1
    assert np.abs(photo.astype(int) - want).mean() <= near, (mode, kind)
    if as_it_is:
        assert np.abs(images.decode(written).astype(int) - photo).max() <= 2


# ---------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("data", "want", "says"),
    [
        (b"", "empty", "zero bytes"),
        (b"<html>quota exceeded</html>", "unreadable", "a text and no photo"),
        (encoded(RGB, "JPEG")[:700], "unreadable", "truncated"),
        (encoded(RGB, "PNG")[:700], "unreadable", ""),
        (encoded(RGB, "WEBP")[:300], "unreadable", ""),
        (encoded(RGB, "AVIF")[:400], "unreadable", ""),
        (encoded(RGB, "HEIF")[:400], "unreadable", ""),
        (b"\0\0\0\x24ftypheic\0\0\0\0mif1heic" + bytes(2000), "unreadable", "damaged"),
        (b"\0\0\0\x20ftypisom\0\0", "other_format", "a video"),
        (b"%PDF-1.7", "other_format", "PDF"),
    ],
)
def test_photos_that_cannot_be_used(data: bytes, want: str, says: str):
    with pytest.raises(UnreadableImageError, match=says) as error:
        read(data)
    assert error.value.reason == want


def test_a_huge_photo_is_refused_before_it_is_decoded():
    data = encoded(Image.new("L", (12000, 12000)), "PNG")
    start = time.perf_counter()
    with pytest.raises(UnreadableImageError, match="12000x12000"):
        open_photo(data, 50_000_000)
    assert time.perf_counter() - start < 0.5  # decoding takes several times that


@pytest.mark.usefixtures("no_heif")
def test_without_the_extra_heic_is_named_with_what_to_install(tmp_path: Path):
    data = encoded(RGB, "HEIF")
    with pytest.raises(
        UnreadableImageError, match=r"HEIC, which needs pillow-heif: pip install '\.\[heif\]'"
    ) as refused:
        read(data)
    assert refused.value.reason == "other_format"
    (tmp_path / "IMG 1.HEIC").write_bytes(data)
    one = files.read(tmp_path / "IMG 1.HEIC")
    assert isinstance(one, files.Refused)
    assert one.why == f"{tmp_path / 'IMG 1.HEIC'} is HEIC, which needs pillow-heif: pip install '.[heif]'"


def test_a_pillow_without_avif_is_named(monkeypatch: pytest.MonkeyPatch):
    data = encoded(RGB, "AVIF")
    monkeypatch.setattr(features, "check", lambda _: False)
    with pytest.raises(UnreadableImageError, match="AVIF, which needs a newer Pillow"):
        read(data)


# ---------------------------------------------------------------- one function for all

ALIKE = {
    "p0/p0_0000.heic": encoded(RGB, "HEIF", quality=100),
    "p0/p0_0001.AVIF": encoded(RGB.transpose(Image.Transpose.ROTATE_90), "AVIF", quality=100),
    "p1/p1_0000.tif": tiff(np.asarray(RGB.rotate(40)).astype(np.float32) / 255),
    "p1/p1_0001.png": png((np.asarray(RGB.rotate(130)) * 16.0).astype(np.uint16)),
    "p2/p2_0000.jpg": encoded(RGB.rotate(70), "JPEG"),
}
PARAMS: dict[str, Any] = {
    "min_side": 32,
    "max_pixels": 10**6,
    "near_duplicates": None,
    "require_face": False,
    "split": {"train": 0.5, "val": 0.1, "test": 0.4, "salt": 0},
    "limit": {"identities": None, "photos": None},
}


def cleaned(raw: Path) -> dict[str, Any]:
    """Clean a folder of LFW's layout into ./table and ./rejected.csv."""
    for name, data in ALIKE.items():
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        (raw / name).write_bytes(data)
    Path("curation.csv").write_text("face_id,reason\n")
    params = clean.Params.model_validate(PARAMS)
    return clean.clean(raw, Path("curation.csv"), Path("table"), Path("rejected.csv"), Results(Path("sheet")), params)


def stored(name: str, photo: Pixels) -> Outcome:
    return Outcome("stored", pictures={"as_read": images.encode_png(photo)})


def test_tables_folders_and_single_photos_are_read_alike(tmp_path: Path):
    raw = tmp_path / "raw" / "lfw"
    assert cleaned(raw)["faces"] == len(ALIKE)
    folders.map_photos(stored, raw, tmp_path / "out")
    for face in tables.read(Path("table")):
        name = face["face_id"].removeprefix("lfw/")
        (file,) = (file for file in ALIKE if PurePosixPath(file).with_suffix("").as_posix() == name)
        in_folder = images.decode((tmp_path / "out/as_read" / f"{name}.png").read_bytes())
        alone = files.read(raw / file)
        assert isinstance(alone, np.ndarray)
        assert np.array_equal(in_folder, alone)
        tolerance = 2 if file.endswith("jpg") else 0  # kept as it is, and decoded by OpenCV from the table
        assert np.abs(images.decode(face["image"]).astype(int) - alone).max() <= tolerance


@pytest.mark.usefixtures("no_heif")
def test_heic_that_cannot_be_read_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("UNMASK_WORKERS", "1")
    numbers = cleaned(tmp_path / "raw" / "lfw")
    assert (numbers["faces"], numbers["rejected"], numbers["unexplained"]) == (4, {"other_format": 1}, 0)
    assert (
        'p0/p0_0000.heic,lfw/p0/p0_0000,other_format,"HEIC, which needs pillow-heif' in Path("rejected.csv").read_text()
    )
