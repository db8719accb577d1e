"""RealOcc: RealOcc/image/<name>.jpg and RealOcc/mask/<name>.png, 1 where the face is visible.

Its archive is a 7z, which is not read here: unpack it, and put the folder RealOcc into the drop folder.

Run on a made-up copy only.
"""

from stages.core.errors import UnmaskError
from stages.data.files import Files
from stages.data.formats import image_label_pairs
from stages.data.photo import Photos
from stages.faces.parts import CLASSES


def photos(files: Files) -> Photos:
    """Return the photos, all of them for testing; what is visible of a face is labeled as skin.

    Raises:
        UnmaskError: the archive is still packed, or there is no such folder.
    """
    if any(name.lower().endswith(".7z") for name in files.names()):
        raise UnmaskError("RealOcc.7z is packed: unpack it (7z x RealOcc.7z) and drop the folder RealOcc in its place")
    return image_label_pairs.photos(files, CLASSES.index("skin"), split="test")
