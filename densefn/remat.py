"""`Remat`: less memory for more time."""

from typing import Annotated, Any

import jax
from jax import Array
from jax.typing import ArrayLike

from densefn import _arguments, _checks
from densefn._combinator import Around
from densefn._registry import register
from densefn.layer import Output, Params, as_output

# JAX's policies that need no arguments.
_POLICIES = ("everything_saveable", "nothing_saveable", "dots_saveable", "dots_with_no_batch_dims_saveable")


@register
class Remat(Around):
    """A layer whose intermediate values are not saved for the backward pass, which computes them again.

    That takes less memory and more time. Its parameters are those of the body.

    Args:
      body: a layer.
      policy: which values are saved nevertheless: a name in `jax.checkpoint_policies` such as `"dots_saveable"`. None
        saves none.

    >>> import jax.numpy as jnp
    >>> from densefn import Dense, Repeat, Residual
    >>> deep = Repeat(Remat(Residual(Dense(8, "tanh"))), times=64)
    >>> deep.apply(deep.init(jax.random.key(0), (None, 8)), jnp.ones((2, 8))).shape
    (2, 8)

    Source: `jax.checkpoint`.
    """

    policy: Annotated[str | None, _checks.optional(_checks.choice(*_POLICIES))] = None

    def apply(self, params: Params, x: ArrayLike) -> Array:
        return jax.checkpoint(self.body.apply, policy=self._policy)(params, _arguments.array(self, x))

    def forward(self, params: Params, x: ArrayLike) -> Output:
        forward = jax.checkpoint(self.body.forward, policy=self._policy)
        return as_output(self.body, forward(params, _arguments.array(self, x)))

    @property
    def _policy(self) -> Any:
        return None if self.policy is None else getattr(jax.checkpoint_policies, self.policy)
