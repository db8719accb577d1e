"""How weights are updated: AdamW, the learning rate over the steps, bfloat16, an optimizer for each side of a GAN."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS
from torch import nn

from stages.compute import device
from stages.training import decay


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Runs the forward pass under autocast; mmengine's AmpOptimWrapper does so on GPUs only.

    The weights stay float32, and unlike float16 it needs no scaled loss.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Yield within autocast."""
        with super().optim_context(model), torch.autocast(device.of(model).type, torch.bfloat16):
            yield


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class PartsOptimWrapperConstructor:
    """Gives a model an optimizer, or parts of it one each, as the two sides of a GAN need them.

    mmengine's own constructor would do for one optimizer, but lets numbers alone decay, such as an attention's gain.

    Args:
        optim_wrapper_cfg: of each wrapper; `parts` are the names of the model's modules that get one, none for one of
            the whole model.
        paramwise_cfg: mmengine's, not used.
    """

    def __init__(self, optim_wrapper_cfg: dict[str, Any], paramwise_cfg: object = None) -> None:
        del paramwise_cfg
        self.config = dict(optim_wrapper_cfg)
        self.parts = self.config.pop("parts")

    def __call__(self, model: nn.Module) -> OptimWrapper | OptimWrapperDict:
        """Return the wrapper, or the wrappers by the parts' names."""
        model = unwrapped(model)
        if not self.parts:
            return self._wrapper(model)
        return OptimWrapperDict(**{name: self._wrapper(getattr(model, name)) for name in self.parts})

    def _wrapper(self, part: nn.Module) -> OptimWrapper:
        groups = decay.groups(unwrapped(part))
        optimizer = OPTIMIZERS.build({**self.config["optimizer"], "params": groups})
        return OPTIM_WRAPPERS.build({**self.config, "optimizer": optimizer})


def options(
    *, steps: int, learning_rate: float, weight_decay: float, precision: str, parts: Sequence[str]
) -> dict[str, Any]:
    """Return what mmengine's Runner takes: AdamW, and a learning rate that rises linearly and falls on a cosine."""
    rise = max(1, steps // 20)
    return {
        "optim_wrapper": {
            "type": "OptimWrapper" if precision == "float32" else "BFloat16OptimWrapper",
            "optimizer": {
                "type": "AdamW",
                "lr": learning_rate,
                "weight_decay": weight_decay,
                "fused": True,  # three times as fast on a CPU
            },
            "clip_grad": {"max_norm": 10.0},
            "constructor": "PartsOptimWrapperConstructor",
            "parts": list(parts),
        },
        "param_scheduler": [
            {"type": "LinearLR", "start_factor": 0.05, "by_epoch": False, "begin": 0, "end": rise},
            {"type": "CosineAnnealingLR", "by_epoch": False, "begin": rise, "end": steps, "eta_min": 0.0},
        ],
    }


def unwrapped(model: nn.Module) -> nn.Module:
    """Return a model, or a part of one, without the wrapper through which several processes train it."""
    return model.module if is_model_wrapper(model) else model  # type: ignore[return-value]
