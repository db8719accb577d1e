"""The stages of the pipeline, and what they stand on."""

from stages.common import reproducible

reproducible.pin()  # before any library is loaded that computes
