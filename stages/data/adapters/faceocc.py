"""FaceOcc's test set: COFW_test/img/<name>.* and COFW_test/mask/<name>.png, 255 where the face is visible.

What is visible of a face is labeled as skin. FaceOcc's occluders (RGBA, the occluder in alpha) are no photos of faces:
put them into data/occluders, from where the extractor's training takes them.

Run on a made-up copy only.
"""

import functools

from stages.data.formats import image_label_pairs
from stages.faces.parts import CLASSES

photos = functools.partial(image_label_pairs.photos, class_id=CLASSES.index("skin"), below="COFW_test", split="test")
