"""Bodies on disk: nobody reads them without their key, and whoever reads them gets what was written."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipe.errors import RowDamaged
from pipe.sealed_file import PIECE, SealedFile, SealedWriter, new_key, opened


def written(path: Path, key: bytes, *parts: bytes) -> Path:
    """A sealed file of these parts."""
    path.unlink(missing_ok=True)
    writer = SealedWriter(path, key)
    for part in parts:
        writer.write(part)
    writer.finish()
    writer.file.close()
    return path


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.sampled_from([0, 1, 7, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE]), max_size=4))
def test_what_was_written_is_read(tmp_path: Path, sizes: list[int]) -> None:
    """However the bytes came in, they come out the same."""
    key, parts = new_key(), [bytes([n]) * size for n, size in enumerate(sizes)]
    assert b"".join(opened(written(tmp_path / "a", key, *parts), key)) == b"".join(parts)


def test_nothing_of_the_body_stands_in_the_file(tmp_path: Path) -> None:
    """The file tells nothing but its size."""
    path = written(tmp_path / "a", new_key(), b"canary" * 100_000)
    assert b"canary" not in path.read_bytes()


@pytest.mark.parametrize("cut", [1, 16, PIECE + 16, PIECE + 17])
def test_a_file_that_was_cut_is_damaged(tmp_path: Path, cut: int) -> None:
    """A cut at any place is noticed, between two pieces too."""
    key = new_key()
    path = written(tmp_path / "a", key, b"x" * (3 * PIECE))
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(RowDamaged, match="not what was written"):
        list(opened(path, key))


def test_pieces_in_another_order_are_damage(tmp_path: Path) -> None:
    """Each piece knows its place."""
    key, sealed = new_key(), PIECE + 16
    path = written(tmp_path / "a", key, b"x" * (3 * PIECE))
    content = path.read_bytes()
    path.write_bytes(content[sealed : 2 * sealed] + content[:sealed] + content[2 * sealed :])
    with pytest.raises(RowDamaged, match="piece 0"):
        list(opened(path, key))


def test_another_key_opens_nothing(tmp_path: Path) -> None:
    """Every file has a key of its own."""
    path = written(tmp_path / "a", new_key(), b"x")
    with pytest.raises(RowDamaged, match="piece 0"):
        list(opened(path, new_key()))


@pytest.mark.parametrize("size", [0, 1, PIECE, 3 * PIECE - 5])
def test_a_sealed_file_is_read_from_any_place(tmp_path: Path, size: int) -> None:
    """As a plain file of the same bytes is."""
    key, body = new_key(), random.Random(size).randbytes(size)
    with io.BufferedReader(SealedFile(written(tmp_path / "a", key, body), key)) as file:
        assert file.read() == body
        for place in (0, size // 2, PIECE - 1, size):
            file.seek(place)
            assert (file.read(100), file.tell()) == (body[place : place + 100], min(place + 100, max(size, place)))
