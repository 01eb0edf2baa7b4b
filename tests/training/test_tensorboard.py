"""TensorBoard's event file of a run, read as its format says."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from tensorboardX.proto.event_pb2 import Event

from densefn.cli import main

CONFIG = str(Path(__file__).parents[2] / "configs" / "diabetes.toml")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = tmp_path_factory.mktemp("runs") / "run"
    settings = ["--set", "train.tensorboard=true", "--set", "train.epochs=3", "--set", "train.evaluate_every=2"]
    assert main(["train", CONFIG, "--run-dir", str(run), *settings]) == 0
    return run


def records(path):
    """The records of a TFRecord file: length, checksum, content, checksum."""
    content = path.read_bytes()
    while content:
        [length] = struct.unpack("<Q", content[:8])
        yield content[12 : 12 + length]
        content = content[16 + length :]


def values(run):
    [path] = run.glob("events.out.tfevents.*")
    for record in records(path):
        event = Event.FromString(record)
        for value in event.summary.value:
            yield value.tag, event.step, value


def test_figures_are_those_of_the_log_at_the_step_of_their_epoch(run):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    expected = []
    for row in rows:
        figures = {name: row[name] for name in ("train_loss", "val_loss", "val_r2") if name in row}
        norms = {f"gradient_norms/{path}": norm for path, norm in row.get("gradient_norms", {}).items()}
        expected += [(tag, row["step"], np.float32(figure)) for tag, figure in (figures | norms).items()]
    got = [(tag, step, np.float32(v.simple_value)) for tag, step, v in values(run) if v.HasField("simple_value")]
    assert got == expected
    assert len(got) == 3 + 2 * 2 + 4  # the gradient is looked at in the first of the two evaluated epochs


def test_histograms_are_of_all_weights_and_outputs(run):
    found = {tag: (step, value.histo) for tag, step, value in values(run) if value.HasField("histo")}
    weights = {f"weights/{name}": array for name, array in load_file(run / "model.safetensors").items()}
    assert found.keys() == {*weights, "outputs/0", "outputs/1"}
    for tag, array in weights.items():
        step, histogram = found[tag]
        assert step == 36
        assert (histogram.num, histogram.min, histogram.max) == (array.size, array.min(), array.max())
        assert sum(histogram.bucket) == array.size


def test_without_it_there_is_no_such_file(tmp_path):
    assert main(["train", CONFIG, "--run-dir", str(tmp_path / "run"), "--set", "train.epochs=1"]) == 0
    assert not list((tmp_path / "run").glob("events*"))
