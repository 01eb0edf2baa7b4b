"""The model of a run as others take it away: of encoded rows in their own units."""

from pathlib import Path

from densefn import checkpoint
from densefn.export import Affine, Model
from densefn.training.data import Preparation, read_preparation


def take(run: Path) -> tuple[Model, Preparation | None]:
    """The model of a run, with what its preparation does to inputs and outputs.

    Args:
      run: the run's folder or its `model.npz`.

    Returns:
      The model, and the preparation that lies beside it, if there is one: its `features` are the columns of the input.

    Raises:
      ValueError: names the file that is missing or not whole, or that does not go with the other.
    """
    path = run / "model.npz" if run.is_dir() else run
    layer, params = checkpoint.load(path)
    _, shape = checkpoint.describe(path)
    beside = path.with_name("preparation.json")
    if not beside.exists():
        return Model(layer, params, shape), None
    preparation = read_preparation(beside)
    inputs = Affine(preparation.mean, preparation.scale)
    mean, scale = preparation.target_mean, preparation.target_scale
    outputs = None if mean is None or scale is None else Affine(mean, scale)
    return Model(layer, params, shape, inputs, outputs), preparation
