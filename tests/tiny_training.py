"""A training of a second, to be run as a program: `python -m tests.tiny_training rows.json [steps to sleep after]`."""

import json
import sys
import time
from pathlib import Path

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.utils.data import Dataset

from stages.training import loop
from stages.training.rows import on_disk
from stages.training.trained import Trained


class Sample:
    """Stands for mmengine's data sample."""

    def __init__(self, face_id: str, value: float) -> None:
        self.metainfo, self.value = {"face_id": face_id}, value


class Line(Dataset):
    """Points of a line, with noise that depends on the round."""

    def __init__(self, n: int = 24, broken: int | None = None) -> None:
        self.n, self.broken, self.seed = n, broken, 1
        self.rows = on_disk({"x": [index / n, (index * 7 % n) / n]} for index in range(n))

    def __len__(self) -> int:
        """Return the number of points."""
        return self.n

    def __getitem__(self, key: int) -> dict:
        """Return a point."""
        turn, index = divmod(key, self.n)
        x = torch.tensor(self.rows[index]["x"])
        noise = torch.randn(2, generator=torch.Generator().manual_seed(key)) * 0.02
        target = float(3 * x[0] - x[1] + 0.001 * turn)
        return {
            "inputs": x + noise,
            "data_samples": Sample(f"t/p/{index}", float("nan") if index == self.broken else target),
        }


class Net(BaseModel):
    """Two layers and a batch norm; `torch.rand` in its forward pass shows whether generators are restored."""

    def __init__(self, sleep: float = 0) -> None:
        super().__init__()
        # OpenMMLab's configs have SyncBatchNorm: in several processes it must see the whole batch. A bias before it
        # would only follow rounding errors.
        norm = nn.SyncBatchNorm(16)
        self.layers = nn.Sequential(nn.Linear(2, 16, bias=False), norm, nn.ReLU(), nn.Linear(16, 1))
        self.sleep = sleep

    def forward(self, inputs: list[Tensor], data_samples: list[Sample], mode: str = "tensor") -> dict:
        """Return the loss."""
        assert mode == "loss"
        time.sleep(self.sleep)
        x = torch.stack(inputs)
        x = x + 0.1 * torch.rand(2)
        target = torch.tensor([sample.value for sample in data_samples])[:, None]
        return {"loss": nn.functional.mse_loss(self.layers(x), target)}


def schedule(**changes: object) -> loop.Schedule:
    """Return a schedule of 30 steps."""
    values = {
        "steps": 30,
        "batch_size": 8,
        "learning_rate": 0.05,
        "weight_decay": 0.0,
        "checkpoint_every": 5,
        "precision": "float32",
    }
    return loop.Schedule(**{**values, **changes})


def train(sleep: float = 0, **changes: object) -> Trained:
    """Train."""
    return loop.train(lambda: Net(sleep), Line(), schedule(**changes), name="tiny", key="k")


if __name__ == "__main__":
    trained = train(float(sys.argv[2]) if len(sys.argv) > 2 else 0)
    weights = [float(value) for parameter in trained.model.parameters() for value in parameter.flatten()]
    Path(sys.argv[1]).write_text(json.dumps({"rows": trained.rows, "weights": weights}))
