"""CelebA: img_align_celeba/<NNNNNN>.jpg, 178x218, with lists of identities, attributes and the official split.

Without identity_CelebA.txt every photo counts as a person of its own; without the other lists sex and split stay
unknown.

Run on a made-up copy only.
"""

from stages.data.files import Files
from stages.data.formats import celeba_lists
from stages.data.photo import Photo, Photos, Reject

ATTRIBUTES = "list_attr_celeba.txt"


def photos(files: Files) -> Photos:
    """Yield all photos with identity, sex and split, as far as the lists say.

    A person whose photos are on two sides of the official split cannot be kept; CelebA has none.
    """
    people = celeba_lists.pairs(files, celeba_lists.IDENTITIES)
    splits, sexes = celeba_lists.splits(files), celeba_lists.sexes(files, ATTRIBUTES)
    for found in files.matching(r"(?:^|/)img_align_celeba/(\d+)\.(?:jpg|png)$", "img_align_celeba/<number>.jpg"):
        file, number = found.string, found[1]
        listed = f"{number}.jpg"  # the lists say .jpg of the PNG version, too
        if people and listed not in people:
            yield Reject(file, "not_in_list", f"{celeba_lists.IDENTITIES} has no line for {listed}")
        else:
            identity = people.get(listed, f"photo-{number}")
            yield Photo(file, identity, number, sex=sexes.get(listed), split=splits.get(listed))
