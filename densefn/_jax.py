"""What is used of JAX beyond its public interface: it may change in any version.

No other module imports it, but `densefn.export.jaxpr`, which the export to ONNX needs.

All of it needs JAX 0.10, and works the same way in 0.12. No line here depends on the version.

- `jax.core.Tracer`: to tell traced values from arrays. A message names a traced shape or number, and an eager product
  runs as one compiled program.
- `Primitive` of `jax.extend.core`, for the narrow product. Importing `jax.extend` imports Pallas, which takes as long
  as a third of densefn. So the class is that of a primitive of JAX.
- `jax.interpreters`: the rules of a primitive: `ad` for its derivatives, `batching` for `vmap`, `mlir` for its program.
- `jax.experimental.jet`: the rule of a primitive for Taylor series.
- `varying`: the type of an array under `shard_map` tells over which axes of the mesh it varies.
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
    """The axes of the mesh over which an array varies under `shard_map`; none elsewhere."""
    return frozenset(typeof(x).manual_axis_type.varying)
