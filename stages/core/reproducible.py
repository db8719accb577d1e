"""`parallel.reproducible: strict`: the same bytes on every x86 processor, at the price of time.

Kernels add numbers up in an order that depends on the instructions and the threads that they use. Strict pins both to
what every x86 processor of the last ten years has: AVX2, two threads (more of them than cores if need be), float32, no
GPU. Libraries read these variables when they are loaded, so they are set before anything else is imported.
"""

import os
import re
from pathlib import Path

THREADS = 2  # of everything that computes on several
PINNED = {
    "ONEDNN_MAX_CPU_ISA": "AVX2",  # convolutions
    "ATEN_CPU_CAPABILITY": "avx2",  # torch's other kernels
    "MKL_CBWR": "AVX2",  # torch's matrix products
    "OPENBLAS_CORETYPE": "Haswell",  # numpy's
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",  # its other arithmetic
    "OPENCV_CPU_DISABLE": "AVX512-SKX",
    "OMP_NUM_THREADS": str(THREADS),
    "MKL_NUM_THREADS": str(THREADS),
    "OPENBLAS_NUM_THREADS": str(THREADS),
    "OMP_DYNAMIC": "FALSE",
    "MKL_DYNAMIC": "FALSE",
}


def strict(params_file: Path = Path("params.yaml")) -> bool:
    """Return whether `UNMASK_REPRODUCIBLE`, or else `parallel.reproducible` in params.yaml, says `strict`."""
    if said := os.environ.get("UNMASK_REPRODUCIBLE"):
        return said == "strict"
    try:
        text = params_file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    return re.search(r"^ +reproducible: *[\"']?strict\b", text, re.MULTILINE) is not None


def pin() -> None:
    """Set the variables in this process, and so in all that it starts, if `strict` is asked for."""
    if strict():
        os.environ.update(PINNED)
