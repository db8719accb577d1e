"""Pascal VOC's XML, as LabelImg, CVAT, Roboflow and Kaggle's Face Mask Detection have it: a box for each face.

The XML lies beside its photo, or in annotations/ beside images/ (JPEGImages/ and Annotations/ count, too); `train` and
`val` above or below these, or ImageSets/Main/train.txt, are the publisher's split.
"""

import re
from pathlib import PurePosixPath
from typing import Unpack
from xml.etree.ElementTree import Element

from defusedxml import ElementTree

from stages.core.errors import UnmaskError
from stages.data.files import Files
from stages.data.formats import classes, labeled_faces, layout
from stages.data.formats.labeled_faces import Face, Labeled
from stages.data.photo import Photos, Reject, finite, reader
from stages.photos.reading import UnreadableImageError

EDGES = ("xmin", "ymin", "xmax", "ymax")
SIDES = ("width", "height")
DECLARED = re.compile(rb"""^\s*<\?xml[^>]*\bencoding\s*=\s*["']([\w.-]+)["']""")


@reader
def photos(files: Files, *, labels_upright: bool | None = None, **names: Unpack[classes.Names]) -> Photos:
    """Yield each labeled face, cropped out of its photo (see `stages.data.cropping`); each counts as another person.

    Args:
        files: of the dataset.
        labels_upright: whether the boxes of photos with an EXIF turn are those of the upright photo, where the sizes in
            the XML don't tell.
        names: what a `name` means that `classes` does not know, see `classes.Names`.

    Raises:
        UnmaskError: there is no XML, or nobody says what a `name` means.
    """
    listed = [PurePosixPath(name) for name in files.names() if name.lower().endswith(".xml")]
    if not listed:
        raise UnmaskError("no Pascal VOC XML found: expected images/<photo>.jpg and annotations/<photo>.xml")
    paths, used = files.images(), set()
    labeled = []
    for pair in layout.pairs(paths, listed):
        if isinstance(pair, Reject):
            yield pair
            continue
        photo, source = pair
        used.add(source)
        try:
            root = _root(files, source.as_posix())
            named = PurePosixPath((root.findtext("filename") or "").strip().replace("\\", "/"))
            if named.stem != photo.stem and files.named(named.name):
                raise UnmaskError(f"{source} says that it is of {named.name}, which is another photo")
            labeled.append(_labeled(photo, source.as_posix(), root))
        except UnmaskError as error:
            yield Reject(photo.as_posix(), "bad_xml", str(error))
    for source in listed:
        if source not in used:
            yield Reject(source.as_posix(), "file_missing", "no photo of this name goes with it, or several do")
    splits = layout.listed_splits(files)
    yield from labeled_faces.faces(labeled, "pascal_voc", splits, labels_upright=labels_upright, **names)


def _root(files: Files, source: str) -> Element:
    try:
        # No annotation needs a document type, in which entities stand that swell or read other files.
        root = ElementTree.fromstring(_text(files, source), forbid_dtd=True)
    except (ElementTree.ParseError, ValueError) as error:
        raise UnmaskError(f"{source} is no whole XML: {error}") from None
    if root.tag != "annotation":
        raise UnmaskError(f"{source} is no Pascal VOC XML: <{root.tag}> stands where <annotation> should")
    return root


def _text(files: Files, source: str) -> str:
    """Return a file's text in the encoding that its first line names, where it is in that; else as any text file's."""
    try:
        data = files.read(source)
        if declared := DECLARED.match(data):
            return data.decode(declared[1].decode("ascii"))
    except (UnreadableImageError, LookupError, UnicodeError):
        pass
    return files.text(source)


def _labeled(photo: PurePosixPath, source: str, root: Element) -> Labeled:
    sides = finite([root.findtext(f"size/{side}") for side in SIDES], 2)
    size = None if sides is None or sides.min() < 1 else (round(sides[0]), round(sides[1]))
    found = []
    for number, entry in enumerate(root.findall("object"), 1):
        edges = finite([entry.findtext(f"bndbox/{edge}") for edge in EDGES], 4)
        box = None
        if edges is not None and (edges[:2] < edges[2:]).all():
            # VOC counts pixels from 1, and the last ones belong to the box: a box of the whole photo is 1, 1, width,
            # height (M. Everingham and J. Winn, VOC2012 Development Kit, 2012).
            left, top, right, bottom = edges.tolist()
            box = (left - 1, top - 1, right, bottom)
        found.append(Face((entry.findtext("name") or "").strip(), f"object {number}", box))
    return Labeled(photo, source, size, tuple(found))
