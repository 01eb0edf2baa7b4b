"""The process of the command: its signals, its streams, and what surrounds it."""

import os
import re
import subprocess
import sys

import jax.numpy as jnp
import pytest

from densefn.cli import configs, main
from densefn.training import loop


def process(*arguments, **options):
    return subprocess.run([sys.executable, "-m", "densefn", *arguments], stderr=subprocess.PIPE, text=True, **options)


def test_an_output_that_cannot_be_written_is_a_message():
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = process("train", "--help", stdout=full)
    assert (done.returncode, done.stderr) == (1, "the output cannot be written: No space left on device\n")


def test_an_output_that_nobody_reads_ends_the_command_in_silence():
    reading, writing = os.pipe()
    os.close(reading)
    done = process("configs", stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def load_a_library():
    raise ImportError("x.so: failed to map segment from shared object")  # from the loader of libraries


@pytest.mark.parametrize(
    ("fail", "cause"),
    [(lambda: bytearray(2**62), ""), (lambda: jnp.zeros(2**45), "RESOURCE_EXHAUSTED: "), (load_a_library, "x.so: ")],
)
def test_too_little_memory_is_one_line(fail, cause, monkeypatch, capsys):
    monkeypatch.setattr(configs, "_run", lambda _: fail())
    assert main(["configs"]) == 1
    message = capsys.readouterr().err
    assert message.startswith("expected more free memory" + (cause and f" ({cause}"))
    assert message.count("\n") == 1


def test_an_optimizer_is_not_blamed_for_too_little_memory(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(loop, "make_step", lambda *_: lambda *_: bytearray(2**62))
    assert main(["train", "diabetes", "--run-dir", str(tmp_path / "run")]) == 1
    assert capsys.readouterr().err.endswith(
        "expected more free memory; a smaller model, smaller batches or fewer rows need less\n"
    )
    assert not (tmp_path / "run").exists()


def test_a_signal_before_the_command_has_begun_is_one_line():
    code = """if True:
        import signal, densefn.__main__, densefn.cli
        densefn.cli.main = lambda: signal.raise_signal(signal.SIGINT)
        densefn.__main__.main()
        """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


def test_a_stopped_process_ends_without_the_shutdown_of_python():
    code = """if True:
        import atexit, os, densefn.__main__, densefn.cli
        atexit.register(os.abort)
        densefn.cli.main = lambda: print("stopped") or 143
        densefn.__main__.main()
        """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (143, "stopped\n", "")


def test_a_signal_is_handled_from_the_first_import_on(tmp_path):
    # In the place of JAX, the first package that densefn imports.
    (tmp_path / "jax.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\n")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = process("configs", stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path})
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_a_warning_of_a_package_is_not_shown():
    code = "import warnings, densefn.cli as cli, densefn.__main__ as process\n" \
           "cli.main = lambda: warnings.warn('overflow', RuntimeWarning) or 0\nprocess.main()"  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("variable", "error"),
    [
        ("JAX_PLATFORMS", RuntimeError("Unable to initialize backend 'nope': not known\nmore")),
        ("MPLBACKEND", ValueError("Key backend: 'nope' is not a valid value for backend")),
    ],
)
def test_an_environment_variable_with_an_unknown_value_is_named(variable, error, monkeypatch, capsys):
    def fails(*_):
        raise error

    monkeypatch.setattr("densefn.cli.configs.write_text", fails)
    with pytest.raises(type(error)):
        main(["configs"])
    monkeypatch.setenv(variable, "nope")
    assert main(["configs"]) == 2
    assert capsys.readouterr().err == f"{variable}=nope: {str(error).splitlines()[0]}\n"


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (RecursionError("maximum depth"), 2, "expected values that are nested less deeply"),
        (PermissionError(13, "Permission denied", "mine"), 1, "mine: Permission denied"),
    ],
)
def test_what_ends_any_command_is_one_line(error, status, message, monkeypatch, capsys):
    def fails(*_):
        raise error

    monkeypatch.setattr("densefn.cli.configs.write_text", fails)
    assert main(["configs"]) == status
    assert re.fullmatch(f"{message}.*\n", capsys.readouterr().err)


def test_a_current_folder_that_is_deleted_is_a_message(tmp_path, monkeypatch, capsys):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert main(["configs"]) == 2
    assert capsys.readouterr().err.startswith("the current folder cannot be used, change to another: ")


def test_nested_flags_are_a_message(capsys):
    nested = "[" * 3000 + "]" * 3000
    assert main(["explain", "--units", "3", "--activation", nested, "--input-shape", "2,5"]) == 2
    assert capsys.readouterr().err.startswith("expected values that are nested less deeply: ")


def test_a_run_that_diverges_is_a_line_and_leaves_its_report(tmp_path, capsys):
    (tmp_path / "diverging.toml").write_text(
        '[data]\nname = "diabetes"\n[[model.layers]]\nunits = 1\n'
        '[optimizer]\nname = "sgd"\nlearning_rate = 1e6\n[train]\nepochs = 3\n'
    )
    assert main(["train", str(tmp_path / "diverging.toml"), "--run-dir", str(tmp_path / "run")]) == 1
    assert re.fullmatch(r"the loss is (nan|inf) in epoch 1; .*epoch had a finite loss\n", capsys.readouterr().err)
    assert (tmp_path / "run" / "report.html").exists()
