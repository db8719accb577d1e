"""FaceOcc's test set: COFW_test/img/<name>.* and COFW_test/mask/<name>.png, 255 where the face is visible.

Its occluders (RGBA, the occluder in alpha) are no photos of faces: put them into data/occluders, from where the
extractor's training takes them.

Run on a made-up copy only.
"""

from collections.abc import Iterator
from dataclasses import replace

from stages.data.files import Files
from stages.data.formats import image_label_pairs
from stages.data.photo import Photo, Reject
from stages.faces.parts import CLASSES


def photos(files: Files) -> Iterator[Photo | Reject]:
    """Yield the test photos; what is visible of a face is labeled as skin.

    Raises:
        UnmaskError: there is no such folder.
    """
    for photo in image_label_pairs.photos(files, CLASSES.index("skin"), below="COFW_test"):
        yield photo if isinstance(photo, Reject) else replace(photo, split="test")
