"""LPIPS, a distance of images that follows people's judgment (R. Zhang et al., arXiv:1801.03924).

torchmetrics has the network and ships its learned weights, but lets torchvision download those of AlexNet. Here they
come from a file, as nothing is downloaded while the pipeline runs.
"""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor
from torchmetrics.functional.image.lpips import _LPIPS

from stages.compute import device, weights
from stages.core.errors import UnmaskError
from stages.core.images import Pixels


class Lpips:
    """The distance, with AlexNet's features.

    Args:
        alexnet: torchvision's state dict of AlexNet, trained on ImageNet.

    Raises:
        UnmaskError: no such file, or it holds something else.
    """

    def __init__(self, alexnet: Path) -> None:
        name = "evaluate_inpainting.alexnet"
        state = weights.load_published(alexnet, name)
        self.network = _LPIPS(pretrained=True, net="alex", pnet_rand=True)
        for part in self.network.net.children():
            for index, layer in part.named_children():  # numbered as AlexNet's `features` are
                own = {key: state.get(f"features.{index}.{key}") for key in layer.state_dict()}
                if any(not isinstance(tensor, Tensor) for tensor in own.values()):
                    raise UnmaskError(f"{name}: {alexnet} holds no AlexNet: features.{index} is missing")
                layer.load_state_dict(own)
        device.placed(self.network)

    def __call__(self, some: Sequence[Pixels], others: Sequence[Pixels]) -> list[float]:
        """Return the distance of each two RGB images, uint8 (H, W, 3) of one size; 0 for equal ones."""
        return [float(found) for found in device.apply(self.distances, device.of(self.network), some, others)]

    def distances(self, some: Tensor, others: Tensor) -> Tensor:
        """Return the same (n,), of images uint8 (n, 3, H, W) on the network's device."""
        one, other = (images.float() / 127.5 - 1 for images in (some, others))
        return self.network(one, other).flatten()
