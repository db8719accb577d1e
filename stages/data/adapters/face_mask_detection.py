"""Face Mask Detection of Kaggle: images/maksssksksss<n>.png and annotations/maksssksksss<n>.xml, Pascal VOC.

Photos of one or many faces, each with a box: `with_mask`, `without_mask` or `mask_weared_incorrect`.
"""

from stages.data.formats import pascal_voc

photos = pascal_voc.photos
