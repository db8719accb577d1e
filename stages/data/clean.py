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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
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
from stages.data.duplicates import Hashes
from stages.data.files import Files, open_files
from stages.data.inspection import Inspector, Seen
from stages.data.labels import SAY_WHICH, SMALL
from stages.data.on_disk import Marks, Pages
from stages.data.photo import AdapterError, Kept, Photos, Reject
from stages.data.tally import Tally
from stages.figures import sheets
from stages.landmarks import boxes
from stages.photos import kinds

PHOTOS_A_TASK = 50
NOT_A_PHOTO = "not_a_photo"
_KEPT, _REJECTED, _USED, _OTHER = range(1, 5)  # what became of a file


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
        listed = _listed(dataset, files)
        n_listed, others = len(listed.photos) + len(listed.rejects), listed.others
        chosen, left_out = _chosen(listed.photos, curation, params.limit)
        looked = _looked_at(listed.photos, chosen, files, params, label=out.as_posix())
        rejects = [*listed.rejects, *left_out, *looked.rejects]
        listed.photos.clear()
        del chosen
        kept, refused = _kept(looked, params.near_duplicates)
        rejects += refused
        tally, became = Tally(dataset), Marks(files.names())
        for one in itertools.compress(looked.seen, kept):
            tally.add(one)
            became.put(_KEPT, [same_name(one.photo.file)])
        n_kept, counts = tally.faces.total(), _accounted(became, files, rejects, listed)
        numbers = {
            "photos": n_listed,
            "faces": n_kept,
            "rejected": Counter(reject.reason for reject in rejects),
            "files": counts,
            "unexplained": len(became.without()) + n_listed - n_kept - len(rejects),
        }
        if not n_kept:
            _write_rejects(rejected, rejects + others)
            metrics.write(results.metrics, numbers)
            reasons = ", ".join(f"{reason} {count}" for reason, count in numbers["rejected"].items())
            first = f"; {rejects[0].file}: {rejects[0].detail}" if rejects else ""
            raise UnmaskError(
                f"{raw}: not one of {n_listed} photos could be kept ({reasons}){first}; {rejected} lists them all"
            )
        splits = _splits(tally, params.split)
        _write(out, looked.seen, kept, tally, splits, files, params.max_pixels)
    _write_rejects(rejected, rejects + others)
    sheets.show_table(
        out,
        results.figure,
        title="Photos kept, and their split",
        caption=lambda face: f"{face['face_id'].split('/', 1)[1]} {face['split']}",
    )
    return numbers | tally.numbers(splits) | _labels(looked.meanings, tally)


def _labels(meanings: Mapping[str, Counter[str]], tally: Tally) -> dict[str, Any]:
    """Return how often each label stands at the photos, by its meaning, and what in labels was passed over."""
    numbers = tally.labels()
    indices = numbers.get("label_indices", {})
    if sum(index <= SMALL for index in indices) > 1:
        counts = ", ".join(f"{index} in {count}" for index, count in sorted(indices.items()))
        print(f"label maps have one index each, {counts}: if these are several classes, {SAY_WHICH}", file=sys.stderr)
    return numbers | ({"labels": meanings} if meanings else {})


@dataclass
class _Listed:
    """What an adapter says of a dataset's files.

    Attributes:
        photos: where each lies on the disk, by face_id.
        rejects: what cannot have a face_id of its own.
        others: files that are no photos.
        labels: names of the photos' label files.
    """

    photos: dict[str, Kept]
    rejects: list[Reject]
    others: list[Reject]
    labels: set[str]


def _listed(dataset: str, files: Files) -> _Listed:
    module = f"stages.data.adapters.{dataset}"
    adapter = importlib.import_module(module) if importlib.util.find_spec(module) else None
    if not hasattr(adapter, "photos"):
        raise UnmaskError(
            f"no adapter reads {dataset!r}: stages/data/adapters/{dataset}.py with a function photos(files) is "
            f"missing; docs/adding-a-dataset.md says how to add one"
        )
    found = _Listed({}, [], [], set())
    named = Marks(files.names())
    for item in _items(adapter, files):
        named.put(1, [same_name(item.file)])
        if isinstance(item, Reject):
            found.rejects.append(item)
            continue
        labels = [same_name(name) for _, name in item.label_files]
        named.put(1, labels)
        face_id = same_name(f"{dataset}/{item.identity}/{item.name}")
        if not tables.is_face_id(face_id):
            found.rejects.append(Reject(item.file, "bad_name", f"{face_id!r} can be no face_id"))
        elif face_id in found.photos:
            detail = f"{found.photos[face_id].read().file} has this face_id, too"
            found.rejects.append(Reject(item.file, "same_name", detail, face_id))
        else:
            found.photos[face_id] = files.keep(files.without_landmarks(item))
            found.labels.update(labels)
    named.put(1, files.opened)
    for name in named.without():
        reject = _unnamed(name, files)
        (found.others if reject.reason == NOT_A_PHOTO else found.rejects).append(reject)
    return found


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


def _accounted(became: Marks, files: Files, rejects: Sequence[Reject], listed: _Listed) -> dict[str, Any]:
    """Mark what became of each file, once, and return the counts; those of photos that are kept are marked already."""
    for number, names in (
        (_REJECTED, (same_name(one.file) for one in rejects)),
        (_USED, itertools.chain(files.opened, listed.labels)),
        (_OTHER, (one.file for one in listed.others)),
    ):
        became.put(number, names)
    return {
        "all": len(became.of),
        "kept": int((became.of == _KEPT).sum()),
        "rejected": int((became.of == _REJECTED).sum()),
        "used": int((became.of == _USED).sum()),
        "others": Counter(PurePosixPath(one.file).suffix.lower() or "none" for one in listed.others),
        "hidden": files.hidden,
    }


def _write_rejects(path: Path, rejects: Sequence[Reject]) -> None:
    in_order = sorted(rejects, key=lambda reject: (reject.file, reject.detail))
    lines = ([one.file, one.face_id, one.reason, one.detail] for one in in_order)
    write_csv(path, ["file", "face_id", "reason", "detail"], lines)


def _chosen(photos: Mapping[str, Kept], curation: Path, limit: Limit) -> tuple[list[str], list[Reject]]:
    """Return the face_ids of the photos to look at, sorted; and a reject for each that is left out by hand or limit."""
    excluded = curated_by_hand.read(curation, photos)
    rejects = [Reject(photos[face_id].read().file, "curated", why, face_id) for face_id, why in excluded.items()]
    chosen = sorted(photos.keys() - excluded.keys())
    if limit.identities is None and limit.photos is None:
        return chosen, rejects
    kept = []
    of_person: Counter[str] = Counter()
    for face_id in chosen:
        photo = photos[face_id].read()
        is_new = photo.identity not in of_person
        too_many_identities = limit.identities is not None and is_new and len(of_person) >= limit.identities
        too_many_photos = limit.photos is not None and of_person[photo.identity] >= limit.photos
        if too_many_identities or too_many_photos:
            rejects.append(Reject(photo.file, "beyond_limit", "clean.limit in params.yaml", face_id))
        else:
            of_person[photo.identity] += 1
            kept.append(face_id)
    return kept, rejects


@dataclass(frozen=True)
class _Looked:
    """What is seen of photos.

    Attributes:
        seen: those that can be kept, each for itself, in the order of their face_ids.
        sha256: of these, uint8 (n, 32).
        looks: their perceptual hashes, uint8 (n, 32).
        rejects: of the others.
        meanings: how often each label stands at all of them, by its meaning.
    """

    seen: Pages[Seen]
    sha256: Hashes
    looks: Hashes
    rejects: list[Reject]
    meanings: Mapping[str, Counter[str]]


def _looked_at(photos: Mapping[str, Kept], chosen: Sequence[str], files: Files, params: Params, label: str) -> _Looked:
    inspector = Inspector(params.min_side, params.max_pixels, _has_face if params.require_face else None)
    meanings: dict[str, Counter[str]] = defaultdict(Counter)
    tasks, sizes = [], []
    for start in range(0, len(chosen), PHOTOS_A_TASK):
        some = [(face_id, photos[face_id].read()) for face_id in chosen[start : start + PHOTOS_A_TASK]]
        for said, meaning in (pair for _, photo in some for pair in photo.classes):
            meanings[meaning][said] += 1
        tasks.append(files.keep((files.of(photo for _, photo in some), some)))
        sizes.append(len(some))
    found = parallel.run(
        functools.partial(_inspect, inspector), tasks, sizes=sizes, label=f"{label} look", unit="photos"
    )
    sha256, looks = (
        np.frombuffer(b"".join(getattr(one, name) for one in found), np.uint8).reshape(-1, 32)
        for name in ("sha256", "looks")
    )
    rejects = [reject for one in found for reject in one.rejects]
    return _Looked(Pages((one.seen, one.n) for one in found), sha256, looks, rejects, meanings)


class _Inspected(NamedTuple):
    """What comes back from a worker: where the photos lie that can be kept, how many, and their hashes."""

    seen: Kept
    n: int
    sha256: bytes
    looks: bytes
    rejects: list[Reject]


def _inspect(inspector: Inspector, task: Kept) -> _Inspected:
    files, photos = task.read()
    found = [inspector(files, face_id, photo) for face_id, photo in photos]
    seen = [one for one in found if isinstance(one, Seen)]
    sha256, looks = b"".join(one.sha256 for one in seen), b"".join(one.look for one in seen)
    return _Inspected(files.keep(seen), len(seen), sha256, looks, [one for one in found if isinstance(one, Reject)])


def _kept(looked: _Looked, near_duplicates: int | None) -> tuple[NDArray[np.bool_], list[Reject]]:
    """Return whether each photo is kept beside the others, bool (n,), and a reject for each that is not."""
    kept = np.ones(len(looked.seen), bool)
    unclear = inspection.unclear(looked.seen)
    kept[list(unclear)] = False
    places = np.flatnonzero(kept)
    copies = inspection.copies(looked.seen, places, looked.sha256[places], looked.looks[places], near_duplicates)
    kept[list(copies)] = False
    return kept, [*unclear.values(), *copies.values()]


def _has_face(image: Pixels) -> bool:
    return bool(boxes.find(image, short_side=224, long_side=1600))


def _splits(tally: Tally, split: Split) -> dict[str, str]:
    """Return each person's split: the publisher's, or else ours, drawn among those of whom the publisher has none."""
    others = tally.to_draw()
    drawn = split.draw(tally.dataset, {tally.drawn_as[identity]: sex for identity, sex in others.items()})
    return tally.splits | {identity: drawn[tally.drawn_as[identity]] for identity in others}


def _write(
    out: Path,
    seen: Pages[Seen],
    kept: NDArray[np.bool_],
    tally: Tally,
    splits: dict[str, str],
    files: Files,
    max_pixels: int,
) -> None:
    count = tables.n_parts(tally.faces)
    part_of = {identity: tables.part_of(identity, count) for identity in tally.faces}
    sizes = Counter[int]()
    for identity, part in part_of.items():
        sizes[part] += tally.faces[identity]
    # One part has people from all over: the photos of each person are put where that part will read them.
    dealt: dict[int, list[Kept]] = {part: [] for part in sorted(sizes)}
    for identity, group in itertools.groupby(itertools.compress(seen, kept), key=lambda one: one.photo.identity):
        those = list(group)
        dealt[part_of[identity]].append(files.keep((files.of(one.photo for one in those), those)))
    with whole_folder(out, PARTS) as staging:
        work = functools.partial(_write_part, splits=splits, max_pixels=max_pixels, names=tally.columns)
        tasks = [(staging.absolute() / tables.part_name(part), people) for part, people in dealt.items()]
        parallel.run(work, tasks, sizes=[sizes[part] for part in dealt], label=out.as_posix())


def _write_part(task: tuple[Path, list[Kept]], splits: dict[str, str], max_pixels: int, names: list[str]) -> None:
    path, people = task
    photos = ((one, files) for files, those in (person.read() for person in people) for one in those)
    rows = (inspection.row(one, files, max_pixels, splits[one.photo.identity]) for one, files in photos)
    tables.write_part(path, ({name: face[name] for name in names} for face in rows), names)


if __name__ == "__main__":
    run_stage("data.clean")
