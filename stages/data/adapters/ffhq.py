"""Flickr-Faces-HQ: images1024x1024/<NN000>/<NNNNN>.png, or thumbnails128x128, and the JSON with 68 landmarks each.

Nobody says who is on a photo, so each counts as a person of its own. The JSON's landmarks are those of the 1024-pixel
photos. Its `category` is the split: training or validation; the validation photos are taken for testing.

Run on a made-up copy only.
"""

import numpy as np

from stages.core.errors import UnmaskError
from stages.data.files import Files
from stages.data.photo import Photo, Photos, Reject, finite

LIST = "ffhq-dataset-v2.json"
SPLITS = {"training": "train", "validation": "test"}


def photos(files: Files) -> Photos:
    """Yield all photos with their landmarks."""
    listed = files.named(LIST)
    if not listed:
        raise UnmaskError(f"{LIST} is missing: it has the landmarks")
    entries = files.json(listed[0])
    if not isinstance(entries, dict):
        raise UnmaskError(f"{listed[0]}: expected an object with the entries '0' to '69999'")
    for found in files.matching(
        r"(?:^|/)(?:images(1024)x1024|thumbnails(128)x128)/(?:\d+/)?(\d{5})\.png$",
        "images1024x1024/<NN000>/<NNNNN>.png or thumbnails128x128/…",
    ):
        side, number = int(found[1] or found[2]), found[3]
        entry = entries.get(str(int(number)))
        image = entry.get("image") if isinstance(entry, dict) else None
        points = finite(image.get("face_landmarks") if isinstance(image, dict) else None, 68, 2, dtype=np.float32)
        if points is None:
            yield Reject(found.string, "bad_landmarks", f"{LIST}, entry {int(number)}: not 68 pairs of finite numbers")
            continue
        split, points = SPLITS.get(str(entry.get("category"))), points * np.float32(side / 1024)
        yield Photo(found.string, identity=f"photo-{number}", name=number, split=split, landmarks=points)
