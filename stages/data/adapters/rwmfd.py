"""RWMFD: RWMFD_part_<n>/<folder>/*.jpg, photos from the web; its folders are pages, crowds and adverts, no people.

Run on a made-up copy only.
"""

from stages.data.formats import photo_folder

photos = photo_folder.photos
