"""The LHC jet tagger: 16 features, hidden layers of 64, 32 and 32, five classes.

Source: J. Campos et al., ACM TRETS 17(3), 2024 (arXiv:2304.06745), section 5; first in
J. Duarte et al., JINST 13 P07027, 2018 (arXiv:1804.06913).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn


def build(
    features: int = 16,
    classes: int = 5,
    hidden: Sequence[int] = (64, 32, 32),
    batch_norm: bool = False,
) -> nn.Sequential:
    """Build the network.

    Args:
        features: Inputs.
        classes: Outputs: logits, there is no softmax.
        hidden: Width of each hidden layer.
        batch_norm: Whether to normalise each hidden layer's sum before its ReLU.

    Returns:
        fc1, [bn1,] relu1, ... and the last layer, ``fc4`` for three hidden layers.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    inputs = features
    for number, width in enumerate(hidden, start=1):
        layers[f"fc{number}"] = nn.Linear(inputs, width)
        if batch_norm:
            layers[f"bn{number}"] = nn.BatchNorm1d(width)
        layers[f"relu{number}"] = nn.ReLU()
        inputs = width
    layers[f"fc{len(hidden) + 1}"] = nn.Linear(inputs, classes)
    return nn.Sequential(layers)
