"""Reads a segment with other people's readers: DuckDB and Arrow.

usage: readers.py FOLDER [KEY-IN-HEX [--duckdb-decrypts]]

Prints one line a reader: rows, sum of subscriber numbers, sum of record numbers, rows of each
device, and for the first subscriber its internal address, its rows, its first start, and how many
rows the way by subscriber leads to. The test that runs this compares each with what it wrote.

With a key, Arrow decrypts and DuckDB queries what Arrow read: DuckDB 2.0.0 opens encrypted Parquet
files itself only where no column has more than one page in a row group, also those that Arrow
wrote. What it can open it is asked for too: the last line.
"""

import base64
import sys

import duckdb
import pyarrow
import pyarrow.compute as compute
import pyarrow.parquet as parquet
import pyarrow.parquet.encryption as encryption

folder = sys.argv[1]
key = bytes.fromhex(sys.argv[2]) if len(sys.argv) > 2 else None
TABLES = ["allocations", "numbers", "subscribers", "by_subscriber"]


def arrow_table(table):
    path = f"{folder}/{table}.parquet"
    if not key:
        # Arrow checks the pages' checksums when asked to.
        return parquet.read_table(path, page_checksum_verification=True)
    properties = encryption.create_decryption_properties(key)
    return parquet.ParquetFile(path, decryption_properties=properties).read()


def duckdb_line():
    connection = duckdb.connect()
    for table in TABLES:
        if key:
            read = arrow_table(table)
            read = read.append_column("place", pyarrow.array(range(read.num_rows)))
            connection.register(table, read)
        else:
            connection.execute(
                f"CREATE VIEW {table} AS SELECT *, file_row_number AS place FROM "
                f"read_parquet('{folder}/{table}.parquet', file_row_number=true)"
            )
    rows, subscribers, opened = connection.execute(
        "SELECT count(*), sum(subscriber), sum(opened) FROM allocations JOIN numbers USING (place)"
    ).fetchone()
    devices = connection.execute(
        "SELECT device, count(*) FROM allocations GROUP BY device ORDER BY device"
    ).fetchall()
    held = connection.execute(
        'SELECT internal, count(*), min(epoch_us("from")) FROM allocations JOIN subscribers '
        "ON subscriber = subscribers.place WHERE subscriber = 0 GROUP BY internal"
    ).fetchone()
    begin, end = (
        connection.execute("SELECT first FROM subscribers WHERE place = ?", [place]).fetchone()[0]
        for place in (0, 1)
    )
    ways = connection.execute(
        'SELECT count(*) FROM by_subscriber JOIN allocations ON "row" = allocations.place '
        "WHERE by_subscriber.place >= ? AND by_subscriber.place < ? AND subscriber = 0",
        [begin, end],
    ).fetchone()[0]
    return rows, subscribers, opened, devices, held, ways


def arrow_line():
    allocations, subscribers = arrow_table("allocations"), arrow_table("subscribers")
    counted = allocations.group_by("device").aggregate([([], "count_all")])
    devices = sorted(zip(*(counted[name].to_pylist() for name in ("device", "count_all"))))
    own = allocations.filter(compute.equal(allocations["subscriber"], 0))
    first = round(compute.min(own["from"]).as_py().timestamp() * 1_000_000)
    held = subscribers["internal"][0].as_py(), own.num_rows, first
    begin, end = (subscribers["first"][place].as_py() for place in (0, 1))
    rows = arrow_table("by_subscriber")["row"].slice(begin, end - begin)
    ways = compute.sum(compute.equal(allocations["subscriber"].take(rows), 0)).as_py()
    total = compute.sum(allocations["subscriber"]).as_py()
    opened = compute.sum(arrow_table("numbers")["opened"]).as_py()
    return allocations.num_rows, total, opened, devices, held, ways


def duckdb_decrypts():
    connection = duckdb.connect()
    encoded = base64.b64encode(key).decode()
    connection.execute(f"PRAGMA add_parquet_key('segment', '{encoded}')")
    return connection.execute(
        f"SELECT count(*), sum(subscriber) FROM read_parquet('{folder}/allocations.parquet', "
        "encryption_config={footer_key: 'segment'})"
    ).fetchone()


def text(answer):
    rows, subscribers, opened, devices, (internal, own, first), ways = answer
    devices = ",".join(f"{name}={count}" for name, count in devices)
    return f"{rows} {subscribers} {opened} {devices} {internal} {own} {first} {ways}"


print("duckdb", text(duckdb_line()))
print("arrow", text(arrow_line()))
if "--duckdb-decrypts" in sys.argv:
    print("decrypted", *duckdb_decrypts())
