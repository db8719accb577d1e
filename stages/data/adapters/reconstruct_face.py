"""Photos of "A Deep Learning Framework to Reconstruct Face under Mask": labelme's JSON beside each, with polygons.

Run on a made-up copy only.
"""

from stages.data.formats import labelme

photos = labelme.photos
