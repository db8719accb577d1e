"""A person's photo files: read, or refused with what to do about it."""

from dataclasses import dataclass
from pathlib import Path

from stages.core import images, photos
from stages.core.errors import UnmaskError
from stages.core.images import Pixels

AS_JPEG = "save it as JPEG or PNG"
# Bytes by which files that are often taken for photos are known, and where these bytes stand.
OTHER_FORMATS = (
    (4, b"ftyphei", "HEIC"),
    (4, b"ftyphev", "HEIC"),
    (4, b"ftypmif1", "HEIC"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftyp", "a video"),
    (0, b"%PDF", "PDF"),
    (0, b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (0, b"PK\x03\x04", "a ZIP archive"),
)


@dataclass(frozen=True)
class Refused:
    """A file that cannot be read: its path, a short reason to count by, and a sentence that says what to do."""

    path: Path
    reason: str
    why: str


def decoded(data: bytes, name: str) -> Pixels:
    """Return a photo of any format that the project reads as RGB uint8 (H, W, 3), upright; of a GIF the first frame.

    Args:
        data: the file's bytes.
        name: of the file, for the message.

    Raises:
        images.UnreadableImageError: it is none; the text names the file and says what to do.
    """
    try:
        return images.open_photo(data, photos.MAX_PIXELS)[0]
    except images.UnreadableImageError as error:
        raise images.UnreadableImageError(error.reason, f"{name} {_remedy(data, error)}") from None


def _remedy(data: bytes, error: images.UnreadableImageError) -> str:
    if error.reason == "empty":
        return "is empty: copy or download it again"
    if error.reason == "too_large":
        return f"has {error}, more than {photos.MAX_PIXELS // 10**6} million in all: shrink it first"
    for offset, mark, kind in OTHER_FORMATS:
        if data[offset : offset + len(mark)] == mark:
            return f"is {kind}, which is not read here: {AS_JPEG}"
    if b"\0" not in data[:1000] and data[:1000].isascii():
        return "is a text and no photo: give a JPEG or PNG"
    return f"cannot be read as a photo ({' '.join(str(error).split())}): {AS_JPEG}"


def listed(photo_or_folder: Path) -> list[Path]:
    """Return a file, or the files below a folder but for hidden ones, in order.

    Raises:
        UnmaskError: there is no such file or folder, or no file in the folder.
    """
    if photo_or_folder.is_file():
        return [photo_or_folder]
    if not photo_or_folder.is_dir():
        raise UnmaskError(f"{photo_or_folder}: there is no such file or folder; give a photo or a folder of photos")
    found = sorted(path for path in photo_or_folder.rglob("*") if path.is_file())
    found = [
        path for path in found if not any(step.startswith(".") for step in path.relative_to(photo_or_folder).parts)
    ]
    if not found:
        raise UnmaskError(f"{photo_or_folder} holds no files: put photos into it")
    return found


def read(path: Path) -> Pixels | Refused:
    """Return a file's photo, RGB uint8 (H, W, 3), upright, or why it was refused."""
    try:
        return decoded(path.read_bytes(), path.as_posix())
    except images.UnreadableImageError as error:
        return Refused(path, error.reason, str(error))
    except PermissionError:
        return Refused(path, "not_allowed", f"{path} may not be read: change its permissions")
