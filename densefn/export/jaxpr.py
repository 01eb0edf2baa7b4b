"""The parts of a traced program, which the export to ONNX translates one equation at a time.

They are not of JAX's public interface, and may change in any version: all of them need JAX 0.10, and work the same way
in 0.12. `densefn._jax` has what the rest of the package needs.
"""

from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

__all__ = ["ClosedJaxpr", "Jaxpr", "JaxprEqn", "Literal"]
