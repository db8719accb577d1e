"""MATLAB files of version 7.3, which are HDF5: each variable counts as a file.

An image in a cell array `<name>` is the PNG `<name>/<NNNNN>.png`, counted from 0; any other array is `<name>.npy`.
MATLAB stores arrays with their axes turned round; here they are as MATLAB shows them.
"""

import functools
import io
from pathlib import Path
from typing import Any

import numpy as np

from stages.core.errors import UnmaskError
from stages.core.images import encode_png
from stages.photos.reading import UnreadableImageError

MAX_BYTES = 2**30  # of a variable, unpacked
SIGNATURE, AT = b"\x89HDF\r\n\x1a\n", (0, 512)  # MATLAB puts a header of its own before it


def is_one(path: Path) -> bool:
    """Tell whether a file is HDF5."""
    with path.open("rb") as file:
        return any(file.seek(place) == place and file.read(len(SIGNATURE)) == SIGNATURE for place in AT)


def names(path: Path) -> list[str]:
    """Return the names of the variables as files; any error of h5py means that the file is damaged.

    Raises:
        UnmaskError: h5py is not installed, or the file is no whole one.
    """
    h5py, file = _open(path)
    found: list[str] = []
    for name, data in file.items():
        if isinstance(data, h5py.Dataset):  # what cells point to is none
            is_cell = h5py.check_ref_dtype(data.dtype) is not None
            found += [f"{name}/{number:05d}.png" for number in range(data.size)] if is_cell else [f"{name}.npy"]
    return found


def read(path: Path, name: str) -> bytes:
    """Return a variable as a file; any error of h5py means that it is damaged.

    Raises:
        UnreadableImageError: `unreadable`: it is too large, or a cell holds no image, uint8 (H, W) or (H, W, 3).
    """
    _, file = _open(path)
    variable, _, cell = name.removesuffix(".npy").removesuffix(".png").partition("/")
    data = file[variable]
    data = file[data[()].ravel()[int(cell)]] if cell else data
    if data.nbytes > MAX_BYTES:
        raise UnreadableImageError("unreadable", f"{name} in {path.name} swells to {data.nbytes:,} bytes")
    array = np.transpose(data[()])
    if not cell:
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        return buffer.getvalue()
    if array.dtype != np.uint8 or array.ndim not in {2, 3} or (array.ndim == 3 and array.shape[2] != 3):
        raise UnreadableImageError("unreadable", f"{name} in {path.name} is {array.dtype} {array.shape}, no image")
    return encode_png(np.ascontiguousarray(array))


@functools.lru_cache(maxsize=4)
def _open(path: Path) -> tuple[Any, Any]:
    try:
        import h5py  # noqa: PLC0415 -- an extra
    except ImportError:
        raise UnmaskError(f"{path.name} is a MATLAB file: pip install '.[matlab]'") from None
    try:
        return h5py, h5py.File(path, "r")
    except (OSError, RuntimeError) as error:
        raise UnmaskError(f"{path.name} is a damaged MATLAB file ({error}): fetch it again") from None
