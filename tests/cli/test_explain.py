"""The command that explains a layer."""

import os
import subprocess
import sys

import pytest

from densefn import Dense, explain
from densefn.cli import main
from densefn.explanation.formats import FORMATS
from tests.test_explanation_page import FULL


class TestCommand:
    def test_the_flags_are_the_arguments_of_dense(self, capsys):
        command = ["--units", "8", "--activation", "softmax", "--kernel-regularizer", "l1l2", "--input-shape", "4,3",
                   "--kernel-constraint", '{name="MaxNorm", max_value=3}', "--activity-regularizer", "l2",
                   "--bias-constraint", "non_neg"]  # fmt: skip
        assert main(["explain", *command]) == 0
        assert capsys.readouterr().out == str(explain(FULL, (4, 3)))

    @pytest.mark.parametrize("form", FORMATS)
    def test_writes_every_format_to_a_file(self, form, tmp_path, capsys):
        path = tmp_path / "out"
        assert (
            main(["explain", "--units", "3", "--no-bias", "--input-shape", "N,5", "--format", form, "-o", str(path)])
            == 0
        )
        assert path.read_text() == FORMATS[form](explain(Dense(3, use_bias=False), (None, 5)))
        assert [*tmp_path.iterdir()] == [path]
        assert capsys.readouterr().out == ""

    def test_a_terminal_without_boxes_has_question_marks(self):
        code = "from densefn.cli import main; main(['explain', '--units', '3', '--input-shape', '2,5'])"
        environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
        assert (done.returncode, done.stderr) == (0, "")
        assert "????" in done.stdout

    def test_no_name_of_a_file_is_a_mistake(self, capsys):
        with pytest.raises(SystemExit) as stopped:
            main(["explain", "--units", "3", "--input-shape", "2,5", "-o", ""])
        assert stopped.value.code == 2
        assert "--output: expected the name of a file, got ''" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ([], "expected either arguments of Dense such as --units, or --config, or --run; got none of them"),
            (["--units", "3", "--run", "x"], "got --units and --run"),
            (["--units", "3"], "expected --input-shape"),
            (["--activation", "relu", "--input-shape", "3"], "missing key 'units'"),
            (["--units", "3", "--input-shape", "2,x"], "--input-shape: expected numbers and N"),
            (["--units", "3", "--input-shape", "2,N"], "whose last entry is the number of features"),
            (["--units", "3", "--input-shape", "2,0,-1"], "expected an input shape such as (None, 784), got (2, 0,"),
            (["--units", "none", "--input-shape", "2"], "--units: expected a whole number"),
            (["--units", "3", "--activation", "rely", "--input-shape", "2"], "--activation: unknown activation 'rely'"),
            (["--units", "3", "--bias-regularizer", "{name='L2', l3=1}", "--input-shape", "2"],
             "--bias-regularizer.l3: unknown key"),
            (["--units", "3", "--dtype", "float64", "--input-shape", "2"], "needs float64, which is off"),
            (["--units", "3", "--kernel-regularizer", "orthogonal_regularizer", "--bias-regularizer",
              "orthogonal_regularizer", "--input-shape", "2"], "expected a matrix"),
            (["--units", "999999999", "--input-shape", "2,99999999"], "expected arrays of at most 2^40 entries"),
            (["--units", "4", "--input-shape", "99999999999999999999,3"], "expected arrays of at most 2^40 entries"),
            (["--units", "4", "--bias-initializer", "identity", "--input-shape", "2"],
             "bias: Identity: expected a matrix"),
            (["--units", "4", "--kernel-constraint", "{name='MaxNorm', axis=5}", "--input-shape", "2"],
             "kernel: axis 5 is out of bounds"),
            (["--units", "4", "--kernel-constraint", "{name='MaxNorm', max_value='a'}", "--input-shape", "2"],
             "--kernel-constraint.max_value: expected a finite number"),
            (["--units", "5", "--activation", "glu", "--input-shape", "2"], "Dense: glu needs an even number of units"),
            (["--units", "3", "--input-shape", "2", "--machine", "abacus"], "expected a machine: one of a100, h100"),
            (["--run", "nowhere"], "nowhere: expected the folder of a run"),
            (["--config", "nowhere.toml"], "expected a config file to read"),
            (["--units", "3", "--input-shape", "2", "-o", "nowhere/out"], "--output nowhere/out: No such file"),
        ],
    )  # fmt: skip
    def test_a_mistake_is_one_message_and_status_2(self, arguments, message, capsys, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert main(["explain", *arguments]) == 2
        captured = capsys.readouterr()
        assert message in captured.err
        assert captured.out == ""
        assert [*tmp_path.iterdir()] == []
