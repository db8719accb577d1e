"""Several processes for one training: on the GPUs of a machine, on several machines, or on the CPU.

With `parallel.launcher: pytorch` in params.yaml a training stage starts itself once a GPU (or `parallel.processes`
times) through torchrun. For several machines, start it there: `torchrun --nnodes 2 … -m stages.train_detector …`.
"""

import os
import subprocess
import sys
from typing import Any

import torch
import torch.distributed

from stages.common import command
from stages.common.parallel import settings


def run_stage(name: str) -> None:
    """Run a training stage, in one process or in several; see `command.run_stage`."""
    with command.errors_in_words(name):
        chosen = settings()
    if chosen.launcher == "none" or _started_by_torchrun():
        command.run_stage(name)
        return
    processes = chosen.processes or max(1, torch.cuda.device_count())
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    done = subprocess.run([*torchrun, "-m", f"stages.{name}", *sys.argv[1:]], check=False)  # noqa: S603 -- our own
    sys.exit(done.returncode)


def _started_by_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ


def join() -> None:
    """Join the other processes of this training, if there are any."""
    if not _started_by_torchrun() or torch.distributed.is_initialized():
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")


def leave(rank: int) -> None:
    """Leave them; all but the first process end here, as the first one writes the results."""
    if not torch.distributed.is_initialized():
        return
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    if rank:
        sys.exit(0)


def runner_options(*, apart: bool) -> dict[str, Any]:
    """Return the options of mmengine's Runner for several processes.

    Args:
        apart: whether parts of the model are trained apart, each by its own optimizer.
    """
    if not torch.distributed.is_initialized():
        return {}
    gpu = torch.cuda.is_available()
    return {
        "launcher": "pytorch",
        "cfg": {
            "model_wrapper_cfg": {
                "type": "MMSeparateDistributedDataParallel" if apart else "MMDistributedDataParallel",
                "broadcast_buffers": False,
                "device_ids": [int(os.environ["LOCAL_RANK"])] if gpu else None,
            },
            "sync_bn": "torch" if gpu else None,  # torch has no synchronized batch norm for the CPU
        },
    }
