"""AR Face Database: <M|F>-<person>-<code>, 26 photos a person in two sessions; the code says what is worn.

Codes 8 to 10 are sunglasses, 11 to 13 a scarf over mouth and nose; 14 to 26 are the same in the second session. Whoever
wears a scarf is behind a mask for all that is done here. The photos as handed out (.raw, 768x576, three planes) must be
saved as PNG or BMP first.

Run on a made-up copy only.
"""

import re
from pathlib import PurePosixPath

from stages.core.errors import UnmaskError
from stages.data.files import Files
from stages.data.photo import Photo, Photos, Reject
from stages.photos.kinds import SUFFIXES

SEXES = {"m": "male", "w": "female", "f": "female"}
SCARF = range(11, 14)
IN_SESSION = 13


def photos(files: Files) -> Photos:
    """Yield all photos with sex, and whether a scarf is worn."""
    some = False
    for path in map(PurePosixPath, files.names()):
        found = re.fullmatch(r"([MmWwFf])-(\d{2,3})-(\d{2})", path.stem)
        is_image = path.suffix.lower() in SUFFIXES
        if not found:
            if is_image:
                yield Reject(path.as_posix(), "bad_name", "expected <M|F>-<person>-<code>")
            continue
        some = True
        sex, person, code = SEXES[found[1].lower()], found[2], int(found[3])
        if not is_image:
            yield Reject(path.as_posix(), "raw_format", "save it as PNG or BMP first")
        elif not 1 <= code <= 2 * IN_SESSION:
            yield Reject(path.as_posix(), "bad_name", f"code {code} is not one of 1 to {2 * IN_SESSION}")
        else:
            scarf = (code - 1) % IN_SESSION + 1 in SCARF
            yield Photo(path.as_posix(), f"{sex[0]}-{person}", f"{code:02d}", sex=sex, wears_mask=scarf)
    if not some:
        raise UnmaskError("no photo found: expected <M|F>-<person>-<code>.bmp")
