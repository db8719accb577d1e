"""What an adapter says about its publisher's files.

An adapter is a module of `stages/data/adapters` that has the dataset's name and a function

    photos(files: Files) -> Photos        # Files: stages/data/files.py

which reads names, lists and protocols, but no images. It raises an UnmaskError if the files are not in the publisher's
layout at all; a single photo that cannot be used is a `Reject`.
"""

import functools
import inspect
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ParamSpec, TypedDict, get_args

import numpy as np
from numpy.typing import DTypeLike, NDArray

from stages.core.errors import UnmaskError
from stages.core.tables import SEXES, SPLITS
from stages.data.shapes import Shape, Size
from stages.faces.landmarks import Points

Color = tuple[int, int, int]  # red, green, blue
Arguments = ParamSpec("Arguments")


class AdapterError(UnmaskError):
    """An adapter asks its reader for what that does not know; `clean` says which adapter it is."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A value that lies on the disk until it is wanted: in a file of pickles, from a byte on."""

    file: str
    offset: int

    def read(self) -> Any:
        """Return the value."""
        with open(self.file, "rb") as file:  # noqa: PTH123 -- there may be millions, and a Path takes 400 bytes
            file.seek(self.offset)
            return pickle.load(file)  # noqa: S301 -- this stage wrote it


@dataclass(frozen=True, slots=True)  # there may be millions
class Photo:
    """A photo of one person, and what its publisher says of it; None where that is nothing."""

    file: str  # its name among the dataset's files
    identity: str  # of the person, unique in the dataset
    name: str  # of the photo, unique for the person; the face_id is <dataset>/<identity>/<name>
    sex: str | None = None  # female or male
    split: str | None = None  # train, val or test
    wears_mask: bool | None = None  # a real one
    landmarks: Points | Kept | None = None  # float32 (68, 2), pixels; `clean` keeps them on the disk
    face_type: str | None = None  # Face_Mask_Generator's
    # Class id and name of each part's label map, in the order in which they are painted over each other.
    label_files: tuple[tuple[int, str], ...] = ()
    label_index: tuple[int, ...] | tuple[Color, ...] | None = (
        None  # what means the class in them; None: all but background
    )
    shapes: tuple[tuple[int, Shape], ...] = ()  # class id of each; painted over these
    # Left, top, right and bottom edge of a face among others: the row shows what lies around it, with the margin that
    # `stages.data.cropping` has. Edges of pixels lie at whole numbers.
    box: tuple[float, float, float, float] | None = None
    shapes_size: Size | None = None  # of the picture on which shapes and box were drawn; 1 and 1: they are fractions
    labels_upright: bool | None = None  # False: they lie as a photo with an EXIF turn is stored; None: by their size
    empty_is_bare: bool = False  # a label map without a region means that no mask is worn
    classes: tuple[tuple[str, str], ...] = ()  # each label of its publisher, and what it means: mask, bare, other
    ignored: tuple[str, ...] = ()  # what is said of a mask and has no area, such as a line
    embedded: bool = False  # `file` is labelme's JSON, which has the photo in it

    def __post_init__(self) -> None:
        for name, value, allowed in (("split", self.split, SPLITS), ("sex", self.sex, SEXES)):
            if value is not None and value not in allowed:
                raise AdapterError(f"{self.file}: {name} is {value!r}, it must be {', '.join(allowed)} or None")

    @property
    def points(self) -> Points | None:
        """The landmarks themselves."""
        return self.landmarks.read() if isinstance(self.landmarks, Kept) else self.landmarks


@dataclass(frozen=True, slots=True)
class Reject:
    """A file that is not kept: its name, a short reason to count by, and more words."""

    file: str
    reason: str
    detail: str = ""
    face_id: str = ""


Photos = Iterator[Photo | Reject]


class Known(TypedDict, total=False):
    """Fields of `Photo` that an adapter may say of all photos of a dataset, as arguments of a reader."""

    sex: str | None
    split: str | None
    wears_mask: bool | None
    face_type: str | None
    labels_upright: bool | None
    empty_is_bare: bool


def reader(photos: Callable[Arguments, Photos]) -> Callable[Arguments, Photos]:
    """Return a reader of a format that refuses arguments which it does not know, at once and in words.

    It knows those of its signature; `**names: Unpack[Names]` stands for the keys of a `TypedDict`.
    """
    known: list[str] = []
    for one in inspect.signature(photos).parameters.values():
        known += get_args(one.annotation)[0].__annotations__ if one.kind is one.VAR_KEYWORD else [one.name]
    name = photos.__module__.rpartition(".")[2]

    @functools.wraps(photos)
    def checked(*args: Arguments.args, **given: Arguments.kwargs) -> Photos:
        if wrong := [argument for argument in given if argument not in known]:
            others = f"it knows {', '.join(known[1:])}" if known[1:] else "it takes none"
            raise AdapterError(f"{name}.photos knows no argument {wrong[0]!r}; {others}")
        return photos(*args, **given)

    return checked


def finite(values: Any, *shape: int, dtype: DTypeLike = np.float64) -> NDArray[np.floating] | None:
    """Return what a publisher's file gives for numbers as an array; None if it is anything but finite numbers.

    Args:
        values: anything, such as lists of numbers from a JSON.
        shape: that the array must have; -1 stands for any length.
        dtype: of the array.
    """
    try:
        with np.errstate(over="ignore"):  # too large for the type is infinite
            found = np.array(values, dtype)
    except (TypeError, ValueError, OverflowError):
        return None
    fits = len(shape) == found.ndim and all(want in {-1, has} for want, has in zip(shape, found.shape, strict=True))
    return found if fits and np.isfinite(found).all() else None
