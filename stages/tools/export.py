"""Write a face table as plain files that other programs read: an imagefolder. A tool, not a stage.

python -m stages.tools.export data/masked/oracle/orl some/folder

    some/folder/train/metadata.csv                file_name first, then the other pictures' names, then what is known
    some/folder/train/images/s1/0001.png          the photo, one folder a person
    some/folder/train/masks/s1/0001.png           255 where a mask is drawn; black without one; so found_masks/
    some/folder/train/labels/s1/0001.png          class ids, where there are any
    some/folder/validation/ …, test/ …            the splits, as folders of these names, which `datasets` knows
    some/folder/landmarks.csv                     as Face_Mask_Generator writes them, and our adapter of its name reads

`load_dataset("imagefolder", data_dir="some/folder")` gives the splits with the columns image, mask, labels and
all facts; torchvision's ImageFolder reads `train/images` with the persons as classes. Faces without a split are in
`train`, as `datasets` calls what has none. In metadata.csv no field is blank, as a column's type is guessed from its
values: what is unknown or not there is a word (`unknown`, `none`), and a column that says nothing is left out, as is
that of a picture which some faces lack.

In file names, what some file system does not take is replaced, and a word that is a split's gets a ~; `face_id` has the
name as it was.
"""

import argparse
import re
import unicodedata
from collections import defaultdict
from pathlib import Path

import numpy as np
from tqdm import tqdm

from stages.core import images, tables
from stages.core.command import errors_in_words
from stages.core.outputs import whole_folder, write_csv
from stages.core.tables import Face
from stages.data.adapters.face_mask_generator import KEYS, POINTS

FOLDERS = {"image": "images", "mask": "masks", "found_mask": "found_masks", "labels": "labels"}  # of the pictures
EMPTY_IF_NONE = ("mask", "found_mask")
SPLITS = {"train": "train", "val": "validation", "test": "test", None: "train"}  # to the names that `datasets` has
UNKNOWN = ("sex", "split", "wears_mask", "face_type")  # what every face has, if known or not; others may be `none`
MAX_NAME = 200  # bytes; file systems take 255
# What Windows does not take: characters, a dot or blank at the end, names of devices. A dot at the start hides a file.
NOT_TAKEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]|^\.|[. ]+$')
DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
# A word in a path by which `datasets` takes a file for one of a split, if no letter is next to it.
SPLIT_WORDS = re.compile(
    r"(?<![^-._ 0-9])(train|training|validation|valid|val|dev|test|testing|eval|evaluation)(?![^-._ 0-9])",
    re.IGNORECASE,
)

Row = dict[str, str]


class _Names:
    """Names for files and folders that every file system takes and keeps apart, whether it knows capitals or not."""

    def __init__(self) -> None:
        self._of: dict[tuple[str, str], str] = {}
        self._taken: set[tuple[str, str]] = set()

    def of(self, folder: str, name: str) -> str:
        """Return the name of something in a folder, always the same one."""
        if (folder, name) not in self._of:
            short = unicodedata.normalize("NFC", name).encode()[:MAX_NAME].decode(errors="ignore")
            plain = SPLIT_WORDS.sub(r"\1~", NOT_TAKEN.sub("_", short))
            plain = f"_{plain}" if DEVICES.fullmatch(plain) else plain
            unique, number = plain, 1
            while (folder, unicodedata.normalize("NFC", unique.casefold())) in self._taken:
                number += 1
                unique = f"{plain}-{number}"
            self._taken.add((folder, unicodedata.normalize("NFC", unique.casefold())))
            self._of[folder, name] = unique
        return self._of[folder, name]


def export(table: Path, out: Path) -> int:
    """Write a face table as an imagefolder; return how many faces.

    Raises:
        UnmaskError: `table` is no face table, or the folder `out` holds something.
    """
    columns = tables.columns(table)
    facts = [name for name in columns if name not in {*FOLDERS, "landmarks"}]
    pictures = [name for name in FOLDERS if name in columns]
    names = _Names()
    rows: dict[str, list[Row]] = defaultdict(list)  # by the folder of the split
    landmarks = []
    said: set[str] = set()  # the columns that say something of some face
    everywhere = set(pictures)  # the pictures that each face has
    with whole_folder(out) as staging:
        for face in tqdm(tables.read(table), total=tables.count(table), unit="faces", disable=None):
            folder = SPLITS[face.get("split")]
            dataset, person, name = face["face_id"].split("/")
            person = names.of(folder, person)
            file = f"{person}/{names.of(f'{folder}/{person}', name)}.png"
            written = _write_pictures(face, pictures, staging / folder, file)
            everywhere &= written.keys()
            said |= {fact for fact in facts if face[fact] is not None}
            known = {fact: _in_words(fact, face[fact]) for fact in facts}
            rows[folder].append(written | known | {"identity": f"{dataset}/{face['identity']}"})
            if face.get("landmarks") is not None:
                place = "\\".join(["", folder, FOLDERS["image"], person])
                points = face["landmarks"].ravel().tolist()
                landmarks.append([place, Path(file).name, face.get("face_type"), *points])
        header = {
            ("" if name == "image" else f"{name}_") + "file_name": name for name in pictures if name in everywhere
        }
        header |= {fact: fact for fact in facts if fact in said}
        for folder, of_split in rows.items():
            lines = ([row[name] for name in header.values()] for row in of_split)
            write_csv(staging / folder / "metadata.csv", list(header), lines)
        if landmarks:
            write_csv(staging / "landmarks.csv", [*KEYS, *POINTS], landmarks)
    return sum(map(len, rows.values()))


def _write_pictures(face: Face, pictures: list[str], folder: Path, file: str) -> Row:
    """Write the pictures of a face; return each one's path below the folder of the split by its column."""
    photo = images.decode(face["image"])
    written = {}
    for name in pictures:
        data = images.encode_png(photo) if name == "image" else face[name]
        if data is None and name in EMPTY_IF_NONE:
            data = images.encode_png(np.zeros(photo.shape[:2], np.uint8))
        if data is not None:
            written[name] = f"{FOLDERS[name]}/{file}"
            path = folder / written[name]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return written


def _in_words(fact: str, value: object) -> str:
    if value is None:
        return "unknown" if fact in UNKNOWN else "none"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m stages.tools.export", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path, help="a face table, such as data/masked/oracle/orl")
    parser.add_argument("out", type=Path, help="folder to write")
    arguments = parser.parse_args()
    with errors_in_words("export"):
        print(f"{export(arguments.table, arguments.out)} faces in {arguments.out}")
