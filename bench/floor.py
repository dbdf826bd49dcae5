"""How fast it could be at best: the floating-point operations of a transformer, and the rate of this machine."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of a BERT."""

    layers: int
    hidden: int
    inner: int

    def operations(self, lengths: Iterable[int]) -> float:
        """Of encoding texts of so many tokens each: matrix products only, without any padding.

        A token takes 2 * (4 * hidden^2 + 2 * hidden * inner) a layer for the projections, and a text of n tokens
        4 * n^2 * hidden a layer for attention.
        """
        linear = 2 * (4 * self.hidden**2 + 2 * self.hidden * self.inner)
        return float(sum(self.layers * (n * linear + 4 * n * n * self.hidden) for n in lengths))


def matrix_rate(device: str = "cpu", dtype: torch.dtype = torch.float32, *, size: int = 2_048) -> float:
    """Floating-point operations a second of the best of many products of square matrices, tried for two seconds."""
    left = torch.rand(size, size, device=device).to(dtype)
    right = torch.rand(size, size, device=device).to(dtype)
    best = float("inf")
    until = time.perf_counter() + 2
    while time.perf_counter() < until:
        began = time.perf_counter()
        left @ right
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best
