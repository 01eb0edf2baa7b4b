"""Untrusted archives and headers are refused before memory is allocated, in model files and in data files."""

import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

import densefn
from densefn import _npz, data
from densefn._archive import ArchiveError, opened


def npy(header: bytes, version=b"\x01\x00", content=b"\0" * 8) -> bytes:
    size = struct.pack("<H" if version == b"\x01\x00" else "<I", len(header))
    return b"\x93NUMPY" + version + size + header + content


def described(shape="(1,)", descr="'<f8'") -> bytes:
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()


def archive(**members: bytes) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return memory.getvalue()


HEADERS = {
    "nested": npy(b"(" * 5000),
    "nested dicts": npy(b"{1:" * 2000),
    "a sum": npy(b"1" + b"+1" * 4000),
    "no syntax": npy(b"{'descr': "),
    "odd indents": npy(b"  x\n y"),
    "a line's end": npy(b"'''"),
    "bytes": npy(b"\xff\xfe\xfd"),
    "a list": npy(b"[1]"),
    "keys that are no text": npy(b"{1: 2, 3: 4, 5: 6}"),
    "an escape": npy(b"'\\q'"),
    "no dtype": npy(described(descr="'f99999999999'")),
    "a dtype of a list": npy(described(descr="[('a', 3)]")),
    "a dtype of a number": npy(described(descr="7")),
    "negative sizes": npy(described("(-1, -1)")),
    "one negative size": npy(described("(-1,)")),
    "a size of 4000 digits": npy(described(f"({'9' * 4000},)")),
    "a size of 5000 digits": npy(described(f"({'9' * 5000},)")),
    "a size that is no number": npy(described("(1.5,)")),
    "a size that is a truth value and more": npy(described("(True, 10**9)")),
    "no bytes each": npy(described("(1000000000000,)", "'<U0'"), content=b""),
    "100 axes": npy(described(str((1,) * 100))),
    "a long header": npy(described("(1,)") + b" " * 20_000, version=b"\x02\x00"),
    "a length of 4 GB": b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + b" " * 100,
    "a later version": npy(described(), version=b"\x09\x00"),
    "no magic": b"PK\x03\x04" * 9,
    "nothing": b"",
    "records": npy(described(descr="[('a', '<f4'), ('b', '<f4')]")),
    "dates": npy(described(descr="'<M8[s]'")),
    "objects": npy(described(descr="'|O'")),
    "characters that are none": npy(described(descr="'<U2'"), content=b"\xff" * 8),
    "half of a character": npy(described(descr="'<U2'"), content=b"\x00\xd8\0\0" * 2),
    "bytes that are no text": npy(described(descr="'|S8'"), content=b"caf\xe9    "),
}


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("packed", [False, True])
def test_a_header_of_something_else_is_an_error_of_the_data(name, packed, tmp_path):
    path = tmp_path / f"a.{'npz' if packed else 'npy'}"
    path.write_bytes(archive(x=HEADERS[name]) if packed else HEADERS[name])
    with pytest.raises(data.DataError, match=r"a\.np[zy]: "):
        data.read(path)


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_of_something_else_is_an_error_of_the_model_file(name, tmp_path):
    (tmp_path / "model.npz").write_bytes(archive(x=HEADERS[name]))
    with pytest.raises(ValueError, match=r"model\.npz: expected"):
        densefn.load(tmp_path / "model.npz")


@pytest.mark.parametrize("dtype", ["<U3", "|S6"])
def test_text_in_arrays_is_read(dtype, tmp_path):
    words = ["été", "a", "b"]
    np.savez(tmp_path / "a.npz", x=np.array([word.encode() for word in words] if dtype == "|S6" else words, dtype))
    assert data.read(tmp_path / "a.npz").array("x").tolist() == words


def stored(count: int) -> bytearray:
    return bytearray(archive(**{f"a{k}": npy(described()) for k in range(count)}))


def changed_directory(content: bytearray, member: int, at: int, form: str, value: int) -> bytes:
    """The archive with a field of the central directory's entry of a member changed."""
    place = -1
    for _ in range(member + 1):
        place = content.index(b"PK\x01\x02", place + 1)
    struct.pack_into(form, content, place + at, value)
    return bytes(content)


def overlapping(copies: int, size: int) -> bytes:
    """An archive whose directory names one deflated member many times."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a00.npy", npy(described(f"({size},)", "'|u1'"), content=bytes(size)))
        file.filelist += [zipfile.ZipInfo(f"a{k:02}.npy") for k in range(1, copies)]
        for member in file.filelist[1:]:
            for field in ("CRC", "compress_size", "file_size", "compress_type"):
                setattr(member, field, getattr(file.filelist[0], field))
            member.header_offset = 0
    return memory.getvalue()


def bomb(size: int) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x.npy", npy(described("(1,)")))
    content = bytearray(memory.getvalue())
    return changed_directory(content, 0, 24, "<I", size)


def with_method(method: int) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", method) as file:
        file.writestr("x.npy", npy(described()))
    return memory.getvalue()


ARCHIVES = {
    "encrypted": (changed_directory(stored(2), 1, 8, "<H", 1), "'a1.npy' is marked as encrypted"),
    "a method of which nobody knows": (changed_directory(stored(1), 0, 10, "<H", 99), "expected members stored or"),
    "bzip2": (with_method(zipfile.ZIP_BZIP2), "expected members stored or deflated"),
    "lzma": (with_method(zipfile.ZIP_LZMA), "expected members stored or deflated"),
    "two sizes": (changed_directory(stored(1), 0, 24, "<I", 2**31), "announces two"),
    "a later format": (changed_directory(stored(1), 0, 6, "<H", 99), "zip file version"),
    "overlap": (overlapping(50, 2**20), "overlaps what follows it"),
    "one place": (changed_directory(stored(2), 1, 42, "<I", 0), "overlaps what follows it"),
    "a place after the end": (changed_directory(stored(2), 1, 42, "<I", 2**31), "overlaps what follows it"),
    "a bomb": (
        bomb(2**32 - 2),
        "bytes unpack to 4,294,967,294; expected at most 128 MiB, or 100 times the file's size",
    ),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_that_announces_what_cannot_be_is_refused_at_once(name, tmp_path):
    content, message = ARCHIVES[name]
    (tmp_path / "a.npz").write_bytes(content)
    tracemalloc.start()
    with pytest.raises(data.DataError) as error:
        data.read(tmp_path / "a.npz")
    with pytest.raises(ArchiveError) as of_model, opened(tmp_path / "a.npz", "a model"):
        pass
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()
    assert message in str(error.value)
    assert message in str(of_model.value)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("x.npy", npy(described()))
        file.writestr("x.npy", npy(described()))
    with pytest.raises(data.DataError, match="expected different names, and two members are named 'x.npy'"):
        data.read(tmp_path / "a.npz")


@pytest.mark.parametrize("seed", range(4))
def test_a_flipped_bit_anywhere_is_named_or_changes_nothing(seed, tmp_path):
    np.savez(tmp_path / "a.npz", x=np.arange(4.0), y=np.arange(3))
    good = (tmp_path / "a.npz").read_bytes()
    expected = data.read(tmp_path / "a.npz").columns
    draw = np.random.default_rng(seed)
    for place in draw.permutation(len(good))[:150]:
        spoilt = bytearray(good)
        spoilt[place] ^= 1 << draw.integers(8)
        (tmp_path / "a.npz").write_bytes(spoilt)
        try:
            read = data.read(tmp_path / "a.npz").columns
        except data.DataError:
            continue
        for name, array in read.items():  # one may be missing, whose name is looked for in vain
            np.testing.assert_array_equal(array, expected[name])


def test_what_compresses_well_is_read_up_to_the_limit(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros(2**24, np.uint8))  # to a thousandth
    assert len(data.read(tmp_path / "a.npz").array("x")) == 2**24
    assert _npz.most_unpacked(2**30, 2**27) == 100 * 2**30
