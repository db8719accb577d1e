"""sexes.csv, a list of the user's own beside a dataset's files: a line `identity,sex`, then one for each person."""

import csv

from stages.core.errors import UnmaskError
from stages.core.tables import SEXES
from stages.data.files import Files

FILE = "sexes.csv"


def of_people(files: Files) -> dict[str, str]:
    """Return the sex of each person that the file names; nothing if there is no such file.

    Raises:
        UnmaskError: the file has other columns, another sex, or a person twice; the message names the line.
    """
    if FILE not in files.names():
        return {}
    reader = csv.DictReader(files.text(FILE).splitlines())
    if reader.fieldnames != ["identity", "sex"]:
        raise UnmaskError(f"{FILE}: the first line must be identity,sex")
    found: dict[str, str] = {}
    for row in reader:
        if row["sex"] not in SEXES:
            raise UnmaskError(f"{FILE}, line {reader.line_num}: sex is {row['sex']!r}, not one of {', '.join(SEXES)}")
        if row["identity"] in found:
            raise UnmaskError(f"{FILE}, line {reader.line_num}: {row['identity']} stands there twice")
        found[row["identity"]] = row["sex"]
    return found
