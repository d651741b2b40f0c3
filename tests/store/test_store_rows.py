"""Statements of many rows, and what is bound to them."""

from pathlib import Path

import pytest

from skerry.store.sqlite.connection import connect
from skerry.store.sqlite.rows import Rows

ADD = Rows(
    "INSERT INTO things (shared, twice, number, told) SELECT ?1, ?2 || ?2, column1, column2 FROM (VALUES {rows})", 2
)


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 63, 64, 256, 257, 600])
def test_any_number_of_rows_is_stored_in_order_with_what_they_share(tmp_path: Path, count: int) -> None:
    connection = connect(tmp_path / "rows.db")
    connection.execute("CREATE TABLE things (shared BLOB, twice TEXT, number INTEGER, told TEXT) STRICT")
    ADD.execute(connection, [(number, f"no. {number}") for number in range(count)], (b"s", "t"))
    stored = connection.execute("SELECT shared, twice, number, told FROM things ORDER BY rowid").fetchall()
    connection.close()
    assert stored == [(b"s", "tt", number, f"no. {number}") for number in range(count)]


def test_none_and_bytes_are_stored_as_they_are(tmp_path: Path) -> None:
    connection = connect(tmp_path / "rows.db")
    row = connection.execute("SELECT ?1, typeof(?1), ?2, typeof(?2)", (None, b"\x00\xff")).fetchone()
    connection.close()
    assert row == (None, "null", b"\x00\xff", "blob")
