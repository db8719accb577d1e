"""Backend `csv`: the landmarks that came with the photos, e.g. in Face_Mask_Generator's CSV file.

An adapter reads them into the face table (`stages/data/adapters`); this backend takes them from there.
"""

from stages.core.images import Pixels
from stages.core.tables import Face
from stages.faces.landmarks import Points
from stages.landmarks.boxes import Box

NEEDS_BOX = False


def points(image: Pixels, face: Face, box: Box | None) -> Points | None:
    """Return the given landmarks, float32 (68, 2), or None if the publisher gave none for this face."""
    del image, box
    return face.get("landmarks")
