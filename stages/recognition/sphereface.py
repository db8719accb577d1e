"""SphereFace for any margin from 1 on: a face's angle to its own person counts `margin` times.

It is SphereFace-R, version 1 (arXiv:2109.05565), with hard feature normalization: the cosine of the angle to the own
person, cos(angle), becomes cos(min(margin * angle, pi)), the cosines to others stay, and all of them times a fixed
scale go into a softmax. So the number never leaves [-scale, scale] and never rises with the angle, from 0 to pi, whole
margin or not. The A-softmax of the first SphereFace (arXiv:1704.08063) needs a whole one where it is computed by
multiple-angle formulas, and its scale is the length of the embedding.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class SphereFace(nn.Module):
    """A softmax over cosines, in which the angle to the own person is multiplied by a margin.

    Args:
        identities: how many people there are.
        size: length of an embedding.
        margin: by which factor an angle to the own person must be smaller; 1 is no margin.
        scale: of the cosines before the softmax.
    """

    def __init__(self, identities: int, size: int, *, margin: float, scale: float) -> None:
        super().__init__()
        self.people = nn.Parameter(torch.randn(identities, size))
        self.margin, self.scale = margin, scale

    def forward(self, embeddings: Tensor, people: Tensor) -> Tensor:
        """Return the mean loss of embeddings (n, size) of the people of these numbers, (n,)."""
        cosines = functional.normalize(embeddings) @ functional.normalize(self.people).T
        own = cosines.gather(1, people[:, None])
        # The slope is the plain cosine's, as the paper has it (characteristic gradient detachment): so a face beyond
        # pi / margin is still drawn to its person, and the infinite slope of arccos at its ends is not met.
        with torch.no_grad():
            angles = own.clamp(-1, 1).arccos()
            change = torch.cos((self.margin * angles).clamp(max=math.pi)) - own
        return functional.cross_entropy(self.scale * cosines.scatter_add(1, people[:, None], change), people)
