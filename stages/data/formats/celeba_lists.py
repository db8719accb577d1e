"""CelebA's lists, as CelebA and CelebAMask-HQ ship them: text, columns separated by blanks."""

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
    found = {}
    for number, line in enumerate(files.text(name).splitlines(), 1):
        words = line.split()
        if words and len(words) != 2:
            raise UnmaskError(f"{name}, line {number}: expected two words, got {line[:80]!r}")
        if words:
            found[words[0]] = words[1]
    return found


def splits(files: Files, name: str) -> dict[str, str]:
    """Return the official split by file name.

    Raises:
        UnmaskError: a line says anything but 0, 1 or 2.
    """
    found = pairs(files, name)
    for file, number in found.items():
        if number not in SPLITS:
            raise UnmaskError(f"{name}: {file} has split {number!r}, expected 0, 1 or 2")
    return {file: SPLITS[number] for file, number in found.items()}


def sexes(files: Files, name: str) -> dict[str, str]:
    """Return `male` or `female` by file name, from the list of 40 attributes.

    Raises:
        UnmaskError: its second line does not name the attribute `Male`.
    """
    lines = files.text(name).splitlines()
    columns = lines[1].split() if len(lines) > 1 else []
    if "Male" not in columns:
        raise UnmaskError(f"{name}: line 2 should name the attributes, `Male` among them")
    column = columns.index("Male") + 1
    rows = (line.split() for line in lines[2:])
    return {row[0]: "male" if row[column] == "1" else "female" for row in rows if len(row) == len(columns) + 1}
