"""Photos of "A Deep Learning Framework to Reconstruct Face under Mask": labelme's JSON beside each, with polygons."""

from stages.data.formats import labelme

photos = labelme.photos
