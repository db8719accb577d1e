"""CelebAMask-HQ: CelebA-HQ-img/<id>.jpg, one mask a part, and the mapping to CelebA that gives the official split.

Masks are CelebAMask-HQ-mask-anno/<id // 2000>/<id, 5 digits>_<part>.png, 512x512, 0 or 255. With CelebA's
identity_CelebA.txt beside them, people are known; without it every photo counts as a person of its own.
"""

from pathlib import PurePosixPath

from stages.core.errors import UnmaskError
from stages.data.files import Files
from stages.data.formats import celeba_lists
from stages.data.photo import Photo, Photos, Reject
from stages.faces.parts import CLASSES

# CelebA's official partition: 0-based index of the first validation and the first test photo.
FIRST_VAL, FIRST_TEST = 162771, 182638

MAPPING = "CelebA-HQ-to-CelebA-mapping.txt"
ATTRIBUTES = "CelebAMask-HQ-attribute-anno.txt"


def photos(files: Files) -> Photos:
    """Yield all photos with their part masks, their split, and identity and sex where the files give them.

    Raises:
        UnmaskError: the mapping is missing or not as published, or there is not one photo.
    """
    mapping = files.named(MAPPING)
    if not mapping:
        raise UnmaskError(f"{MAPPING} is missing: it says which photos are for training and which for testing")
    lines = files.lines(mapping[0], r"(\d+)\s+(\d+)\s+(\S+)", "`idx orig_idx orig_file`", first=2)
    originals = {int(line[1]): (int(line[2]), line[3]) for line in lines}  # CelebA's 0-based index and file name
    people = celeba_lists.pairs(files, celeba_lists.IDENTITIES)
    sexes = celeba_lists.sexes(files, ATTRIBUTES)
    images = files.matching(r"(?:^|/)CelebA-HQ-img/(\d+)\.(?:jpg|png)$", "CelebA-HQ-img/<id>.jpg")
    for file, index in sorted(((found.string, int(found[1])) for found in images), key=lambda image: image[1]):
        if index not in originals:
            yield Reject(file, "not_in_mapping", f"{MAPPING} has no line for {index}")
            continue
        original_index, original_file = originals[index]
        path = PurePosixPath(file)
        folder = path.parent.parent / "CelebAMask-HQ-mask-anno" / str(index // 2000)
        parts = [(number, (folder / f"{index:05d}_{part}.png").as_posix()) for number, part in enumerate(CLASSES)]
        yield Photo(
            file,
            identity=people.get(original_file, f"photo-{index:05d}"),
            name=f"{index:05d}",
            sex=sexes.get(path.name),
            split="train" if original_index < FIRST_VAL else "val" if original_index < FIRST_TEST else "test",
            label_files=tuple((number, name) for number, name in parts if name in files),
            label_index=(255,),
        )
