"""In which numbers a training computes: bfloat16 where the device has instructions for it, else float32."""

import sys
from typing import Literal

import torch

Precision = Literal["auto", "float32", "bfloat16"]
SLOWER = 8  # times: SCANet in bfloat16 against float32, on a processor with AVX2 only


def native_bfloat16(device: torch.device) -> bool:
    """Return whether a device computes convolutions in bfloat16 by instructions of its own."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu" or not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    has = torch.cpu.get_capabilities()
    # On an x86 processor with AVX-512 but without these, oneDNN converts each number back and forth.
    return has["architecture"] != "x86_64" or has["avx512_bf16"] or has["amx_bf16"]


def chosen(wanted: Precision, device: torch.device) -> Literal["float32", "bfloat16"]:
    """Return the precision that a training on a device uses.

    Args:
        wanted: `auto`: bfloat16 where the device computes in it natively, else float32. The other two are taken as
            they are; bfloat16 on a device without it is warned of.
        device: on which it runs.
    """
    if wanted == "float32":
        return wanted
    native = native_bfloat16(device)
    if wanted == "auto":
        return "bfloat16" if native else "float32"
    if not native:
        what = "this processor" if device.type == "cpu" else f"device {device.type}"
        print(
            f"precision: bfloat16, and {what} has no instructions for it: expect a training to take {SLOWER} times as "
            f"long as with `precision: auto`",
            file=sys.stderr,
        )
    return wanted
