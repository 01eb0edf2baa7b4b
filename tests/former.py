"""Files in the layout of an earlier densefn: `.npz` archives, in which a bfloat16 array is its bits."""

import io
import json
import zipfile

import jax
import numpy as np
from safetensors import safe_open

from densefn.training import folder
from tests.training.runs_made import seal


def archive(members, compression=zipfile.ZIP_STORED):
    """The bytes of an archive with these members."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return memory.getvalue()


def array(value, **options):
    """The bytes of NumPy's file of an array."""
    memory = io.BytesIO()
    np.save(memory, value, **options)
    return memory.getvalue()


def members(path, description):
    """What the archive held that says what a file says."""
    with safe_open(path, "flax") as file:
        said = {name: json.loads(text) for name, text in file.metadata().items() if not name.startswith("sha256")}
        arrays = {name: np.asarray(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
    bits = {name: a.view(np.uint16) if a.dtype == jax.numpy.bfloat16 else a for name, a in arrays.items()}
    return {description: json.dumps(said).encode(), **{f"{name}.npy": array(a) for name, a in bits.items()}}


def put_back(run_dir):
    """Turns the folder of a run into that of an earlier densefn; returns it."""
    for name, description in ((folder.MODEL, "layer.json"), (folder.STATE, "state.json")):
        path = run_dir / name
        path.with_suffix(".npz").write_bytes(archive(members(path, description)))
        path.unlink()
    return seal(run_dir)
