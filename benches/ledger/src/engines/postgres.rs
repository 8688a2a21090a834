//! PostgreSQL: a table a ledger day (the partitions of one), loaded sorted, with either a B-tree
//! over the block and the time, or a GiST index over ranges of ports and time.

use std::{
    collections::HashMap,
    fmt::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use postgres::{Client, Statement, types::ToSql};

use crate::{
    data::{Data, Row},
    engine::{Engine, Happened, Ingested, Timed},
    engines::{cluster::Cluster, copy},
    error::Error,
    questions::{CHECKSUM_PRIME, Hour, Kind, Matched, Month, Point, Questions},
};

/// The columns, widest first so that nothing is lost between them. PostgreSQL has no unsigned
/// numbers: an external address is taken as the signed number of the same bits.
const COLUMNS: &str = "from_ms bigint not null, to_ms bigint not null, external integer not null, \
     first integer not null, last integer not null, subscriber integer not null, \
     device smallint not null, day smallint not null";

const RANGES: &str = "held int8range not null, ports int4range not null, external integer not \
     null, subscriber integer not null, device smallint not null";

/// How a table is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Index {
    /// `btree (external, first, from_ms)`: equality on the block's first port, which the asker has
    /// to know, then the last that began.
    Btree,
    /// `gist (external, ports, held)`: whatever contains port and time. Takes whole days until it
    /// has this many rows, one day at least.
    Gist {
        /// Rows it takes.
        rows: u64,
    },
}

/// PostgreSQL in a folder.
pub struct Postgres {
    index: Index,
    cluster: Cluster,
    folder: PathBuf,
    client: Option<Client>,
    statements: HashMap<String, Statement>,
    days: Vec<usize>,
}

impl Postgres {
    /// A new cluster in `folder`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(folder: &Path, programs: &Path, index: Index) -> Result<Self, Error> {
        Ok(Self {
            index,
            cluster: Cluster::create(folder, programs)?,
            folder: folder.to_owned(),
            client: None,
            statements: HashMap::new(),
            days: Vec::new(),
        })
    }

    fn client(&mut self) -> Result<&mut Client, Error> {
        let closed = || Error::Other("PostgreSQL is not open".to_owned());
        self.client.as_mut().ok_or_else(closed)
    }

    fn run(&mut self, sql: &str) -> Result<(), Error> {
        let done = self.client()?.batch_execute(sql);
        done.map_err(Error::postgres(sql))
    }

    /// Prepares each statement once in a connection.
    fn prepare(&mut self, sql: &str) -> Result<Statement, Error> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let prepared = self.client()?.prepare(sql);
        let prepared = prepared.map_err(Error::postgres(sql))?;
        self.statements.insert(sql.to_owned(), prepared.clone());
        Ok(prepared)
    }

    fn rows(
        &mut self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Timed<Vec<postgres::Row>>, Error> {
        let statement = self.prepare(sql)?;
        let begin = Instant::now();
        let rows = self.client()?.query(&statement, parameters);
        let result = rows.map_err(Error::postgres(sql))?;
        Ok(Timed {
            result,
            took: begin.elapsed(),
        })
    }

    /// The days that the index takes.
    fn choose_days(&self, data: &Data) -> Vec<usize> {
        let mut left = match self.index {
            Index::Btree => return (0..data.days.len()).collect(),
            Index::Gist { rows } => rows,
        };
        let first = data.oldest_whole_day();
        let mut days = Vec::new();
        for (number, day) in data.days.iter().enumerate().skip(first) {
            if !days.is_empty() && day.rows > left {
                break;
            }
            left = left.saturating_sub(day.rows);
            days.push(number);
        }
        days
    }

    /// Copies a day and makes its index, in one transaction.
    fn load_day(&mut self, data: &Data, day: usize) -> Result<(), Error> {
        let rows = data.sorted(day)?;
        let by = self.index;
        let (index, columns) = match by {
            Index::Btree => (
                format!("create index on day_{day} (external, first, from_ms)"),
                "from_ms, to_ms, external, first, last, subscriber, device, day",
            ),
            Index::Gist { .. } => (
                format!("create index on day_{day} using gist (external, ports, held)"),
                "held, ports, external, subscriber, device",
            ),
        };
        let create = match by {
            Index::Btree => {
                format!("create table day_{day} partition of allocations for values in ({day})")
            }
            Index::Gist { .. } => format!("create table day_{day} ({RANGES})"),
        };
        let mut transaction = self
            .client()?
            .transaction()
            .map_err(Error::postgres("begin"))?;
        let created = transaction.batch_execute(&create);
        created.map_err(Error::postgres(&create))?;
        let copy = format!("copy day_{day} ({columns}) from stdin (format binary, freeze)");
        let writer = transaction.copy_in(&copy);
        let mut writer = writer.map_err(Error::postgres(&copy))?;
        let sent = match by {
            Index::Btree => copy::send_rows(&rows, day, &mut writer),
            Index::Gist { .. } => copy::send_ranges(&rows, &mut writer),
        };
        sent.map_err(|failed| Error::Other(format!("{copy}: {failed}")))?;
        writer.finish().map_err(Error::postgres(&copy))?;
        let indexed = transaction.batch_execute(&index);
        indexed.map_err(Error::postgres(&index))?;
        transaction.commit().map_err(Error::postgres("commit"))
    }

    /// The questions as a table of the connection, in order of time.
    fn load_questions(&mut self, points: &[Point]) -> Result<(), Error> {
        self.run(
            "drop table if exists questions; create temporary table questions (at_ms bigint not \
             null, external integer not null, port integer not null, first integer not null, \
             number integer not null, day smallint not null)",
        )?;
        let copy = "copy questions from stdin (format binary)";
        let writer = self.client()?.copy_in(copy);
        let mut writer = writer.map_err(Error::postgres(copy))?;
        let sent = copy::send_points(points, &mut writer);
        sent.map_err(|failed| Error::Other(format!("{copy}: {failed}")))?;
        writer.finish().map_err(Error::postgres(copy))?;
        self.run("analyze questions")
    }

    /// One select a day that has questions, all put together.
    fn batch_sql(&self, points: &[Point]) -> String {
        let mut sql = String::from("select sum(rows)::bigint, sum(checksum)::bigint from (");
        let mut between = "";
        let mut asked: Vec<u16> = points.iter().map(|point| point.day).collect();
        asked.dedup();
        for day in asked {
            let found = match self.index {
                Index::Btree => format!(
                    "(select subscriber, to_ms from day_{day} where external = q.external and \
                     first = q.first and from_ms <= q.at_ms order by from_ms desc limit 1) a where \
                     a.to_ms > q.at_ms"
                ),
                Index::Gist { .. } => format!(
                    "(select subscriber from day_{day} where external = q.external and ports @> \
                     q.port and held @> q.at_ms limit 1) a"
                ),
            };
            let _ = write!(
                sql,
                "{between}select count(*) as rows, sum(((q.number + 1)::bigint * (a.subscriber + \
                 1)) % {CHECKSUM_PRIME}) as checksum from (select * from questions where day = \
                 {day} order by external, first, at_ms) q cross join lateral {found}"
            );
            between = " union all ";
        }
        sql + ") of_days"
    }
}

impl Engine for Postgres {
    fn version(&mut self) -> Result<String, Error> {
        let row = self.client()?.query_one("show server_version", &[]);
        let version: String = row.map_err(Error::postgres("show server_version"))?.get(0);
        let number = version.split(' ').next().unwrap_or_default();
        Ok(format!("PostgreSQL {number}"))
    }

    fn folder(&self) -> &Path {
        &self.folder
    }

    fn load_main(&mut self, data: &Data) -> Result<(), Error> {
        self.open()?;
        match self.index {
            Index::Btree => self.run(&format!(
                "create table allocations ({COLUMNS}) partition by list (day)"
            ))?,
            Index::Gist { .. } => self.run("create extension btree_gist")?,
        }
        self.days = self.choose_days(data);
        for day in self.days.clone() {
            self.load_day(data, day)?;
            self.run(&format!("analyze day_{day}"))?;
        }
        self.run("checkpoint")
    }

    fn load_by_subscriber(&mut self, _: &Data) -> Result<(), Error> {
        for day in self.days.clone() {
            let key = match self.index {
                Index::Btree => "subscriber, from_ms",
                Index::Gist { .. } => "subscriber, lower(held)",
            };
            self.run(&format!("create index on day_{day} ({key})"))?;
        }
        self.run("checkpoint")
    }

    fn days(&self) -> Option<Vec<usize>> {
        matches!(self.index, Index::Gist { .. }).then(|| self.days.clone())
    }

    fn most_of_a_batch(&self) -> usize {
        match self.index {
            Index::Btree => usize::MAX,
            // A million would take half an hour, and no less for each.
            Index::Gist { .. } => 50_000,
        }
    }

    fn bytes_apart(&self) -> Result<u64, Error> {
        self.cluster.bytes_apart()
    }

    fn open(&mut self) -> Result<(), Error> {
        if self.client.is_none() {
            self.client = Some(self.cluster.start()?);
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), Error> {
        self.statements.clear();
        self.client = None;
        self.cluster.stop()
    }

    fn who(&mut self, points: &[Point]) -> Result<Vec<Timed<Option<u32>>>, Error> {
        let mut answers = Vec::with_capacity(points.len());
        for point in points {
            let (day, external) = (point.day, point.external.cast_signed());
            let rows = match self.index {
                Index::Btree => {
                    let sql = format!(
                        "select subscriber, to_ms from day_{day} where external = $1 and first = \
                         $2 and from_ms <= $3 order by from_ms desc limit 1"
                    );
                    let first = i32::from(point.first);
                    self.rows(&sql, &[&external, &first, &point.at_ms])?
                }
                Index::Gist { .. } => {
                    let sql = format!(
                        "select subscriber from day_{day} where external = $1 and ports @> $2::int4 and \
                         held @> $3::int8"
                    );
                    let port = i32::from(point.port);
                    self.rows(&sql, &[&external, &port, &point.at_ms])?
                }
            };
            let row = rows.result.first();
            let holds = |row: &&postgres::Row| {
                self.index != Index::Btree || row.get::<_, i64>(1) > point.at_ms
            };
            answers.push(Timed {
                result: row.filter(holds).map(|row| unsigned(row.get(0))),
                took: rows.took,
            });
        }
        Ok(answers)
    }

    fn batch(&mut self, _: &Questions, _: Kind, points: &[Point]) -> Result<Timed<Matched>, Error> {
        self.load_questions(points)?;
        // One core: no process beside the one that is asked.
        // And no Memoize node, which the planner puts around each day's look-up (PostgreSQL 15): no
        // two questions are the same, and it empties its table at each of them.
        self.run("set max_parallel_workers_per_gather = 0; set enable_memoize = off")?;
        let rows = self.rows(&self.batch_sql(points), &[])?;
        let row = rows.result.first();
        let number = |column| {
            let number = row.and_then(|row| row.get::<_, Option<i64>>(column));
            number.unwrap_or(0).cast_unsigned()
        };
        Ok(Timed {
            result: Matched {
                rows: number(0),
                checksum: number(1),
            },
            took: rows.took,
        })
    }

    fn hours(&mut self, hours: &[Hour]) -> Result<Vec<Timed<Vec<Row>>>, Error> {
        let mut answers = Vec::with_capacity(hours.len());
        for hour in hours {
            let external = hour.external.cast_signed();
            let day = hour.day;
            let rows = match self.index {
                Index::Btree => {
                    let sql = format!(
                        "select from_ms, to_ms, external, first, last, subscriber, device from \
                         day_{day} where external = $1 and from_ms < $3 and to_ms > $2"
                    );
                    self.rows(&sql, &[&external, &hour.from_ms, &hour.to_ms])?
                }
                Index::Gist { .. } => {
                    let sql = format!(
                        "select lower(held), upper(held), external, lower(ports), upper(ports) - \
                         1, subscriber, device from day_{day} where external = $1 and held && \
                         int8range($2, $3)"
                    );
                    self.rows(&sql, &[&external, &hour.from_ms, &hour.to_ms])?
                }
            };
            answers.push(listed(&rows));
        }
        Ok(answers)
    }

    fn months(&mut self, months: &[Month]) -> Result<Vec<Timed<Vec<Row>>>, Error> {
        let sql = "select from_ms, to_ms, external, first, last, subscriber, device from \
                   allocations where subscriber = $1";
        let mut answers = Vec::with_capacity(months.len());
        for month in months {
            let rows = self.rows(sql, &[&month.subscriber.cast_signed()])?;
            answers.push(listed(&rows));
        }
        Ok(answers)
    }

    fn drop_day(&mut self, day: usize) -> Result<Duration, Error> {
        self.statements.clear();
        let begin = Instant::now();
        self.run(&format!("drop table day_{day}"))?;
        Ok(begin.elapsed())
    }

    fn ingest(
        &mut self,
        events: &[Happened],
        batch: usize,
        limit: Duration,
    ) -> Result<Option<Ingested>, Error> {
        if self.index != Index::Btree {
            return Ok(None);
        }
        // Room in each page for the row's end, which changes no index.
        self.run(&format!(
            "create table live ({COLUMNS}) with (fillfactor = 80); create index on live (external, \
             first, from_ms); create index on live (subscriber, from_ms)"
        ))?;
        let opened = "insert into live select f, 9223372036854775807, e, p, l, s, d, 0 from \
                      unnest($1::bigint[], $2::int[], $3::int[], $4::int[], $5::int[], \
                      $6::smallint[]) as u (f, e, p, l, s, d)";
        let closed = "update live set to_ms = u.t from unnest($1::bigint[], $2::bigint[], \
                      $3::int[], $4::int[]) as u (f, t, e, p) where live.external = u.e and \
                      live.first = u.p and live.from_ms = u.f";
        let (opened, closed) = (self.prepare(opened)?, self.prepare(closed)?);
        // The table is empty when the plans are made, and not when they are used.
        self.run(
            "set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off",
        )?;
        let client = self.client()?;
        let (begin, mut taken) = (Instant::now(), 0);
        for events in events.chunks(batch) {
            let begins: Vec<&Row> = of(events, false);
            let ends: Vec<&Row> = of(events, true);
            let mut transaction = client.transaction().map_err(Error::postgres("begin"))?;
            let inserted = transaction.execute(
                &opened,
                &[
                    &column(&begins, |row| row.from_ms),
                    &column(&begins, |row| row.external.cast_signed()),
                    &column(&begins, |row| i32::from(row.first)),
                    &column(&begins, |row| i32::from(row.last)),
                    &column(&begins, |row| row.subscriber.cast_signed()),
                    &column(&begins, |row| i16::from(row.device)),
                ],
            );
            inserted.map_err(Error::postgres("insert"))?;
            let updated = transaction.execute(
                &closed,
                &[
                    &column(&ends, |row| row.from_ms),
                    &column(&ends, |row| row.to_ms),
                    &column(&ends, |row| row.external.cast_signed()),
                    &column(&ends, |row| i32::from(row.first)),
                ],
            );
            let updated = updated.map_err(Error::postgres("update"))?;
            if updated != ends.len() as u64 {
                return Err(Error::Other(format!(
                    "PostgreSQL updated {updated} rows of {}",
                    ends.len()
                )));
            }
            transaction.commit().map_err(Error::postgres("commit"))?;
            taken += events.len() as u64;
            if begin.elapsed() > limit {
                break;
            }
        }
        let took = begin.elapsed();
        Ok(Some(Ingested {
            events: taken,
            took,
        }))
    }

    fn memory_elsewhere(&self) -> Option<u64> {
        self.cluster.memory()
    }
}

fn of(events: &[Happened], released: bool) -> Vec<&Row> {
    let chosen = events.iter().filter(|event| event.released == released);
    chosen.map(|event| &event.row).collect()
}

fn column<T>(rows: &[&Row], value: impl Fn(&Row) -> T) -> Vec<T> {
    rows.iter().map(|row| value(row)).collect()
}

fn unsigned(number: i32) -> u32 {
    number.cast_unsigned()
}

fn port(number: i32) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

fn listed(rows: &Timed<Vec<postgres::Row>>) -> Timed<Vec<Row>> {
    let listed = rows.result.iter().map(|row| Row {
        from_ms: row.get(0),
        to_ms: row.get(1),
        external: unsigned(row.get(2)),
        first: port(row.get(3)),
        last: port(row.get(4)),
        subscriber: unsigned(row.get(5)),
        device: u8::try_from(row.get::<_, i16>(6)).unwrap_or(u8::MAX),
    });
    Timed {
        result: listed.collect(),
        took: rows.took,
    }
}
