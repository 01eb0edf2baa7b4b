"""A run's model, ready for export: it takes encoded features in their original units."""

from pathlib import Path

from densefn import _archive, checkpoint
from densefn.data import Preparation, read_preparation
from densefn.export import Affine, Model
from densefn.training import folder


def load(run: Path) -> tuple[Model, Preparation | None]:
    """Loads a run's model, with the standardisation of its inputs and outputs.

    Args:
      run: the run's folder or its `model.safetensors`.

    Returns:
      The model, and the preparation beside it or None. The preparation's `features` are the input's columns.

    Raises:
      ValueError: names the file that is missing or not as the run wrote it, or the parameter that is not finite.
    """
    path = _archive.in_folder(run, folder.MODEL) if run.is_dir() else run
    in_run = any(path.with_name(name).exists() for name in (folder.PREPARATION, folder.MANIFEST))
    if in_run:
        folder.check(path.parent, path.name, folder.PREPARATION)
    layer, params = checkpoint.load(path)
    checkpoint.check_finite(path, params)
    _, shape = checkpoint.describe(path)
    if not in_run:
        return Model(layer, params, shape), None
    preparation = read_preparation(path.with_name(folder.PREPARATION))
    inputs = Affine(preparation.mean, preparation.scale, preparation.features)
    mean, scale = preparation.target_mean, preparation.target_scale
    outputs = None if mean is None or scale is None else Affine(mean, scale, preparation.targets)
    return Model(layer, params, shape, inputs, outputs), preparation
