"""WFLW's lists: 98 landmarks of a face a line, its box, six attributes, and the name of its photo, with blanks between.

They are called list_98pt_rect_attr_train.txt and list_98pt_rect_attr_test.txt, which is the split. Where these are
missing, list_98pt_train.txt and list_98pt_test.txt are read, which have no box and no attributes. The attributes (pose,
expression, illumination, make-up, occlusion, blur) are not used.

W. Wu et al., "Look at Boundary: A Boundary-Aware Face Alignment Algorithm", CVPR 2018.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, Unpack

import numpy as np

from stages.core import text
from stages.core.errors import UnmaskError
from stages.data.files import Files
from stages.data.formats import layout
from stages.data.photo import Known, Photo, Photos, Reject, finite, reader

POINTS, BOX, ATTRIBUTES = 2 * 98, 4, 6
LIST = re.compile(r"list_98pt_(rect_attr_)?(train|test)\.txt")
# Which of WFLW's 98 points is which of 300-W's 68, as what was written for AdaptiveWingLoss has it, under the name
# DLIB_68_TO_WFLW_98_IDX_MAPPING. The two are defined apart (wywu/LAB, issue 17): brows are the upper edges of WFLW's.
TO_68 = np.concatenate(
    [
        np.arange(0, 33, 2),  # jaw
        np.arange(33, 38),  # brows
        np.arange(42, 47),
        np.arange(51, 60),  # nose
        [60, 61, 63, 64, 65, 67],  # eyes
        [68, 69, 71, 72, 73, 75],
        np.arange(76, 96),  # lips
    ]
)


@reader
def photos(files: Files, **known: Unpack[Known]) -> Photos:
    """Yield each face with its landmarks, cropped out of its photo; each counts as a person of its own.

    Its name is `<photo>-<n>`, n from 1 in the order of the photo's lines.

    Args:
        files: of the dataset.
        known: fields of `Photo` that all photos have in common.

    Raises:
        UnmaskError: there is no such list, or a line has another form.
    """
    lists = [(path, found) for path in files.names() if (found := LIST.fullmatch(PurePosixPath(path).name))]
    if not lists:
        raise UnmaskError("no list of WFLW found: expected list_98pt_rect_attr_train.txt and …_test.txt")
    if any(found[1] for _, found in lists):
        lists = [(path, found) for path, found in lists if found[1]]
    of_photo: Counter[str] = Counter()
    for path, found in lists:
        for number, words in _lines(files, path):
            where, listed = f"{path}, line {number}", PurePosixPath(words[-1])
            named = files.named(str(listed))
            if len(named) != 1:
                yield Reject(words[-1], "file_missing", f"{where}: {len(named)} files have this name")
                continue
            photo = named[0]
            of_photo[photo] += 1
            landmarks = finite(words[:POINTS], POINTS, dtype=np.float32)
            box = finite(words[POINTS : POINTS + BOX], BOX) if found[1] else None
            if landmarks is None or (found[1] and box is None):
                yield Reject(photo, "bad_landmarks", f"{where}: not all are finite numbers")
                continue
            landmarks = landmarks.reshape(98, 2)
            edges = np.concatenate([landmarks.min(0), landmarks.max(0)]) if box is None else box
            name = f"{'-'.join(layout.key(PurePosixPath(photo)))}-{of_photo[photo]}"
            said: dict[str, Any] = {"split": found[2], **known}
            yield Photo(photo, f"photo-{name}", name, landmarks=landmarks[TO_68], box=tuple(edges.tolist()), **said)


def _lines(files: Files, path: str) -> Iterator[tuple[int, list[str]]]:
    count = POINTS + (BOX + ATTRIBUTES if "rect" in PurePosixPath(path).name else 0)
    for number, line in text.lines(files.text(path)):
        words = line.split(maxsplit=count)
        if len(words) == count + 1:
            yield number, [*words[:-1], words[-1].strip()]
        elif words:
            raise UnmaskError(
                f"{path}, line {number}: expected {count} numbers and the name of a photo, got {line[:80]!r}"
            )
