"""The networks of the inpainting GAN: a U-Net of gated convolutions, and a spectrally normalized patch discriminator.

Images are float32 RGB (n, 3, h, w), 0 to 1; regions float32 (n, 1, h, w), 1 in the hole and 0 around it.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from stages.faces.resize import resized

SLOPE = 0.2  # of leaky ReLUs below 0
HALVED = 4  # by how much features are smaller than what goes in, at most


class GatedConv(nn.Module):
    """A convolution whose output passes through gates that it learned: what is a hole and what is not.

    "Free-Form Image Inpainting with Gated Convolution", arXiv:1806.03589.

    Args:
        channels: of the input.
        out: channels of the output.
        stride: of the convolution.
        dilation: of the convolution.
    """

    def __init__(self, channels: int, out: int, *, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 2 * out, 3, stride, padding=dilation, dilation=dilation)
        nn.init.kaiming_normal_(self.conv.weight, SLOPE)
        with torch.no_grad():
            self.conv.weight[:out] *= 2  # as gates stand half open at first, and signals should not fade with depth
        nn.init.zeros_(self.conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return features (n, out, h / stride, w / stride)."""
        return _gated(self.conv(x))


def _gated(x: Tensor) -> Tensor:
    value, gate = x.chunk(2, 1)
    return functional.leaky_relu(value, SLOPE) * torch.sigmoid(gate)


def enlarged(x: Tensor, weight: Tensor) -> Tensor:
    """Return the 3 x 3 convolution of features whose every pixel is doubled both ways, with a border of zeros.

    That is a transposed convolution with a kernel of 4 x 4, which needs four multiplications where the other needs
    nine: each output sees four pixels, some of them several times.

    Args:
        x: features (n, c, h, w).
        weight: of the convolution, (out, c, 3, 3).

    Returns:
        (n, out, 2 h, 2 w), as `conv2d(interpolate(x, scale_factor=2), weight, padding=1)`, but for rounding.
    """
    sums = 4 * functional.avg_pool2d(functional.pad(weight, (1, 1, 1, 1)), 2, 1)
    return functional.conv_transpose2d(x, sums.flip(2, 3).transpose(0, 1), stride=2, padding=1)


class GatedUp(GatedConv):
    """A gated convolution of features doubled in size, beside those of that size which the way down has left.

    Args:
        channels: of the features to enlarge.
        skipped: channels of the others.
        out: channels of the output.
    """

    def __init__(self, channels: int, skipped: int, out: int) -> None:
        super().__init__(channels + skipped, out)
        self.channels = channels

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Return features (n, out, 2 h, 2 w) of (n, channels, h, w) and (n, skipped, 2 h, 2 w)."""
        ours, theirs = self.conv.weight.split([self.channels, skip.shape[1]], 1)
        return _gated(enlarged(x, ours) + functional.conv2d(skip, theirs, self.conv.bias, padding=1))


class Enlarge(nn.Conv2d):
    """A 3 x 3 convolution of features doubled in size: one of subpixels of their own would leave a pattern."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__(channels, out, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Return features (n, out, 2 h, 2 w)."""
        return enlarged(x, self.weight) + self.bias[:, None, None]


class Generator(nn.Module):
    """Fills a hole: the mean face, fitted in gain and offset to what is visible, plus what a gated U-Net adds to it.

    With the mean face to start from, few photos and minutes are enough: it need not learn where a mouth is. Neighbors
    go in together, as channels of one place: the finest layers would take most of the time, and from the middle of a
    hole in a large image the others would not see its border.

    Args:
        channels: of the finest features; deeper ones have two and four times as many.
        size: side of the images it is trained on, pixels.
        patch: pixels each way that go in together, a power of two.
    """

    def __init__(self, channels: int, size: int, patch: int = 2) -> None:
        super().__init__()
        c = channels
        self.stride = HALVED * patch  # a multiple of which the sides are made
        self.register_buffer("mean_face", torch.full((1, 3, size, size), 0.5))
        self.down = nn.ModuleList(
            [
                nn.Sequential(nn.PixelUnshuffle(patch), GatedConv(patch**2 * 7, c), GatedConv(c, c)),
                nn.Sequential(GatedConv(c, 2 * c, stride=2), GatedConv(2 * c, 2 * c)),
                nn.Sequential(
                    GatedConv(2 * c, 4 * c, stride=2),
                    GatedConv(4 * c, 4 * c, dilation=2),
                    GatedConv(4 * c, 4 * c, dilation=4),
                    GatedConv(4 * c, 4 * c),
                ),
            ]
        )
        self.up = nn.ModuleList([GatedUp(4 * c, 2 * c, 2 * c), GatedUp(2 * c, c, c)])
        last: list[nn.Module] = [GatedConv(c, c)]
        for number in range(doublings(patch)):
            last += [Enlarge(c // 2 if number else c, c // 2), nn.LeakyReLU(SLOPE)]
        self.last = nn.Sequential(*last, nn.Conv2d(c // 2, 3, 3, padding=1))
        nn.init.zeros_(self.last[-1].weight)  # so that training starts from the fitted mean face

    def forward(self, images: Tensor, regions: Tensor) -> Tensor:
        """Return what the whole image would be, (n, 3, h, w); values may lie a little outside 0 to 1.

        Args:
            images: what they hold in the hole is not looked at. Height and width of any size.
            regions: where the hole is.
        """
        height, width = images.shape[2:]
        pad = (0, -width % self.stride, 0, -height % self.stride)
        prior = fitted(self.mean_face, images, regions)
        inputs = torch.cat([2 * images * (1 - regions) - 1, regions, 2 * prior - 1], 1)
        x = functional.pad(inputs, pad, mode="replicate")
        skips = []
        for step in self.down:
            x = step(x)
            skips.append(x)
        skips.pop()
        for step in self.up:
            x = step(x, skips.pop())
        return prior + self.last(x)[..., :height, :width]


class Discriminator(nn.Module):
    """Judges patches: is this a photo, or was it filled in?

    A hinge loss over patches of 46 pixels, 94 where the generator's `patch` is 4 (SN-PatchGAN, arXiv:1806.03589).

    Args:
        channels: of the first features; the deeper ones have two and four times as many.
        patch: of the generator: what it sees more of is judged by more, too.
    """

    def __init__(self, channels: int, patch: int = 2) -> None:
        super().__init__()
        c = channels
        sizes = [(4, c), (c, 2 * c), (2 * c, 4 * c), *[(4 * c, 4 * c)] * (doublings(patch) - 1)]
        self.steps = nn.ModuleList(spectral_norm(nn.Conv2d(a, b, 4, 2, 1)) for a, b in sizes)
        self.last = spectral_norm(nn.Conv2d(4 * c, 1, 4, 1, 1))

    def forward(self, images: Tensor, regions: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the verdict of each patch (n, 1, h/8, w/8 or fewer), high for a photo, and the features it is from."""
        x, features = torch.cat([2 * images - 1, regions], 1), []
        for step in self.steps:
            x = functional.leaky_relu(step(x), SLOPE)
            features.append(x)
        return self.last(x), features


def doublings(patch: int) -> int:
    """Return how often an image is doubled in size until each of its pixels has become a patch."""
    return patch.bit_length() - 1


def fitted(mean_face: Tensor, images: Tensor, regions: Tensor) -> Tensor:
    """Return the mean face in the light of each image: gain and offset of least squares over what is visible.

    Args:
        mean_face: (1, 3, h', w').
        images: (n, 3, h, w).
        regions: (n, 1, h, w).

    Returns:
        (n, 3, h, w); where nothing is visible or the visible part has no contrast, the mean face as it is.
    """
    face = mean_face.float()
    if face.shape[2:] != images.shape[2:]:
        face = resized(face, (images.shape[2], images.shape[3]))
    visible = (1 - regions).float()
    total = visible.sum((2, 3), keepdim=True).clamp(min=1)
    of_face = (face * visible).sum((2, 3), keepdim=True) / total
    of_image = (images * visible).sum((2, 3), keepdim=True) / total
    around = (face - of_face) * visible
    spread = (around * around).sum((2, 3), keepdim=True)
    gain = (around * (images - of_image)).sum((2, 3), keepdim=True) / spread.clamp(min=1e-6)
    return torch.where(spread > 1e-3, of_image + gain * (face - of_face), face.expand_as(images))
