"""densefn: a `Sequential` of `Dense` layers, whose precision is the argument `dtype`."""

from densefn import Dense, Sequential
from tests.benchmarks.network import Network
from tests.benchmarks.peers.pure import Pure

_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def build(network: Network) -> Pure:
    """The model's own two functions."""
    *hidden, outputs = network.widths[1:]
    policy = _POLICIES[network.dtype]
    model = Sequential([Dense(units, "relu", dtype=policy) for units in hidden] + [Dense(outputs, dtype=policy)])
    return Pure(network, lambda key: model.init(key, (None, network.widths[0])), model.apply)
