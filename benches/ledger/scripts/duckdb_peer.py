"""DuckDB's part of the comparison: a command a line on standard input, an answer a line on
standard output, both JSON. Times are taken here, around the statement and the fetching of its rows,
so that the pipe is in none of them."""

import json
import os
import sys
import time

import duckdb
import numpy

ROW = numpy.dtype(
    {
        "names": ["external", "subscriber", "from_ms", "to_ms", "first", "last", "device"],
        "formats": ["<u4", "<u4", "<i8", "<i8", "<u2", "<u2", "u1"],
        "offsets": [0, 4, 8, 16, 24, 26, 28],
        "itemsize": 32,
    }
)
POINT = numpy.dtype(
    {
        "names": ["at_ms", "external", "port", "first", "day", "number"],
        "formats": ["<i8", "<u4", "<u2", "<u2", "<u2", "<u4"],
        "offsets": [0, 8, 12, 14, 16, 20],
        "itemsize": 32,
    }
)
COLUMNS = "from_ms, to_ms, external, first, last, subscriber, device"


def columns(file, dtype):
    """The file's records as a dictionary of arrays, which DuckDB reads as a table."""
    records = numpy.fromfile(file, dtype=dtype)
    return {name: numpy.ascontiguousarray(records[name]) for name in dtype.names}


class Peer:
    def __init__(self, folder, prime):
        self.folder = folder
        self.prime = prime
        self.file = os.path.join(folder, "allocations.duckdb")
        self.connection = None
        self.days = []

    def version(self):
        return duckdb.__version__

    def open(self):
        if self.connection is None:
            self.connection = duckdb.connect(self.file)
            self.connection.execute("set memory_limit = '8GB'")
            self.connection.execute("set temp_directory = ?", [self.folder + "/spill"])
            self.connection.execute("set enable_progress_bar = false")

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def load_main(self, files):
        self.open()
        for day, file in files:
            rows = columns(file, ROW)
            self.connection.register("incoming", rows)
            self.connection.execute(
                f"create table day_{day} as select {COLUMNS} from incoming "
                "order by external, first, from_ms"
            )
            self.connection.unregister("incoming")
            self.days.append(day)
        self.connection.execute("checkpoint")

    def load_by_subscriber(self):
        for day in self.days:
            self.connection.execute(
                f"create table subscribers_{day} as select {COLUMNS} from day_{day} "
                "order by subscriber, from_ms"
            )
        self.connection.execute("checkpoint")

    def timed(self, sql, parameters):
        begin = time.perf_counter_ns()
        rows = self.connection.execute(sql, parameters).fetchall()
        return rows, time.perf_counter_ns() - begin

    def who(self, points):
        answers = []
        for external, first, at_ms, day in points:
            rows, took = self.timed(
                f"select subscriber from day_{day} where external = ? and first = ? "
                "and from_ms <= ? and to_ms > ?",
                [external, first, at_ms, at_ms],
            )
            answers.append([rows[0][0] if rows else None, took])
        return answers

    def batch(self, file):
        """Both ways that there are to join; the faster one counts, and is named."""
        points = columns(file, POINT)
        self.connection.register("incoming", points)
        self.connection.execute("create or replace temp table questions as select * from incoming")
        self.connection.unregister("incoming")
        days = sorted(set(points["day"].tolist()))
        self.connection.execute("set threads = 1")
        best = None
        for name, join in [
            ("hash join", "join {day} a on a.external = q.external and a.first = q.first and "
             "a.from_ms <= q.at_ms and a.to_ms > q.at_ms where"),
            ("ASOF join", "asof join {day} a on a.external = q.external and a.first = q.first and "
             "q.at_ms >= a.from_ms where a.to_ms > q.at_ms and"),
        ]:
            begin = time.perf_counter_ns()
            matched, checksum = 0, 0
            for day in days:
                rows, total = self.connection.execute(
                    "select count(*), sum((q.number::bigint + 1) * (a.subscriber::bigint + 1) "
                    f"% {self.prime}) from questions q {join.format(day=f'day_{day}')} q.day = {day}"
                ).fetchone()
                matched += rows
                checksum += int(total or 0)
            took = time.perf_counter_ns() - begin
            if best is not None and (matched, checksum) != best[:2]:
                raise RuntimeError("the hash join and the ASOF join differ")
            if best is None or took < best[2]:
                best = (matched, checksum, took, name)
        self.connection.execute("reset threads")
        return best

    def hours(self, hours):
        return [
            self.timed(
                f"select {COLUMNS} from day_{day} where external = ? and from_ms < ? and to_ms > ?",
                [external, to_ms, from_ms],
            )
            for external, from_ms, to_ms, day in hours
        ]

    def months(self, subscribers):
        sql = " union all ".join(
            f"select {COLUMNS} from subscribers_{day} where subscriber = $1" for day in self.days
        )
        return [self.timed(sql, [subscriber]) for subscriber in subscribers]

    def drop_day(self, day):
        begin = time.perf_counter_ns()
        self.connection.execute(f"drop table day_{day}")
        self.connection.execute(f"drop table subscribers_{day}")
        self.connection.execute("checkpoint")
        self.days.remove(day)
        return time.perf_counter_ns() - begin

    def ingest(self, file, batch, limit_ms):
        """Events are appended as they come, ends as rows of their own: an update in place would
        have to look for the row without an index."""
        events = numpy.fromfile(file, dtype=ROW)
        self.connection.execute(
            "create table live (external uinteger, subscriber uinteger, from_ms bigint, "
            "to_ms bigint, first usmallint, last usmallint, device utinyint)"
        )
        begin, taken = time.perf_counter_ns(), 0
        while taken < len(events):
            part = events[taken : taken + batch]
            rows = {name: numpy.ascontiguousarray(part[name]) for name in ROW.names}
            self.connection.register("incoming", rows)
            # Committed by itself, and synced.
            self.connection.execute("insert into live select * from incoming")
            self.connection.unregister("incoming")
            taken += len(part)
            if time.perf_counter_ns() - begin > limit_ms * 1_000_000:
                break
        return [taken, time.perf_counter_ns() - begin]


def main():
    # Answers have the output for themselves: DuckDB draws a progress bar on it.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    peer = Peer(sys.argv[1], int(sys.argv[2]))
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            answer = {"done": getattr(peer, name)(*arguments)}
        except Exception as failed:  # told to the program, which ends the run
            answer = {"failed": f"{name}: {failed}"}
        print(json.dumps(answer), file=answers, flush=True)


main()
