"""File names of RMFRD and c-RMFRD: `<profile>_<blurred>_…`, each 0 or 1, as Face_Mask_Generator writes face types.

A bare photo is `<profile>_<blurred>_<person>_<NNNN>.jpg`, a masked one `<profile>_<blurred>_<n>.jpg`.
"""

import re


def face_type(stem: str) -> str | None:
    """Return the face type that a file name begins with, None if it does not."""
    found = re.match(r"([01]_[01])_", stem)
    return found[1] if found else None


def is_bare(stem: str, person: str) -> bool:
    """Tell whether a name is that of a person's bare photo."""
    return re.fullmatch(rf"[01]_[01]_{re.escape(person)}_\d+", stem) is not None
