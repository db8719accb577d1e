"""CelebA: img_align_celeba/<NNNNNN>.jpg, 178x218, with lists of identities, attributes and the official split.

Without identity_CelebA.txt every photo counts as a person of its own; without the other lists sex and split stay
unknown.

Run on a made-up copy only.
"""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from stages.core.errors import UnmaskError
from stages.data.files import Files
from stages.data.formats import celeba_lists
from stages.data.photo import Photo, Reject

ATTRIBUTES = "list_attr_celeba.txt"


def photos(files: Files) -> Iterator[Photo | Reject]:
    """Yield all photos with identity, sex and split, as far as the lists say.

    A person whose photos are on two sides of the official split cannot be kept; CelebA has none.

    Raises:
        UnmaskError: there is not one photo, or a list is not as published.
    """
    by_name = {PurePosixPath(name).name: name for name in files.names() if name.endswith(".txt")}
    people, splits, sexes = (
        read(files, by_name[name]) if name in by_name else {}
        for name, read in (
            (celeba_lists.IDENTITIES, celeba_lists.pairs),
            (celeba_lists.PARTITION, celeba_lists.splits),
            (ATTRIBUTES, celeba_lists.sexes),
        )
    )
    images = [name for name in files.names() if re.search(r"(^|/)img_align_celeba/\d+\.(jpg|png)$", name)]
    if not images:
        raise UnmaskError("no photo img_align_celeba/<number>.jpg found")
    for file in images:
        path = PurePosixPath(file)
        listed = f"{path.stem}.jpg"  # the lists say .jpg of the PNG version, too
        if people and listed not in people:
            yield Reject(file, "not_in_list", f"{celeba_lists.IDENTITIES} has no line for {listed}")
            continue
        yield Photo(
            file,
            identity=people.get(listed, f"photo-{path.stem}"),
            name=path.stem,
            sex=sexes.get(listed),
            split=splits.get(listed),
        )
