"""Networks of small whole numbers, which quantization leaves as they are.

With weights -1, 0 and 1, whole biases and inputs, and batch norms that divide by powers
of two, every value has few bits: a quantized network must equal the float one exactly.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

BITS = 16
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


@torch.no_grad()
def make_whole(network: nn.Module, seed: int = 0) -> nn.Module:
    """Overwrite all parameters and statistics; give the network in evaluation mode."""
    torch.manual_seed(seed)
    for module in network.modules():
        if isinstance(module, _NORMS):
            module.eps = 0.0
            module.running_mean.copy_(torch.randint(-3, 4, module.running_mean.shape))
            module.running_var.copy_(4.0 ** torch.randint(0, 3, module.weight.shape))
            module.weight.copy_(2.0 ** torch.randint(0, 3, module.weight.shape))
            module.bias.copy_(torch.randint(-3, 4, module.bias.shape))
        elif isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
            signs = torch.randint(-1, 2, module.weight.shape)
            kept = torch.rand(module.weight.shape) < 0.5
            module.weight.copy_(signs * kept)
            if module.bias is not None:
                module.bias.copy_(torch.randint(-3, 4, module.bias.shape))
    return network.eval()


def whole_samples(*shape: int, samples: int = 64, seed: int = 0) -> NDArray[np.float32]:
    """Draw inputs from -4 to 4."""
    rng = np.random.default_rng(seed)
    return rng.integers(-4, 5, size=(samples, *shape)).astype(np.float32)


@torch.no_grad()
def run_double(network: nn.Module, x: NDArray[np.float32]) -> NDArray[np.float64]:
    """Run a network as PyTorch does, in float64."""
    y = network.double()(torch.from_numpy(x).double())
    network.float()
    return getattr(y, "value", y).numpy()
