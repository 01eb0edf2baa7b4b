"""JAX's classes for the parts of a traced program, which the export to ONNX translates one equation at a time.

They are not part of JAX's stable interface, and any version may change them. They exist in JAX 0.10 and work the same
way in 0.12. The other such names are in `densefn._jax`.
"""

from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

__all__ = ["ClosedJaxpr", "Jaxpr", "JaxprEqn", "Literal"]
