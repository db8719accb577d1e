"""CelebA's lists, as CelebA and CelebAMask-HQ ship them: text, columns separated by blanks.

A list that is not there says nothing: an empty dict.
"""

from stages.core.errors import UnmaskError
from stages.data.files import Files

IDENTITIES = "identity_CelebA.txt"
PARTITION = "list_eval_partition.txt"
SPLITS = {"0": "train", "1": "val", "2": "test"}


def pairs(files: Files, name: str) -> dict[str, str]:
    """Return the second word of each line by the first.

    Raises:
        UnmaskError: a line has another number of words.
    """
    lines = (line for file in files.named(name)[:1] for line in files.lines(file, r"(\S+)\s+(\S+)", "two words"))
    return dict(line.groups() for line in lines)


def splits(files: Files) -> dict[str, str]:
    """Return the official split by file name.

    Raises:
        UnmaskError: a line says anything but 0, 1 or 2.
    """
    found = pairs(files, PARTITION)
    for file, number in found.items():
        if number not in SPLITS:
            raise UnmaskError(f"{PARTITION}: {file} has split {number!r}, expected 0, 1 or 2")
    return {file: SPLITS[number] for file, number in found.items()}


def sexes(files: Files, name: str) -> dict[str, str]:
    """Return `male` or `female` by file name, from the list of 40 attributes.

    Raises:
        UnmaskError: its second line does not name the attribute `Male`.
    """
    if not files.named(name):
        return {}
    _, columns, *rows = [*(line.split() for line in files.text(files.named(name)[0]).splitlines()), [], []]
    if "Male" not in columns:
        raise UnmaskError(f"{name}: line 2 should name the attributes, `Male` among them")
    column = columns.index("Male") + 1
    return {row[0]: "male" if row[column] == "1" else "female" for row in rows if len(row) == len(columns) + 1}
