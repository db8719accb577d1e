"""The training of an inpainter: generator and discriminator in turn, and the mean of the generator's weights."""

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.model import BaseModel, ExponentialMovingAverage
from mmengine.optim import OptimWrapperDict
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from stages.core.params import Section
from stages.inpainting.networks import Discriminator, Generator
from stages.training.optimization import unwrapped

Losses = dict[str, Tensor]


class LossWeights(Section):
    """How much each loss counts."""

    hole: float = Field(ge=0)
    """Mean absolute difference in the hole."""
    context: float = Field(ge=0)
    """Mean absolute difference around the hole."""
    structure: float = Field(ge=0)
    """1 - SSIM of the brightness in the hole."""
    adversarial: float = Field(ge=0)
    """What the discriminator says of the result (hinge)."""
    features: float = Field(ge=0)
    """Mean absolute difference of the discriminator's features."""
    identity: float = Field(ge=0)
    """1 - cosine of the recognizer's embeddings of result and photo."""

    def pixels_alone(self) -> "LossWeights":
        """Return the weights of a training with differences of pixels alone."""
        return self.model_copy(update=dict.fromkeys(("structure", "adversarial", "features", "identity"), 0.0))


class InpaintingGAN(BaseModel):  # type: ignore[misc] -- mmengine has no types
    """A generator that is trained against a discriminator.

    Args:
        generator: fills holes.
        discriminator: trained with it; not used where `weights` has neither `adversarial` nor `features`.
        recognizer: maps images (n, 3, h, w), 0 to 1, to embeddings; it is not trained.
        weights: of the losses.
        ema_momentum: share of the newest weights in the generator's exponential moving average.
    """

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator,
        recognizer: nn.Module | None,
        weights: LossWeights,
        ema_momentum: float,
    ) -> None:
        super().__init__()
        self.generator, self.discriminator, self.recognizer = generator, discriminator, recognizer
        self.averaged = ExponentialMovingAverage(generator, ema_momentum)
        self.weights = weights
        if recognizer is not None:
            recognizer.requires_grad_(False)

    def train(self, mode: bool = True) -> "InpaintingGAN":
        """Set the mode of all but the recognizer, whose statistics stay as they were trained."""
        super().train(mode)
        if self.recognizer is not None:
            self.recognizer.train(False)
        return self

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = "tensor") -> Any:
        """Return what the averaged generator makes of images and regions; `mode` is mmengine's and only `tensor`."""
        del mode
        return self.averaged(inputs, data_samples)

    def train_step(self, data: Mapping[str, Any], optim_wrapper: OptimWrapperDict) -> Losses:
        """Update generator, then discriminator; return the losses, not weighted, and `loss`, what is minimized.

        Args:
            data: a batch of `samples.sample`.
            optim_wrapper: of `generator` and `discriminator`.
        """
        device = next(self.generator.parameters()).device
        masked, photos = (
            torch.stack(some).to(device).float() / 255
            for some in (list(data["inputs"]), [sample.photo for sample in data["data_samples"]])
        )
        regions = torch.stack([sample.region for sample in data["data_samples"]]).to(device).float()
        of_generator, of_discriminator = optim_wrapper["generator"], optim_wrapper["discriminator"]
        judged = self.weights.adversarial > 0 or self.weights.features > 0
        with of_generator.optim_context(self.generator):
            made = self.generator(masked, regions)
            filled = made * regions + photos * (1 - regions)
            losses = self._pixels(made, photos, regions)
            if self.weights.structure:
                similar = structure(filled.float().mean(1, keepdim=True), photos.mean(1, keepdim=True))
                losses["loss_structure"] = 1 - (similar * regions).sum() / regions.sum().clamp(min=1)
            if judged:
                losses |= self._verdict(filled, photos, regions)
            if self.weights.identity and self.recognizer is not None:
                same = functional.cosine_similarity(self.recognizer(filled), self.recognizer(photos))
                losses["loss_identity"] = 1 - same.float().mean()
        weights = dict(self.weights)
        total = torch.stack([weights[name.removeprefix("loss_")] * value for name, value in losses.items()]).sum()
        of_generator.update_params(total)
        self.averaged.update_parameters(unwrapped(self.generator))
        if judged:
            with of_discriminator.optim_context(self.discriminator):
                on_photos, _ = self.discriminator(photos, regions)
                on_filled, _ = self.discriminator(filled.detach(), regions)
                of_verdicts = functional.relu(1 - on_photos).mean() + functional.relu(1 + on_filled).mean()
            of_discriminator.update_params(of_verdicts.float())
            losses["loss_discriminator"] = of_verdicts.float()
        return {**{name: value.detach() for name, value in losses.items()}, "loss": total.detach()}

    def _pixels(self, made: Tensor, photos: Tensor, regions: Tensor) -> Losses:
        difference = (made.float() - photos).abs().mean(1, keepdim=True)
        inside, around = regions.sum().clamp(min=1), (1 - regions).sum().clamp(min=1)
        return {
            "loss_hole": (difference * regions).sum() / inside,
            "loss_context": (difference * (1 - regions)).sum() / around,
        }

    def _verdict(self, filled: Tensor, photos: Tensor, regions: Tensor) -> Losses:
        self.discriminator.requires_grad_(False)
        verdict, features = self.discriminator(filled, regions)
        with torch.no_grad():
            _, wanted = self.discriminator(photos, regions)
        self.discriminator.requires_grad_(True)
        distances = [(one - other).abs().float().mean() for one, other in zip(features, wanted, strict=True)]
        return {"loss_adversarial": -verdict.float().mean(), "loss_features": torch.stack(distances).mean()}


def structure(one: Tensor, other: Tensor) -> Tensor:
    """Return the SSIM of each pixel (Wang et al. 2004), for training: windows are 7x7 and not Gaussian.

    torchmetrics' takes as long as all other losses together: its windows are convolutions.

    Args:
        one: float32 (n, 1, h, w), 0 to 1.
        other: of the same shape.

    Returns:
        (n, 1, h, w), at most 1.
    """
    moments = torch.cat([one, other, one * one, other * other, one * other], 1)
    with torch.autocast(one.device.type, enabled=False):  # variances need more than bfloat16's three digits
        moments = functional.avg_pool2d(moments, 7, 1, 3, count_include_pad=False)
        a, b, aa, bb, ab = moments.split(1, 1)
        same_light = (2 * a * b + 0.01**2) / (a * a + b * b + 0.01**2)
        return same_light * (2 * (ab - a * b) + 0.03**2) / (aa - a * a + bb - b * b + 0.03**2)
