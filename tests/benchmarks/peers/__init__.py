"""The libraries that are compared. Each module's `build(network)` gives what `Built` says, and imports its library.

All of them keep float32 parameters, start from a uniform distribution, and take the same step: the mean squared error,
its gradient, Adam.
"""

import importlib
import importlib.metadata
import importlib.util
from typing import NamedTuple, Protocol

import numpy as np

import densefn
from tests.benchmarks.clock import Work
from tests.benchmarks.network import Network


class Peer(NamedTuple):
    """A library.

    Attributes:
      title: as tables name it.
      package: as pip names it.
      imports: as Python names it.
    """

    title: str
    package: str
    imports: str

    @property
    def installed(self) -> bool:
        """Whether it can be imported."""
        return importlib.util.find_spec(self.imports.split(".")[0]) is not None

    @property
    def version(self) -> str:
        """The version that is installed."""
        return densefn.__version__ if self.package == "densefn" else importlib.metadata.version(self.package)


PEERS = {
    "densefn": Peer("densefn", "densefn", "densefn"),
    "plain": Peer("plain JAX", "jax", "jax"),
    "linen": Peer("Flax linen", "flax", "flax.linen"),
    "nnx": Peer("Flax NNX", "flax", "flax.nnx"),
    "haiku": Peer("Haiku", "dm-haiku", "haiku"),
    "equinox": Peer("Equinox", "equinox", "equinox"),
    "keras": Peer("Keras on JAX", "keras", "keras"),
    "pytorch": Peer("PyTorch (CPU)", "torch", "torch"),
}


class Built(Protocol):
    """A network made by a peer, as work to be timed. Each work's arrays are its own, and on the device already."""

    def forward(self) -> Work:
        """The outputs of a batch."""
        ...

    def backward(self) -> Work:
        """The outputs of a batch, and the gradients of parameters and inputs from those of the outputs."""
        ...

    def step(self) -> Work:
        """A step of Adam, which goes on from where the last one ended."""
        ...

    def init(self, *, compiled: bool) -> Work | None:
        """Drawing the parameters; None if the peer cannot do so in one compiled function."""
        ...

    def weight_gradient(self, x: np.ndarray, g: np.ndarray) -> np.ndarray:
        """The gradient of the largest weight, `[inputs, units]`, from inputs and gradients of the outputs."""
        ...

    def step_bytes(self) -> int | None:
        """The most memory that a compiled step holds; None if the peer compiles none."""
        ...


def build(peer: str, network: Network) -> Built:
    """The network as this peer makes it."""
    return importlib.import_module(f"tests.benchmarks.peers.{peer}").build(network)


def title(peer: str) -> str:
    """How tables name a peer, or whatever else stands in its place."""
    return PEERS[peer].title if peer in PEERS else peer
