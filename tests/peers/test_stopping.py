"""Early stopping beside Keras's callback."""

import keras
import pytest

from densefn.training.stopping import EarlyStopping, until_stopped

LOSSES = [5.0, 4.0, 4.5, 3.9, 3.9, 3.95, 3.7, 3.8, 3.75, 3.71, 3.72, 1.0]


def ended_by_keras(values, mode, **options):
    """The last epoch of a run with Keras's callback."""
    callback = keras.callbacks.EarlyStopping("metric", mode=mode, **options)
    callback.set_model(keras.Sequential())
    callback.on_train_begin()
    for epoch, value in enumerate(values, 1):
        callback.on_epoch_end(epoch, {"metric": value})
        if callback.stopped_epoch:
            break
    return epoch


@pytest.mark.parametrize("patience", [1, 2, 3, 4, 5, 20])
@pytest.mark.parametrize("min_delta", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("sign", [1, -1])
def test_ends_when_keras_s_callback_does(patience, min_delta, sign):
    name, values = ("val_loss", LOSSES) if sign > 0 else ("val_accuracy", [-loss for loss in LOSSES])
    mode = "min" if sign > 0 else "max"
    last = ended_by_keras(values, mode, patience=patience, min_delta=min_delta)
    rows = [(None, {"epoch": epoch, name: value}) for epoch, value in enumerate(values, 1)]
    taken = [row["epoch"] for _, row, _ in until_stopped(rows, EarlyStopping(name, patience, min_delta), None)]
    assert taken == list(range(1, last + 1))
