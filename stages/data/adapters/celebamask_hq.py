"""CelebAMask-HQ: CelebA-HQ-img/<id>.jpg, one mask a part, and the mapping to CelebA that gives the official split.

Masks are CelebAMask-HQ-mask-anno/<id // 2000>/<id, 5 digits>_<part>.png, 512x512, 0 or 255. With CelebA's
identity_CelebA.txt beside them, people are known; without it every photo counts as a person of its own.
"""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from stages.core.errors import UnmaskError
from stages.data.files import Files
from stages.data.formats import celeba_lists
from stages.data.photo import Photo, Reject
from stages.faces.parts import CLASSES

# CelebA's official partition: 0-based index of the first validation and the first test photo.
FIRST_VAL, FIRST_TEST = 162771, 182638

MAPPING = "CelebA-HQ-to-CelebA-mapping.txt"
ATTRIBUTES = "CelebAMask-HQ-attribute-anno.txt"


def photos(files: Files) -> Iterator[Photo | Reject]:
    """Yield all photos with their part masks, their split, and identity and sex where the files give them.

    Raises:
        UnmaskError: the mapping is missing or not as published, or there is not one photo.
    """
    by_name = {PurePosixPath(name).name: name for name in files.names() if name.endswith(".txt")}
    originals = _mapping(files, by_name)
    identities = by_name.get(celeba_lists.IDENTITIES)
    people = celeba_lists.pairs(files, identities) if identities else {}
    sexes = celeba_lists.sexes(files, by_name[ATTRIBUTES]) if ATTRIBUTES in by_name else {}
    images = [name for name in files.names() if re.search(r"(^|/)CelebA-HQ-img/\d+\.(jpg|png)$", name)]
    if not images:
        raise UnmaskError("no photo CelebA-HQ-img/<id>.jpg found")
    for file in sorted(images, key=lambda name: int(PurePosixPath(name).stem)):
        path = PurePosixPath(file)
        index = int(path.stem)
        if index not in originals:
            yield Reject(file, "not_in_mapping", f"{MAPPING} has no line for {index}")
            continue
        original_index, original_file = originals[index]
        folder = path.parent.parent / "CelebAMask-HQ-mask-anno" / str(index // 2000)
        parts = [(number, (folder / f"{index:05d}_{part}.png").as_posix()) for number, part in enumerate(CLASSES)]
        yield Photo(
            file,
            identity=people.get(original_file, f"photo-{index:05d}"),
            name=f"{index:05d}",
            sex=sexes.get(path.name),
            split="train" if original_index < FIRST_VAL else "val" if original_index < FIRST_TEST else "test",
            label_files=tuple((number, name) for number, name in parts if name in files),
        )


def _mapping(files: Files, by_name: dict[str, str]) -> dict[int, tuple[int, str]]:
    """Return CelebA's 0-based index and file name by CelebA-HQ's index."""
    if MAPPING not in by_name:
        raise UnmaskError(f"{MAPPING} is missing: it says which photos are for training and which for testing")
    lines = files.text(by_name[MAPPING]).splitlines()[1:]
    result = {}
    for number, line in enumerate(lines, 2):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 3 or not (fields[0].isdecimal() and fields[1].isdecimal()):
            raise UnmaskError(f"{MAPPING}, line {number}: expected `idx orig_idx orig_file`, got {line!r}")
        result[int(fields[0])] = (int(fields[1]), fields[2])
    return result
