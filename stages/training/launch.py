"""Several processes for one training: on the GPUs of a machine, on several machines, or on the CPU.

With `parallel.launcher: pytorch` in params.yaml a training stage starts itself once a GPU (or `parallel.processes`
times) through torchrun. For several machines, start it on each of them:

torchrun --nnodes 2 … -m stages.detection.train_detector …
"""

import functools
import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.distributed
import torch.distributed.run
from torch import Tensor, nn
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.nn.functional import all_reduce

from stages.compute import device
from stages.core import command, costs
from stages.core.errors import UnmaskError
from stages.core.parallel import settings
from stages.training import speed

Made = TypeVar("Made")


def run_stage(module_name: str) -> None:
    """Run a training stage, in one process or in several; see `command.run_stage`."""
    name = module_name.rpartition(".")[2]
    with command.errors_in_words(name):
        chosen = settings()
        if costs.current() and costs.known_speed() is None:  # `dvc repro` alone: nobody has asked for a forecast
            speed.measure()
    if chosen.launcher == "none" or _started_by_torchrun():
        command.run_stage(module_name)
        return
    with command.errors_in_words(name):
        gpus = torch.cuda.device_count() if device.chosen().type == "cuda" else 1
        _start(chosen.processes or gpus, module_name)


def _start(processes: int, module_name: str) -> None:
    """Run a training stage in several processes through torchrun, and end as they do.

    What goes wrong is said in words by the process that it happens to, and here if it was killed; torchrun itself says
    nothing.
    """
    for logger in ("agent.server.api", "multiprocessing.api"):
        logging.getLogger(f"torch.distributed.elastic.{logger}").setLevel(logging.CRITICAL)
    words = ["--standalone", f"--nproc-per-node={processes}", "-m", f"stages.{module_name}", *sys.argv[1:]]
    try:
        torch.distributed.run.main(words)
    except SignalException as error:
        if error.sigval == signal.SIGINT:
            raise KeyboardInterrupt from None
        sys.exit(128 + error.sigval)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        if failure.exitcode < 0:
            raise UnmaskError(
                f"process {rank} was killed by signal {-failure.exitcode}, most likely for lack of memory: run again "
                f"with fewer processes (`parallel.processes` in params.yaml) or a smaller batch"
            ) from None
        sys.exit(failure.exitcode)


def _started_by_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ


def join() -> None:
    """Join the other processes of this training, if there are any."""
    if not _started_by_torchrun() or torch.distributed.is_initialized():
        return
    own = device.chosen()
    if own.type == "cuda":
        torch.cuda.set_device(own)
    torch.distributed.init_process_group("nccl" if own.type == "cuda" else "gloo")


def first(make: Callable[[], object]) -> None:
    """Call a function in the first process alone, while the others wait for what it makes."""
    join()
    if not torch.distributed.is_initialized():
        make()
        return
    if torch.distributed.get_rank() == 0:
        make()
    torch.distributed.barrier()


def first_here(make: Callable[[], Made]) -> Made:
    """Return what a function makes in the first process of this machine; the others wait for it and get a copy.

    Raises:
        UnmaskError: what the function raises, in each of these processes.
    """
    join()
    if not torch.distributed.is_initialized():
        return make()
    made: list[Any] = [None]
    if os.environ["LOCAL_RANK"] == "0":
        try:
            made = [make()]
        except UnmaskError as error:
            made = [error]
    torch.distributed.broadcast_object_list(made, group=_here(), group_src=0)
    if isinstance(made[0], UnmaskError):
        raise made[0]
    found: Made = made[0]
    return found


@functools.cache
def _here() -> Any:
    """Return the group of the processes of this machine."""
    return torch.distributed.new_subgroups(int(os.environ["LOCAL_WORLD_SIZE"]))[0]


def synchronized(model: nn.Module) -> nn.Module:
    """Return a model whose batch norms see the batches of all processes, if there are several on the CPU.

    On GPUs torch's own does that, see `runner_options`.
    """
    if not torch.distributed.is_initialized() or device.chosen().type == "cuda":
        return model
    for module in model.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.modules.batchnorm._BatchNorm):
                own = SynchronizedBatchNorm(child.num_features, child.eps, child.momentum, child.affine)
                own.load_state_dict(child.state_dict())
                setattr(module, name, own)
    return model


class SynchronizedBatchNorm(nn.BatchNorm2d):
    """Batch norm over the batches of all processes, of which each may have another number of values."""

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002 -- torch's name for it
        """Take features (N, C) as well as maps (N, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x, (N, C, …), normalized by mean and variance over all processes; in evaluation by the stored ones."""
        if not self.training:
            return super().forward(x)
        over = [0, *range(2, x.ndim)]
        values = x.float()  # under autocast, sums of bfloat16 would be off
        # Differentiable sums: each process must learn from what its values do to the others' losses, too.
        n = torch.full((1,), values.numel() / values.shape[1], device=x.device)
        *total, n = all_reduce(torch.cat([values.sum(over), n])).split([values.shape[1], 1])
        mean = total[0] / n
        around = values - _of_channels(mean, x)
        variance = all_reduce(around.square().sum(over)) / n
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * n / (n - 1).clamp(min=1), self.momentum)
        scale = torch.rsqrt(variance + self.eps)
        found = around * _of_channels(scale if self.weight is None else scale * self.weight, x)
        return (found if self.bias is None else found + _of_channels(self.bias, x)).to(x.dtype)


def _of_channels(values: Tensor, x: Tensor) -> Tensor:
    return values.reshape(1, -1, *[1] * (x.ndim - 2))


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
    own = device.chosen()
    return {
        "launcher": "pytorch",
        "cfg": {
            "model_wrapper_cfg": {
                "type": "MMSeparateDistributedDataParallel" if apart else "MMDistributedDataParallel",
                "broadcast_buffers": False,
                # A process without a mask in its share of the batch has no use for the mask head, for one.
                "find_unused_parameters": not apart,
                "device_ids": [own.index] if own.type == "cuda" else None,
            },
            "sync_bn": "torch" if own.type == "cuda" else None,  # on the CPU: `synchronized`
        },
    }
