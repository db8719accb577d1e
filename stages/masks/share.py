"""On which faces masks are drawn."""

from stages.core.seeding import fraction


def is_drawn(face_id: str, share: float, seed: int) -> bool:
    """Tell whether a face is of the share that gets a mask, if it can: by its name, whoever else is there."""
    return fraction(seed, "render_masks share", face_id) < share
