"""Regularizers, constraints and initializers by all their names and arguments, beside Keras's own."""

import inspect

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from densefn import (
    L1,
    L1L2,
    L2,
    MaxNorm,
    MinMaxNorm,
    NonNeg,
    OrthogonalRegularizer,
    UnitNorm,
    constraints,
    initializers,
    regularizers,
)
from densefn.initializers import (
    Constant,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    Identity,
    LecunNormal,
    LecunUniform,
    Ones,
    Orthogonal,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
    Zeros,
)

# What Keras resolves to the abstract base, or to an initializer of short-time Fourier transforms.
ABSTRACT = {"Initializer", "initializer", "Regularizer", "regularizer", "Constraint", "constraint"}
FOURIER = {"STFT", "stft", "STFTInitializer"}

RANDOM = [
    RandomNormal(),
    RandomNormal(0.5, 2.0),
    RandomUniform(),
    RandomUniform(-1.0, 3.0),
    TruncatedNormal(),
    TruncatedNormal(1.0, 0.5),
    GlorotNormal(),
    GlorotUniform(),
    HeNormal(),
    HeUniform(),
    LecunNormal(),
    LecunUniform(),
    *(
        VarianceScaling(0.7, mode, distribution)
        for mode in ("fan_in", "fan_out", "fan_avg")
        for distribution in ("truncated_normal", "normal", "untruncated_normal", "uniform")
    ),
]
FIXED = [Zeros(), Ones(), Constant(0.3), Identity(), Identity(2.0)]
REGULARIZERS = [L1(), L1(0.3), L2(), L2(0.3), L1L2(0.2, 0.3), OrthogonalRegularizer(), OrthogonalRegularizer(0.3)]
CONSTRAINTS = [
    *(MaxNorm(), MaxNorm(0.5), MaxNorm(0.5, axis=1), MaxNorm(2.0, axis=(0, 1)), MaxNorm(1.0, axis=-1)),
    *(MinMaxNorm(), MinMaxNorm(0.5, 1.5, 0.3), MinMaxNorm(2.0, 3.0, axis=1), NonNeg(), UnitNorm(), UnitNorm(axis=1)),
]
SHAPES = [(7, 5), (5, 7), (1, 4), (4, 1)]


def keras_s(value, **more):
    """Keras's object of the same class name, with the same arguments."""
    name = type(value).__name__
    rooms = (keras.initializers, keras.regularizers, keras.constraints)
    return next(getattr(room, name) for room in rooms if hasattr(room, name))(**vars(value) | more)


def drawn(shape, seed=0):
    """Normal entries of which one column is zero where there are several."""
    w = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    if w.ndim > 1 and shape[-1] > 2:
        w[:, 1] = 0
    return jnp.asarray(w)


@pytest.mark.parametrize(
    ("room", "theirs", "without"),
    [
        (initializers, keras.src.initializers, ABSTRACT | FOURIER),
        (regularizers, keras.src.regularizers, ABSTRACT),
        (constraints, keras.src.constraints, ABSTRACT),
    ],
    ids=["initializers", "regularizers", "constraints"],
)
def test_every_name_of_keras_is_the_class_that_it_is_there_with_its_defaults(room, theirs, without):
    for name, cls in theirs.ALL_OBJECTS_DICT.items():
        if name in without:
            continue
        found = room.NAMES[name]
        assert found.__name__ == cls.__name__
        if cls is not keras.regularizers.L1L2:  # a departure: no penalty there
            arguments = inspect.signature(cls).parameters.values()
            written = [(p.name, p.default) for p in arguments if p.name not in {"input_axes", "output_axes"}]
            assert [*vars(found()).items()] == written


@pytest.mark.parametrize("regularizer", REGULARIZERS, ids=str)
def test_penalties_and_their_gradients_are_keras_s(regularizer):
    theirs = keras_s(regularizer)
    both = lambda w: [jax.value_and_grad(f)(w) for f in (regularizer, lambda w: jnp.asarray(theirs(w)))]
    matrices = [drawn(shape) for shape in (*SHAPES[:2], SHAPES[3])]
    for pair in jax.jit(lambda matrices: [both(w) for w in matrices])(matrices):
        (our_penalty, our_gradient), (penalty, gradient) = jax.tree.map(np.asarray, pair)
        # Sums of at most 35 terms in float32.
        np.testing.assert_allclose(our_penalty, penalty, rtol=1e-6)
        finite = np.isfinite(gradient)  # Keras has NaN where the norm of a row of zeros is differentiated
        assert finite.any()
        np.testing.assert_allclose(our_gradient[finite], gradient[finite], rtol=2e-6, atol=1e-7)


def test_the_penalty_of_columns_is_keras_s():
    regularizer = OrthogonalRegularizer(0.3, "columns")
    both = jax.jit(lambda matrices: [(regularizer(w), keras_s(regularizer)(w)) for w in matrices])
    for ours, theirs in both([drawn(shape) for shape in SHAPES[:2]]):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.parametrize("constraint", CONSTRAINTS, ids=str)
def test_projections_are_keras_s(constraint):
    theirs, matrices = keras_s(constraint), [drawn(shape) for shape in SHAPES]
    for ours, other in jax.jit(lambda matrices: [(constraint(w), theirs(w)) for w in matrices])(matrices):
        np.testing.assert_allclose(ours, other, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("constraint", [MaxNorm(), MinMaxNorm(0.5, 0.8), NonNeg(), UnitNorm()], ids=str)
def test_projections_of_a_bias_are_keras_s(constraint):
    ours, theirs = jax.jit(lambda w: (constraint(w), keras_s(constraint)(w)))(drawn((6,)))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("initializer", FIXED, ids=str)
def test_values_that_are_not_drawn_are_keras_s(initializer, key):
    both = jax.jit(lambda key: [(initializer(key, shape), keras_s(initializer)(shape)) for shape in SHAPES])
    for ours, theirs in both(key):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("initializer", [*RANDOM, Orthogonal(), Orthogonal(2.0)], ids=str)
@pytest.mark.parametrize("shape", [(30, 50), (50, 30), (7,), (3, 4, 5)], ids=str)
def test_a_seed_gives_keras_s_values_to_the_bit(initializer, shape, key):
    if isinstance(initializer, Orthogonal) and len(shape) == 1:
        with pytest.raises(ValueError, match="expected a matrix"):
            initializer(key, shape)
        return
    seeded = type(initializer)(**vars(initializer) | {"seed": 1234})
    np.testing.assert_array_equal(seeded(key, shape), keras_s(initializer, seed=1234)(shape))


@pytest.mark.parametrize("initializer", RANDOM, ids=str)
def test_without_a_seed_the_moments_and_bounds_are_keras_s(initializer, key):
    ours = np.asarray(initializer(key, (300, 500)), np.float64)
    theirs = np.asarray(keras_s(initializer, seed=5)((300, 500)), np.float64)
    # 150,000 draws on each side: a standard deviation's error is 0.18 % of it at most, a mean's 0.26 % of it.
    np.testing.assert_allclose(ours.std(), theirs.std(), rtol=0.01)
    assert abs(ours.mean() - theirs.mean()) < 0.02 * theirs.std()
    if not isinstance(initializer, RandomNormal) and "untruncated" not in str(initializer):
        np.testing.assert_allclose([ours.min(), ours.max()], [theirs.min(), theirs.max()], atol=0.02 * theirs.std())


@pytest.mark.parametrize("shape", [(30, 50), (50, 30), (3, 4, 5)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_orthogonal_has_orthonormal_columns_or_rows(shape, dtype, key):
    w = np.asarray(Orthogonal(2.0)(key, shape, jnp.dtype(dtype)), np.float64).reshape(-1, shape[-1]) / 2
    gram = w.T @ w if w.shape[0] >= w.shape[1] else w @ w.T
    # An entry of the product sums up to 50 products of entries below one; bfloat16 has 8 bits.
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-5 if dtype == "float32" else 2e-2)
