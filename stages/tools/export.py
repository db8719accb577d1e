"""Write a face table as plain PNG files, one folder a person, with an index.csv. A tool, not a stage.

python -m stages.tools.export data/masked/oracle/orl some/folder

Masks and label maps lie beside the photo as <name>.mask.png and <name>.labels.png. Landmarks, if there are any, are
written to landmarks.csv in Face_Mask_Generator's format, which that program and our adapter of its name read.
"""

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from stages.core import images, tables
from stages.core.command import errors_in_words
from stages.core.outputs import whole_folder
from stages.core.tables import Face
from stages.data.adapters.face_mask_generator import KEYS, POINTS

PICTURES = ("image", "mask", "labels")


def export(table: Path, out: Path) -> int:
    """Write a face table as PNG files; return how many faces.

    Raises:
        UnmaskError: `table` is no face table, or the folder `out` holds something.
    """
    columns = tables.columns(table)
    facts = [name for name in columns if name not in {*PICTURES, "landmarks"}]
    with whole_folder(out) as staging:
        with (staging / "index.csv").open("w", newline="", encoding="utf-8") as file:
            index = csv.DictWriter(file, [*facts, *(name for name in PICTURES if name in columns)])
            index.writeheader()
            for face in tqdm(tables.read(table), total=tables.count(table), unit="faces", disable=None):
                index.writerow({name: face[name] for name in facts} | dict(_write_pictures(face, staging)))
        if "landmarks" in columns:
            _write_landmarks(table, staging / "landmarks.csv")
    return tables.count(table)


def _write_pictures(face: Face, folder: Path) -> Iterator[tuple[str, str]]:
    """Write the pictures of a face; yield each one's column and its path below the folder."""
    _, person, name = face["face_id"].split("/", 2)
    for column in PICTURES:
        if face.get(column) is not None:
            suffix = "" if column == "image" else f".{column}"
            path = folder / person / f"{name}{suffix}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            data = face[column]
            path.write_bytes(images.encode_png(images.decode(data)) if column == "image" else data)
            yield column, path.relative_to(folder).as_posix()


def _write_landmarks(table: Path, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*KEYS, *POINTS])
        for face in tables.read(table, ["face_id", "landmarks", "face_type"]):
            if face["landmarks"] is not None:
                _, person, name = face["face_id"].split("/", 2)
                writer.writerow([f"\\{person}", f"{name}.png", face["face_type"], *face["landmarks"].ravel().tolist()])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m stages.tools.export", description=__doc__)
    parser.add_argument("table", type=Path, help="a face table, such as data/masked/oracle/orl")
    parser.add_argument("out", type=Path, help="folder to write")
    arguments = parser.parse_args()
    with errors_in_words("export"):
        print(f"{export(arguments.table, arguments.out)} faces in {arguments.out}")
