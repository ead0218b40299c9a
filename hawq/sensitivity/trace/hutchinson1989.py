"""The Girard-Hutchinson estimator.

``tr H = E[vᵀ H v]`` and ``diag H = E[v ∘ H v]`` for v of independent signs; the
variance of one probe is ``2 Σ_{i≠j} H_ij²``.

Source: M. F. Hutchinson, "A stochastic estimator of the trace of the influence matrix
for Laplacian smoothing splines", Communications in Statistics 18 (1989) 1059.
"""

from __future__ import annotations

import numpy as np

from hawq.sensitivity.trace.estimate import Estimate, Product, rademacher


def hutchinson(
    product: Product, dimension: int, probes: int, generator: np.random.Generator
) -> Estimate:
    """Average ``vᵀ H v``.

    Args:
        product: H times rows.
        dimension: Of H.
        probes: Products to spend, at least 2.
        generator: Of the probes.

    Returns:
        Trace, error and diagonal.

    >>> h = np.diag([1.0, 2.0, 3.0])
    >>> hutchinson(lambda v: v @ h, 3, 2, np.random.default_rng(0)).trace
    6.0
    """
    v = rademacher(generator, probes, dimension)
    parts = v * product(v)
    traces = parts.sum(1)
    return Estimate(
        trace=float(traces.mean()),
        error=float(traces.std(ddof=1) / np.sqrt(probes)),
        diagonal=parts.mean(0),
    )
