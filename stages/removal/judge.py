"""What is known of a face and what is not: whether it wears a mask, and its sex. Every tool asks this alike.

No mask is removed or filled in before.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import ConfigDict, Field

from stages.core import images
from stages.core.images import Pixels
from stages.core.params import Section
from stages.faces.landmarks import Points
from stages.landmarks import worn as worn_masks


@dataclass(frozen=True)
class Worn:
    """Whether a mask is worn, and from what that is said.

    Attributes:
        probability: that a mask is worn, by the classifier beside the landmarker.
        share: of the aligned face that the region of the mask takes.
        by: what says so: `classifier`, `region`; empty if nothing does.
    """

    probability: float
    share: float
    by: tuple[str, ...]

    def __bool__(self) -> bool:
        """Tell whether a mask is worn."""
        return bool(self.by)


class Judge(Section):
    """Part of section `try_photo:` of params.yaml, which all tools share."""

    model_config = ConfigDict(extra="ignore")

    worn_threshold: float = Field(ge=0, le=1)
    """From this probability on, which the classifier gives, a mask is worn."""
    possible_threshold: float = Field(ge=0, le=1)
    """From this probability on, a found region of at least `min_share` says so, too."""
    min_share: float = Field(ge=0, le=1)
    """Share of the aligned face from which on a found region counts."""
    certain_sex: float = Field(ge=0.5, le=1)
    """From this probability on, which the classifier of the sex gives, it is said; below, it is unsure."""

    def sex(self, female: float | None) -> str | None:
        """Return the sex, given how likely the person is a woman; None if that is unsure, or was not asked."""
        if female is None or max(female, 1 - female) < self.certain_sex:
            return None
        return "female" if female >= 0.5 else "male"

    def __call__(self, probability: float, region: Pixels) -> Worn:
        """Return whether a mask is worn, given the classifier's probability and the region (h, w) that was found."""
        share = float((region > 0).mean())
        # The parser takes sunglasses or a colored light for a mask more often than the classifier misses one.
        says = {
            "classifier": probability >= self.worn_threshold,
            "region": share >= self.min_share and probability >= self.possible_threshold,
        }
        return Worn(probability, share, tuple(name for name, is_so in says.items() if is_so))


def probabilities(photo: Pixels, faces: Sequence[Points], long_side: int) -> list[float]:
    """Return how likely each face of an RGB photo (H, W, 3), with landmarks (68, 2), wears a mask, by the classifier.

    Args:
        photo: of any size.
        faces: landmarks, pixels of the photo.
        long_side: a larger photo is shrunk to it, pixels.
    """
    small = images.shrunk(photo, long_side)
    factors = np.array(small.shape[1::-1]) / np.array(photo.shape[1::-1])
    return worn_masks.probabilities(small, [(points + 0.5) * factors - 0.5 for points in faces])
