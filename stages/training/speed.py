"""How fast this machine is at two small pieces of work, from which `costs` forecasts what stages take."""

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from stages.compute import device
from stages.core import costs, metrics
from stages.core.parallel import settings
from stages.training import precision

SECONDS = 3.0  # for which a piece of work is repeated


def measure() -> costs.Speed:
    """Measure this machine for some seconds, write that down for the stages to come, and return it."""
    found = {"network": _network(), "single": _milliseconds(_single)}
    metrics.write(costs.SPEED, {"milliseconds": found, "of": costs.machine()})
    return found


def _milliseconds(work: Callable[[], object]) -> float:
    """Return what the fastest repeat takes: others that use the machine make some repeats half as long again."""
    work()
    times: list[float] = []
    while sum(times) < SECONDS:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times) * 1000


def _single() -> None:
    """Do some arithmetic on one thread."""
    values = np.random.default_rng(0).normal(size=200_000)
    np.sort(values)
    np.exp(values)
    sum(index * index for index in range(50_000))


def _network() -> float:
    """Return milliseconds of a training step of a few layers, in the precision that `auto` chooses here."""
    on = device.chosen()
    layers = [*_block(3, 32), *_block(32, 32), nn.MaxPool2d(2), *_block(32, 64), nn.Upsample(scale_factor=2.0)]
    net = nn.Sequential(*layers, *_block(64, 16)).to(on).to(memory_format=torch.channels_last)
    images = torch.zeros(16, 3, 56, 56, device=on).to(memory_format=torch.channels_last)
    narrow = precision.chosen("auto", on) == "bfloat16"

    def step() -> float:
        with torch.autocast(on.type, torch.bfloat16, enabled=narrow):
            loss = net(images).float().square().mean()
        loss.backward()
        return float(loss.detach())  # waits for a GPU

    threads = torch.get_num_threads()
    torch.set_num_threads(settings().threads)
    try:
        return _milliseconds(step)
    finally:
        torch.set_num_threads(threads)


def _block(channels: int, out: int) -> list[nn.Module]:
    return [nn.Conv2d(channels, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
