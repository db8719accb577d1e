"""Read a dataset as its publisher ships it into a face table, and account for every file that is not in it.

python -m stages.data.clean --raw data/raw/orl --curation data/curation/orl.csv --out data/clean/orl \
    --rejected data/rejected/orl.csv --results metrics/clean-orl
"""

import functools
import importlib.util
import itertools
import math
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any, Self

from pydantic import Field, model_validator

from stages.core import metrics, parallel, tables
from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.core.outputs import PARTS, whole_folder, write_csv
from stages.core.params import Section, StageParams
from stages.core.results import Results
from stages.core.seeding import fraction
from stages.core.text import same_name
from stages.data import curation as curated_by_hand
from stages.data import inspection
from stages.data.files import Files, open_files
from stages.data.inspection import Inspector, Seen
from stages.data.labels import SAY_WHICH, SMALL
from stages.data.photo import AdapterError, Photo, Photos, Reject
from stages.figures import sheets
from stages.landmarks import boxes
from stages.photos import kinds

PHOTOS_A_TASK = 50
NOT_A_PHOTO = "not_a_photo"


class Split(Section):
    """Shares of the people, of women, of men, and of those whose sex nobody knows.

    A person who is added moves at most one other over each border between two splits, and only one of the same sex.
    """

    train: float = Field(ge=0, le=1)
    val: float = Field(ge=0, le=1)
    test: float = Field(ge=0, le=1)
    salt: int
    """Another number puts the people in another order."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if abs(self.train + self.val + self.test - 1) > 1e-9:
            raise ValueError(f"train + val + test is {self.train + self.val + self.test:g}, it must be 1")
        return self

    def draw(self, dataset: str, sexes: Mapping[str, str | None]) -> dict[str, str]:
        """Return the split of each person, from names and sexes alone.

        The people of a sex stand in the order of a hash of their names and are cut at the cumulated shares, each cut
        rounded to a whole person. A cut halfway between two people gives a woman to the split before it, and anybody
        else to the one after it, so that the halves of both sexes cancel out.

        Args:
            dataset: its name.
            sexes: each person's sex, None if nobody knows it; in any order.
        """
        splits = {}
        for sex in set(sexes.values()):
            people = [identity for identity, of in sexes.items() if of == sex]
            people.sort(key=lambda identity: (fraction(self.salt, dataset, identity), identity))
            cuts = [share * len(people) for share in (self.train, self.train + self.val)]
            train, val = (math.floor(cut + 0.5) if sex == "female" else math.ceil(cut - 0.5) for cut in cuts)
            for place, identity in enumerate(people):
                splits[identity] = "train" if place < train else "val" if place < val else "test"
        return splits


class Limit(Section):
    """Keep no more than so many people, and photos of each, the first by name; null keeps all."""

    identities: int | None = Field(ge=1)
    photos: int | None = Field(ge=1)


class Params(StageParams):
    """Section `clean:` of params.yaml."""

    min_side: int = Field(ge=1)
    """A photo whose shorter side has fewer pixels is too small."""
    max_pixels: int = Field(ge=1, le=1_000_000_000)
    """A photo with more is too large; it is not even decoded."""
    near_duplicates: int | None = Field(ge=0, le=64)
    """Photos whose perceptual hashes differ in no more of 256 bits are copies; null: only equal bytes are."""
    require_face: bool
    """Reject photos in which no detector sees a face."""
    split: Split
    limit: Limit


def clean(raw: Path, curation: Path, out: Path, rejected: Path, results: Results, params: Params) -> dict[str, Any]:
    """Make the face table of the dataset `raw.name`.

    Args:
        raw: the publisher's files.
        curation: CSV `face_id,reason` of faces to leave out, reviewed by a person.
        out: the table to write.
        rejected: CSV to write: every photo that is not in the table, and why.
        results: where the numbers go, and a contact sheet.
        params: section `clean`.

    Returns:
        How many photos, people, and faces a split there are, and how many photos were rejected for each reason.
        `files`: of all files of the dataset, how many are kept and rejected, how many are `used` as lists or labels,
        and how many others there are, by suffix; these stand in `rejected` as `not_a_photo`, but do not count there.
        `sexes` counts photos, that of a split people; it is there if anybody's sex is known. `labels` counts the labels
        of the publisher by what they mean: mask, bare, face or other.

    Raises:
        UnmaskError: the files are not in the publisher's layout, the curation list names a face that is not there,
            the publisher's split has a person on two sides, or a person to draw a split for is both female and male.
            If not one photo can be kept, `rejected` and the numbers are written first.
    """
    dataset = raw.name
    with open_files(raw) as files:
        photos, rejects, others = _listed(dataset, files)
        listed = len(photos) + len(rejects)
        used = files.opened | {same_name(name) for photo in photos.values() for _, name in photo.label_files}
        photos, curated = _curated(photos, curation)
        photos, beyond_limit = _limited(photos, params.limit)
        seen, refused = _inspected(photos, files, params, label=out.as_posix())
        rejects += [*curated, *beyond_limit, *refused]
        numbers = {
            "photos": listed,
            "faces": len(seen),
            "rejected": Counter(reject.reason for reject in rejects),
            **_accounted(files, seen, rejects, used, others, listed),
        }
        if not seen:
            _write_rejects(rejected, rejects + others)
            metrics.write(results.metrics, numbers)
            reasons = ", ".join(f"{reason} {count}" for reason, count in numbers["rejected"].items())
            first = f"; {rejects[0].file}: {rejects[0].detail}" if rejects else ""
            raise UnmaskError(
                f"{raw}: not one of {listed} photos could be kept ({reasons}){first}; {rejected} lists them all"
            )
        sexes = _sexes(seen)
        splits = _splits(dataset, seen, sexes, params.split)
        _write(out, seen, splits, files, params.max_pixels)
    _write_rejects(rejected, rejects + others)
    sheets.show_table(
        out,
        results.figure,
        title="Photos kept, and their split",
        caption=lambda face: f"{face['face_id'].split('/', 1)[1]} {face['split']}",
    )
    identities = Counter(one.photo.identity for one in seen)
    label_pixels = sum((one.label_pixels for one in seen if one.label_pixels), Counter[int]())
    numbers |= {
        "identities": len(identities),
        "identities_with_one_photo": sum(count == 1 for count in identities.values()),
        "splits": {split: _numbers_of(split, seen, splits, sexes) for split in tables.SPLITS},
        "sexes": Counter(one.photo.sex or "unknown" for one in seen),
        "stored_anew_as_png": sum(not one.as_it_is for one in seen),
    }
    return numbers | ({"label_pixels": label_pixels} if label_pixels else {}) | _labels(photos.values(), seen)


def _labels(photos: Iterable[Photo], seen: Sequence[Seen]) -> dict[str, Any]:
    """Return how often each label stands at the photos, by its meaning, and what in labels was passed over."""
    meanings: dict[str, Counter[str]] = defaultdict(Counter)
    for label, meaning in (pair for photo in photos for pair in photo.classes):
        meanings[meaning][label] += 1
    painted = [one.painted for one in seen if one.painted]
    numbers = {
        "labels": meanings,
        "label_indices": Counter(index for one in painted for index in one.indices),
        "shapes_without_area": Counter(what for one in seen for what in one.photo.ignored),
        "shapes_outside": sum(one.unpainted for one in painted),
        "ignored_pixels": sum(one.ignored_pixels for one in painted),
    }
    if sum(index <= SMALL for index in numbers["label_indices"]) > 1:
        counts = ", ".join(f"{index} in {count}" for index, count in sorted(numbers["label_indices"].items()))
        print(f"label maps have one index each, {counts}: if these are several classes, {SAY_WHICH}", file=sys.stderr)
    return {name: number for name, number in numbers.items() if number}


def _listed(dataset: str, files: Files) -> tuple[dict[str, Photo], list[Reject], list[Reject]]:
    """Return the photos by face_id, sorted, what cannot have a face_id of its own, and the files that are no photos."""
    module = f"stages.data.adapters.{dataset}"
    adapter = importlib.import_module(module) if importlib.util.find_spec(module) else None
    if not hasattr(adapter, "photos"):
        raise UnmaskError(
            f"no adapter reads {dataset!r}: stages/data/adapters/{dataset}.py with a function photos(files) is "
            f"missing; docs/adding-a-dataset.md says how to add one"
        )
    photos: dict[str, Photo] = {}
    rejects: list[Reject] = []
    named: set[str] = set()
    for item in _items(adapter, files):
        named.add(same_name(item.file))
        if isinstance(item, Reject):
            rejects.append(item)
            continue
        named.update(same_name(name) for _, name in item.label_files)
        face_id = same_name(f"{dataset}/{item.identity}/{item.name}")
        if not tables.is_face_id(face_id):
            rejects.append(Reject(item.file, "bad_name", f"{face_id!r} can be no face_id"))
        elif face_id in photos:
            rejects.append(Reject(item.file, "same_name", f"{photos[face_id].file} has this face_id, too", face_id))
        else:
            photos[face_id] = files.without_landmarks(item)
    others = []
    for name in files.names():
        if name not in named and name not in files.opened:
            reject = _unnamed(name, files)
            (others if reject.reason == NOT_A_PHOTO else rejects).append(reject)
    return dict(sorted(photos.items())), rejects, others


def _items(adapter: ModuleType, files: Files) -> Photos:
    """Yield what an adapter says; it is named where it asks its reader for what that does not know."""
    try:
        yield from adapter.photos(files)
    except AdapterError as error:
        raise UnmaskError(f"{'/'.join(adapter.__name__.split('.'))}.py: {error}") from None


def _unnamed(name: str, files: Files) -> Reject:
    """Return why a file that no adapter named is not kept, by its suffix, or else by its first bytes."""
    if PurePosixPath(name).suffix.lower() in kinds.SUFFIXES:
        return Reject(name, "not_in_layout", "the adapter knows no photo of this name")
    head = files.head(name, kinds.HEAD)
    kind = kinds.kind(head)
    if kind in kinds.ARE_PHOTOS:
        return Reject(name, "other_suffix", f"it is {kind}, which its name does not say: save it as JPEG or PNG")
    return Reject(name, NOT_A_PHOTO, kind or ("empty" if not head else "text" if kinds.is_text(head) else "unknown"))


def _accounted(
    files: Files, seen: Sequence[Seen], rejects: Sequence[Reject], used: set[str], others: Sequence[Reject], listed: int
) -> dict[str, Any]:
    """Return what became of each file, once, and how many files or listed photos nothing is known of."""
    every = set(files.names())
    kept = {same_name(one.photo.file) for one in seen} & every
    rejected = ({same_name(one.file) for one in rejects} & every) - kept
    used = (used & every) - kept - rejected
    rest = [one.file for one in others]
    lost = len(every - kept - rejected - used - set(rest))
    return {
        "files": {
            "all": len(every),
            "kept": len(kept),
            "rejected": len(rejected),
            "used": len(used),
            "others": Counter(PurePosixPath(name).suffix.lower() or "none" for name in rest),
            "hidden": files.hidden,
        },
        "unexplained": lost + listed - len(seen) - len(rejects),
    }


def _write_rejects(path: Path, rejects: Sequence[Reject]) -> None:
    in_order = sorted(rejects, key=lambda reject: (reject.file, reject.detail))
    lines = ([one.file, one.face_id, one.reason, one.detail] for one in in_order)
    write_csv(path, ["file", "face_id", "reason", "detail"], lines)


def _curated(photos: dict[str, Photo], curation: Path) -> tuple[dict[str, Photo], list[Reject]]:
    excluded = curated_by_hand.read(curation, photos)
    rejects = [Reject(photos[face_id].file, "curated", why, face_id) for face_id, why in excluded.items()]
    return {face_id: photo for face_id, photo in photos.items() if face_id not in excluded}, rejects


def _limited(photos: dict[str, Photo], limit: Limit) -> tuple[dict[str, Photo], list[Reject]]:
    kept: dict[str, Photo] = {}
    rejects = []
    of_person: Counter[str] = Counter()
    for face_id, photo in photos.items():
        is_new = photo.identity not in of_person
        too_many_identities = limit.identities is not None and is_new and len(of_person) >= limit.identities
        too_many_photos = limit.photos is not None and of_person[photo.identity] >= limit.photos
        if too_many_identities or too_many_photos:
            rejects.append(Reject(photo.file, "beyond_limit", "clean.limit in params.yaml", face_id))
        else:
            of_person[photo.identity] += 1
            kept[face_id] = photo
    return kept, rejects


def _inspected(photos: dict[str, Photo], files: Files, params: Params, label: str) -> tuple[list[Seen], list[Reject]]:
    seen, rejects = _looked_at(photos, files, params, label)
    for leaves_out in (inspection.unclear, functools.partial(inspection.copies, distance=params.near_duplicates)):
        left_out = leaves_out(seen)
        gone = {one.face_id for one in left_out}
        seen = [one for one in seen if one.face_id not in gone]
        rejects += left_out
    return seen, rejects


def _looked_at(photos: dict[str, Photo], files: Files, params: Params, label: str) -> tuple[list[Seen], list[Reject]]:
    """Return what is seen of each photo, and which cannot be kept, each for itself."""
    inspector = Inspector(params.min_side, params.max_pixels, _has_face if params.require_face else None)
    items = list(photos.items())
    chunks = [items[start : start + PHOTOS_A_TASK] for start in range(0, len(items), PHOTOS_A_TASK)]
    tasks = [(files.of(photo for _, photo in chunk), chunk) for chunk in chunks]
    results = parallel.run(
        functools.partial(_inspect, inspector),
        tasks,
        sizes=[len(chunk) for chunk in chunks],
        label=f"{label} look",
        unit="photos",
    )
    seen: list[Seen] = []
    rejects: list[Reject] = []
    for (face_id, photo), result in zip(items, itertools.chain.from_iterable(results), strict=True):
        if isinstance(result, Reject):
            rejects.append(result)
        else:
            seen.append(replace(result, face_id=face_id, photo=result.photo or photo))
    return seen, rejects


def _inspect(inspector: Inspector, task: tuple[Files, list[tuple[str, Photo]]]) -> list[Seen | Reject]:
    """Return what is seen of some photos; without the photo itself if it is as it was sent.

    From another process it would come back as a copy, and be in memory twice.
    """
    files, photos = task
    found = [inspector(files, face_id, photo) for face_id, photo in photos]
    return [
        replace(one, photo=None) if isinstance(one, Seen) and one.photo is photo else one
        for one, (_, photo) in zip(found, photos, strict=True)
    ]


def _has_face(image: Pixels) -> bool:
    return bool(boxes.find(image, short_side=224, long_side=1600))


def _sexes(seen: Sequence[Seen]) -> dict[str, str | None]:
    """Return each person's sex, the first that a photo says; None if none does."""
    sexes: dict[str, str | None] = {}
    for one in seen:
        sexes[one.photo.identity] = sexes.get(one.photo.identity) or one.photo.sex
    return sexes


def _splits(dataset: str, seen: Sequence[Seen], sexes: Mapping[str, str | None], split: Split) -> dict[str, str]:
    """Return each person's split: the publisher's, or else ours, drawn among those of whom the publisher has none."""
    splits: dict[str, str] = {}
    for identity, name in ((one.photo.identity, one.photo.split) for one in seen if one.photo.split):
        if splits.setdefault(identity, name) != name:
            raise UnmaskError(
                f"{dataset}: the publisher has {identity} in both {splits[identity]} and {name}: leave some out by "
                f"data/curation/{dataset}.csv, or say no split in the adapter, so that `clean` draws one"
            )
    others = {identity: sex for identity, sex in sexes.items() if identity not in splits}
    for one in seen:
        identity, sex = one.photo.identity, one.photo.sex
        if sex and identity in others and sex != others[identity]:
            raise UnmaskError(
                f"{dataset}: {identity} is {others[identity]} in one photo and {sex} in {one.face_id}, and a split is "
                f"drawn by sex: correct the list of sexes, or leave out the wrong photos in data/curation/{dataset}.csv"
            )
    # Faces of one photo are drawn together: their crops show each other.
    drawn_as = {one.photo.identity: one.photo.identity if one.photo.box is None else one.photo.file for one in seen}
    drawn = split.draw(dataset, {drawn_as[identity]: sex for identity, sex in others.items()})
    return splits | {identity: drawn[drawn_as[identity]] for identity in others}


def _numbers_of(
    split: str, seen: Sequence[Seen], splits: Mapping[str, str], sexes: Mapping[str, str | None]
) -> dict[str, Any]:
    """Return how many faces and people a split has, and how many people of each sex if anybody's is known."""
    people = [identity for identity in sexes if splits[identity] == split]
    numbers = {"faces": sum(splits[one.photo.identity] == split for one in seen), "identities": len(people)}
    if not any(sexes.values()):
        return numbers
    of_sex = Counter(sexes[identity] or "unknown" for identity in people)
    return numbers | {"sexes": {sex: of_sex[sex] for sex in (*tables.SEXES, "unknown")}}


def _write(out: Path, seen: Sequence[Seen], splits: dict[str, str], files: Files, max_pixels: int) -> None:
    count = tables.n_parts(Counter(one.photo.identity for one in seen))
    parts: dict[int, list[Seen]] = defaultdict(list)
    for one in seen:
        parts[tables.part_of(one.photo.identity, count)].append(one)
    names = ["face_id", "identity", "sex", "split", "wears_mask", "image"]
    names += [name for name in ("landmarks", "face_type") if any(getattr(one.photo, name) is not None for one in seen)]
    names += ["labels"] if any(one.labels for one in seen) else []
    with whole_folder(out, PARTS) as staging:
        work = functools.partial(_write_part, splits=splits, max_pixels=max_pixels, names=names)
        tasks = [
            (staging.absolute() / tables.part_name(part), files.of([one.photo for one in those]), those)
            for part, those in sorted(parts.items())
        ]
        parallel.run(work, tasks, sizes=[len(those) for _, _, those in tasks], label=out.as_posix())


def _write_part(
    task: tuple[Path, Files, list[Seen]], splits: dict[str, str], max_pixels: int, names: list[str]
) -> None:
    path, files, seen = task
    rows = (inspection.row(one, files, max_pixels, splits[one.photo.identity]) for one in seen)
    tables.write_part(path, ({name: face[name] for name in names} for face in rows), names)


if __name__ == "__main__":
    run_stage("data.clean")
