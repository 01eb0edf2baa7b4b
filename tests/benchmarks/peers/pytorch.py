"""PyTorch on the CPU, eager: autocast for bfloat16, and the fused Adam. It is imported when a network is built."""

from typing import Any

import numpy as np

from tests.benchmarks.clock import Work
from tests.benchmarks.network import Network


def build(network: Network) -> "Eager":
    """An `nn.Sequential` of `nn.Linear`."""
    return Eager(network)


class Eager:
    """The protocol `Built`, for PyTorch.

    Args:
      network: what it computes.
    """

    def __init__(self, network: Network):
        import torch

        self._torch = torch
        self._network = network
        self._model = self._make()
        self._x, self._y = map(torch.from_numpy, network.batch())

    def forward(self) -> Work:
        def work() -> Any:
            with self._torch.inference_mode():
                return self._outputs(self._x)

        return work

    def backward(self) -> Work:
        x = self._x.clone().requires_grad_()

        def work() -> Any:
            y = self._outputs(x)
            return self._torch.autograd.grad(y, [*self._model.parameters(), x], self._y.to(y.dtype))

        return work

    def step(self) -> Work:
        optimizer = self._torch.optim.Adam(self._model.parameters(), lr=1e-3, fused=True)

        def work() -> Any:
            optimizer.zero_grad()
            loss = self._torch.nn.functional.mse_loss(self._outputs(self._x).float(), self._y)
            loss.backward()
            optimizer.step()
            return loss

        return work

    def init(self, *, compiled: bool) -> Work | None:
        return None if compiled else self._make

    def weight_gradient(self, x: np.ndarray, g: np.ndarray) -> np.ndarray:
        y = self._outputs(self._torch.from_numpy(x))
        weight = max(self._model.parameters(), key=lambda w: w.numel())
        (gradient,) = self._torch.autograd.grad(y, [weight], self._torch.from_numpy(g).to(y.dtype))
        return gradient.numpy().T

    def step_bytes(self) -> int | None:
        return None

    def _make(self) -> Any:
        nn, layers = self._torch.nn, []
        for shape in self._network.layers:
            layers += [nn.Linear(*shape), nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    def _outputs(self, x: Any) -> Any:
        narrow = self._network.dtype == "bfloat16"
        with self._torch.autocast("cpu", dtype=self._torch.bfloat16, enabled=narrow):
            return self._model(x)


def square_product(size: int, dtype: str) -> Work:
    """A product of two square matrices."""
    import torch

    x = torch.ones((size, size), dtype=getattr(torch, dtype))
    return lambda: x @ x
