"""What a file is by its first bytes, whatever its name says; and the suffixes by which photos are looked for."""

import re

# Of what `reading` reads.
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".bmp", ".pbm", ".pgm", ".ppm", ".pnm"}
    | {".tif", ".tiff", ".gif", ".heic", ".heif", ".hif", ".avif"}
)
HEAD = 256  # bytes that tell
PHOTOS = {
    "JPEG": rb"\xff\xd8\xff",
    "PNG": rb"\x89PNG\r\n\x1a\n",
    "GIF": rb"GIF8[79]a",
    "WebP": rb"RIFF.{4}WEBP",
    "BMP": rb"BM.{4}\0{4}",
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "PPM": rb"P[1-6]\s+(\d|#)",
    "JPEG 2000": rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51",
    "JPEG XL": rb"\xff\x0a|\0\0\0\x0cJXL ",
    "a camera's raw photo": rb"FUJIFILMCCD|.{4}ftypcrx|IIU\0|IIRO",
    "a Photoshop file": rb"8BPS",
}
OTHERS = {
    "a video": rb".{4}ftyp|\x1aE\xdf\xa3|RIFF.{4}AVI ",
    "PDF": rb"%PDF",
    "a ZIP archive": rb"PK\x03\x04",
    "a 7z archive": rb"7z\xbc\xaf",
    "a RAR archive": rb"Rar!",
}
# Brands of files in ISO's base format, of which the first box may name several.
BRANDS = {
    "AVIF": {b"avif", b"avis"},
    "HEIC": {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"},
}
ARE_PHOTOS = {*PHOTOS, *BRANDS}
_KINDS = [(kind, re.compile(mark, re.DOTALL)) for kind, mark in (PHOTOS | OTHERS).items()]


def kind(head: bytes) -> str | None:
    """Return what a file is that begins with these bytes, in words; None if they do not tell.

    Of TIFF's many kin, such as most cameras' raw photos, it says TIFF.
    """
    if head[4:8] == b"ftyp":
        boxed = {head[start : start + 4] for start in (8, *range(16, min(int.from_bytes(head[:4]), HEAD), 4))}
        if found := next((name for name, brands in BRANDS.items() if boxed & brands), None):
            return found
    return next((name for name, mark in _KINDS if mark.match(head)), None)


def is_text(head: bytes) -> bool:
    """Tell whether a file that begins with these bytes is text, in whatever encoding, as far as bytes tell."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    return re.search(rb"[\0-\x08\x0e-\x1a\x1c-\x1f]", head) is None
