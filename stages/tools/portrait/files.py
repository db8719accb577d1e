"""A person's photo files: read, or refused with what to do about it."""

from dataclasses import dataclass
from pathlib import Path

from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.photos import folders, reading
from stages.photos.reading import UnreadableImageError

AS_JPEG = "save it as JPEG or PNG"


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
        UnreadableImageError: it is none; the text names the file and says what to do.
    """
    try:
        return reading.open_photo(data, folders.MAX_PIXELS)[0]
    except UnreadableImageError as error:
        raise UnreadableImageError(error.reason, f"{name} {_remedy(error)}") from None


def _remedy(error: UnreadableImageError) -> str:
    if error.reason == "empty":
        return "is empty: copy or download it again"
    if error.reason == "too_large":
        return f"has {error}, more than {folders.MAX_PIXELS // 10**6} million in all: shrink it first"
    if error.reason == "other_format":
        return f"is {error}" if "pip install" in str(error) else f"is {error}: {AS_JPEG}"
    return f"cannot be read as a photo ({' '.join(str(error).split())}): {AS_JPEG}"


def listed(photo_or_folder: Path) -> list[Path]:
    """Return a file, or the files below a folder but for hidden ones, in order.

    Raises:
        UnmaskError: there is no such file or folder, no file in the folder, or two whose names cannot be told apart.
    """
    if photo_or_folder.is_file():
        return [photo_or_folder]
    if not photo_or_folder.is_dir():
        raise UnmaskError(f"{photo_or_folder}: there is no such file or folder; give a photo or a folder of photos")
    found = list(folders.names_below(photo_or_folder)[0].values())
    if not found:
        raise UnmaskError(f"{photo_or_folder} holds no files: put photos into it")
    return found


def read(path: Path) -> Pixels | Refused:
    """Return a file's photo, RGB uint8 (H, W, 3), upright, or why it was refused."""
    try:
        return decoded(path.read_bytes(), path.as_posix())
    except UnreadableImageError as error:
        return Refused(path, error.reason, str(error))
    except PermissionError:
        return Refused(path, "not_allowed", f"{path} may not be read: change its permissions")
