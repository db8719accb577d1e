"""What is to be known of all photos that are kept before the first is written: who is on them, and how many."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from stages.core import tables
from stages.core.errors import UnmaskError
from stages.data.inspection import Seen

OPTIONAL = ("landmarks", "face_type", "labels")  # columns that are there if a photo has something to put in


class Tally:
    """Counts of photos; these are added in the order of their face_ids.

    Attributes:
        dataset: its name.
        faces: how many photos each person has.
        sexes: each person's sex, the first that a photo says; None if none does.
        splits: the publisher's, of each person who has one.
        drawn_as: in whose place each person is drawn into a split: faces of one photo are drawn together, as their
            crops show each other.
    """

    def __init__(self, dataset: str) -> None:
        self.dataset = dataset
        self.faces = Counter[str]()
        self.sexes: dict[str, str | None] = {}
        self.splits: dict[str, str] = {}
        self.drawn_as: dict[str, str] = {}
        self._both_sexes: dict[str, tuple[str, str]] = {}  # another sex than the first, and the photo that says it
        self._columns = set[str]()
        self._sexes_of_photos, self._shapes_without_area = Counter[str](), Counter[str]()
        self._label_pixels, self._indices = Counter[int](), Counter[int]()
        self._as_png = self._unpainted = self._ignored_pixels = 0

    def add(self, one: Seen) -> None:
        """Count a photo.

        Raises:
            UnmaskError: the publisher's split has its person on two sides.
        """
        photo, identity = one.photo, one.photo.identity
        self.faces[identity] += 1
        if photo.split and self.splits.setdefault(identity, photo.split) != photo.split:
            raise UnmaskError(
                f"{self.dataset}: the publisher has {identity} in both {self.splits[identity]} and {photo.split}: "
                f"leave some out by data/curation/{self.dataset}.csv, or say no split in the adapter, so that `clean` "
                "draws one"
            )
        self.sexes[identity] = self.sexes.get(identity) or photo.sex
        if photo.sex and photo.sex != self.sexes[identity]:
            self._both_sexes.setdefault(identity, (photo.sex, one.face_id))
        self.drawn_as[identity] = identity if photo.box is None else photo.file
        self._columns.update(name for name in ("landmarks", "face_type") if getattr(photo, name) is not None)
        self._sexes_of_photos[photo.sex or "unknown"] += 1
        self._as_png += not one.as_it_is
        self._shapes_without_area.update(photo.ignored)
        if one.labels:
            self._columns.add("labels")
            self._label_pixels.update(one.label_pixels or {})
        if one.painted:
            self._indices.update(list(one.painted.indices))
            self._unpainted += one.painted.unpainted
            self._ignored_pixels += one.painted.ignored_pixels

    @property
    def columns(self) -> list[str]:
        """The columns of the table."""
        always = ["face_id", "identity", "sex", "split", "wears_mask", "image"]
        return always + [name for name in OPTIONAL if name in self._columns]

    def to_draw(self) -> dict[str, str | None]:
        """Return the sex of each person of whom the publisher has no split.

        Raises:
            UnmaskError: one of them is both female and male.
        """
        found = {identity: sex for identity, sex in self.sexes.items() if identity not in self.splits}
        for identity, (sex, face_id) in self._both_sexes.items():
            if identity in found:
                raise UnmaskError(
                    f"{self.dataset}: {identity} is {found[identity]} in one photo and {sex} in {face_id}, and a split "
                    "is drawn by sex: correct the list of sexes, or leave out the wrong photos in "
                    f"data/curation/{self.dataset}.csv"
                )
        return found

    def numbers(self, splits: Mapping[str, str]) -> dict[str, Any]:
        """Return what the metrics say, by the split of each person."""
        return {
            "identities": len(self.faces),
            "identities_with_one_photo": sum(count == 1 for count in self.faces.values()),
            "splits": {split: self._of_split(split, splits) for split in tables.SPLITS},
            "sexes": self._sexes_of_photos,
            "stored_anew_as_png": self._as_png,
            **({"label_pixels": self._label_pixels} if self._label_pixels else {}),
        }

    def labels(self) -> dict[str, Any]:
        """Return what in labels was passed over, and how often each index stands in them; without what is nothing."""
        numbers = {
            "label_indices": self._indices,
            "shapes_without_area": self._shapes_without_area,
            "shapes_outside": self._unpainted,
            "ignored_pixels": self._ignored_pixels,
        }
        return {name: number for name, number in numbers.items() if number}

    def _of_split(self, split: str, splits: Mapping[str, str]) -> dict[str, Any]:
        """Return how many faces and people a split has, and how many people of each sex if anybody's is known."""
        people = [identity for identity in self.sexes if splits[identity] == split]
        numbers = {"faces": sum(self.faces[identity] for identity in people), "identities": len(people)}
        if not any(self.sexes.values()):
            return numbers
        of_sex = Counter(self.sexes[identity] or "unknown" for identity in people)
        return numbers | {"sexes": {sex: of_sex[sex] for sex in (*tables.SEXES, "unknown")}}
