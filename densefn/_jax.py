"""Names of JAX that are not part of its stable interface: any version may change them.

Only this module imports them, and `densefn.export.jaxpr` those for the export to ONNX. They exist in JAX 0.10 and work
the same way in 0.12. No line here depends on the version.

- `jax.core.Tracer`: distinguishes traced values from arrays. Messages name a traced shape or number, and an eager
  product runs as one compiled program.
- `Primitive` of `jax.extend.core`, for the narrow product. Importing `jax.extend` imports Pallas, which takes a third
  as long as all of densefn. So the class is taken from one of JAX's primitives.
- `jax.interpreters`: the rules of a primitive: `ad` for its derivatives, `batching` for `vmap`, `mlir` for its program.
- `jax.experimental.jet`: the rule of a primitive for Taylor series.
- `varying`: an attribute of an array's type: the mesh axes over which it varies under `shard_map`.
"""

from typing import TYPE_CHECKING

from jax import Array, lax, typeof
from jax.core import Tracer
from jax.experimental import jet
from jax.interpreters import ad, batching, mlir

if TYPE_CHECKING:
    from jax.extend.core import Primitive
else:
    Primitive = type(lax.add_p)

__all__ = ["Primitive", "Tracer", "ad", "batching", "jet", "mlir", "varying"]


def varying(x: Array) -> frozenset[str]:
    """The mesh axes over which an array varies under `shard_map`; empty outside of it."""
    return frozenset(typeof(x).manual_axis_type.varying)
