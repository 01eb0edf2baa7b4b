"""Replacing a file: completely, and no other file than the one that is named."""

import os
import subprocess
import sys

import pytest

from densefn import _disk


def temporary(number):
    return f".densefn-{number:032x}.tmp"


def test_a_link_at_the_name_of_the_temporary_file_is_not_followed(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "urandom", bytes)
    (tmp_path / "precious").write_bytes(b"as it was")
    (tmp_path / temporary(0)).symlink_to("precious")
    with pytest.raises(FileExistsError) as raised:
        _disk.replace(tmp_path / "model.npz", b"new")
    assert raised.value.filename == str(tmp_path / "model.npz")
    assert (tmp_path / "precious").read_bytes() == b"as it was"
    assert not (tmp_path / "model.npz").exists()


def test_a_link_at_the_name_of_the_file_is_replaced(tmp_path):
    (tmp_path / "precious").write_bytes(b"as it was")
    (tmp_path / "model.npz").symlink_to("precious")
    _disk.replace(tmp_path / "model.npz", b"new")
    assert (tmp_path / "precious").read_bytes() == b"as it was"
    assert (tmp_path / "model.npz").read_bytes() == b"new"
    assert not (tmp_path / "model.npz").is_symlink()


def test_of_temporary_files_only_those_of_killed_processes_are_removed(tmp_path):
    kept = [".densefn-1.tmp", "model.npz.tmp", f"{temporary(1)}.npz", f"x{temporary(1)}", temporary(2), temporary(3)]
    for name in [*kept, temporary(1)]:
        (tmp_path / name).write_bytes(b"")
    (tmp_path / temporary(2)).unlink()
    (tmp_path / temporary(2)).symlink_to("model.npz.tmp")
    (tmp_path / temporary(4)).mkdir()
    with (tmp_path / temporary(3)).open("rb") as written:
        assert _disk.lock(written.fileno())
        _disk.remove_temporary(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*kept, temporary(4)}


def test_a_lock_ends_with_its_process(tmp_path):
    code = "import os, sys; from densefn import _disk; print(_disk.lock(os.open(sys.argv[1], os.O_RDONLY))); input()"
    command = [sys.executable, "-c", code, str(tmp_path)]
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            assert process.stdout.readline() == "True\n"
            with pytest.raises(BlockingIOError):
                _disk.lock(descriptor)
            process.kill()
        assert _disk.lock(descriptor)
    finally:
        os.close(descriptor)
    assert list(tmp_path.iterdir()) == []
