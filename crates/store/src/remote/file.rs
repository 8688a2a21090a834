//! Reading a remote file at any place.
//!
//! ```text
//!   0        64 Ki      128 Ki                        length - 64 Ki   length
//!   ├──block──┼──block──┼──block──┼─ … ───────────────────┼─── tail ────┤
//!      └─ one request for a run of missing blocks            └─ came with the opening:
//!         reading on: runs of 2, 4, … 16                        where Parquet keeps its index
//! ```

use std::{
    io,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use object_store::{
    GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, path::Path as Key,
};

use super::{
    Shared,
    blocks::{BLOCK, Version},
    body,
};
use crate::{
    error::{Action, Error},
    path::StorePath,
    read::{ReadAt, within},
};

/// How much of the end comes with the opening, in bytes.
const TAIL: u64 = 64 << 10;

/// No store holds a larger file, in bytes; below it, sums of places cannot overflow.
const MAX_BYTES: u64 = 1 << 50;

/// From this size on, in bytes, a read goes straight to its buffer: it would push everything else
/// out of the kept blocks, and its own request is worth its time.
const LONG: usize = 512 << 10;

/// The longest run of blocks that is fetched ahead of somebody reading on: 1 MiB.
const MAX_RUN: u64 = 16;

pub(super) struct RemoteFile {
    shared: Arc<Shared>,
    path: StorePath,
    version: Version,
    /// What the server called this version of the file, to notice another one.
    etag: Option<String>,
    bytes: u64,
    tail: Vec<u8>,
    /// The block after the last run that was fetched, and how long that run was.
    next: AtomicU64,
    run: AtomicU64,
}

impl RemoteFile {
    pub(super) fn open(shared: &Arc<Shared>, path: &StorePath) -> Result<Self, Error> {
        let client = Arc::clone(&shared.client);
        let key = shared.key(path);
        let wanted = key.clone();
        let (meta, tail) = shared.run(Some(path), Action::Read, async move {
            let options = GetOptions::new().with_range(Some(GetRange::Suffix(TAIL)));
            match client.get_opts(&wanted, options).await {
                Ok(answer) => {
                    let meta = answer.meta.clone();
                    body::whole(answer, TAIL).await.map(|tail| (meta, tail))
                }
                // The end of an empty file is no range (RFC 9110 §14.1.2): servers answer 416, or
                // with the whole of it, which is nothing.
                Err(error @ object_store::Error::Generic { .. }) => {
                    match client.head(&wanted).await {
                        Ok(meta) if meta.size == 0 => Ok((meta, Ok(Vec::new()))),
                        _ => Err(error),
                    }
                }
                Err(error) => Err(error),
            }
        })?;
        let tail = tail.map_err(|flaw| shared.odd(Some(path), Action::Read, flaw))?;
        if meta.size > MAX_BYTES {
            return Err(shared.odd(
                Some(path),
                Action::Read,
                "the server claims an impossible length",
            ));
        }
        let version = version(&key, &meta);
        Ok(Self {
            shared: Arc::clone(shared),
            path: path.clone(),
            version,
            etag: meta.e_tag,
            bytes: meta.size,
            tail,
            next: AtomicU64::new(u64::MAX),
            run: AtomicU64::new(1),
        })
    }

    /// Where the part begins that came with the opening.
    fn tail_start(&self) -> u64 {
        self.bytes.saturating_sub(self.tail.len() as u64)
    }

    /// The bytes of `range`, from the server.
    fn fetch(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let limit = range.end - range.start;
        let client = Arc::clone(&self.shared.client);
        let key = Key::clone(&self.version.key);
        let options = GetOptions::new()
            .with_range(Some(GetRange::Bounded(range)))
            .with_if_match(self.etag.clone());
        let body = self
            .shared
            .run(Some(&self.path), Action::Read, async move {
                body::whole(client.get_opts(&key, options).await?, limit).await
            })?;
        let odd = |flaw: body::Flaw| self.shared.odd(Some(&self.path), Action::Read, flaw);
        let body = body.map_err(odd)?;
        if body.len() as u64 != limit {
            return Err(odd(body::Flaw::Length {
                promised: limit,
                sent: body.len() as u64,
            })
            .into());
        }
        Ok(body)
    }

    /// Copies what is asked for out of the blocks from `first` to `last`, fetching what is missing
    /// among them with one request.
    fn through_blocks(&self, buffer: &mut [u8], offset: u64, end: u64) -> io::Result<()> {
        let (first, last) = (offset / BLOCK, (end - 1) / BLOCK);
        let mut blocks: Vec<(u64, Option<Arc<[u8]>>)> = (first..=last)
            .map(|number| (number, self.shared.blocks.get(&self.version, number)))
            .collect();
        let mut missing = blocks.iter().filter(|(_, block)| block.is_none());
        if let Some((from, _)) = missing.next() {
            let to = missing.next_back().map_or(*from, |(number, _)| *number);
            for (number, bytes) in self.fetch_run(*from, to)? {
                if let Some((_, block)) = blocks.iter_mut().find(|(n, _)| *n == number) {
                    *block = Some(bytes);
                }
            }
        }
        for (number, block) in blocks {
            let start = number * BLOCK;
            let from = offset.max(start);
            let to = end.min(start + BLOCK);
            let bytes = block
                .as_deref()
                .and_then(|bytes| slice(bytes, from - start..to - start));
            let place = slice_mut(buffer, from - offset..to - offset);
            match (place, bytes) {
                (Some(place), Some(bytes)) => place.copy_from_slice(bytes),
                _ => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        Ok(())
    }

    /// Fetches the blocks from `from` to `to`, and more when somebody is reading on, and keeps them.
    fn fetch_run(&self, from: u64, to: u64) -> io::Result<Vec<(u64, Arc<[u8]>)>> {
        // Two threads at once may take each other for one that reads on, or not: it costs a little
        // time, and never an answer.
        let ahead = if self.next.load(Ordering::Relaxed) == from {
            (self.run.load(Ordering::Relaxed) * 2).min(MAX_RUN)
        } else {
            1
        };
        let to = to.max(from.saturating_add(ahead - 1));
        let end = to.saturating_add(1).saturating_mul(BLOCK).min(self.bytes);
        let content = self.fetch(from * BLOCK..end)?;
        self.run.store(ahead, Ordering::Relaxed);
        self.next.store(to.saturating_add(1), Ordering::Relaxed);
        let fetched: Vec<(u64, Arc<[u8]>)> = (from..)
            .zip(content.chunks(BLOCK as usize))
            .map(|(number, bytes)| (number, Arc::from(bytes)))
            .collect();
        for (number, bytes) in &fetched {
            self.shared
                .blocks
                .keep(&self.version, *number, Arc::clone(bytes));
        }
        Ok(fetched)
    }
}

impl ReadAt for RemoteFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = within(buffer.len(), offset, self.bytes)?;
        if buffer.is_empty() {
            return Ok(());
        }
        let tail = self.tail_start();
        if offset >= tail {
            let bytes =
                slice(&self.tail, offset - tail..end - tail).ok_or(io::ErrorKind::UnexpectedEof)?;
            buffer.copy_from_slice(bytes);
            return Ok(());
        }
        if buffer.len() >= LONG {
            buffer.copy_from_slice(&self.fetch(offset..end)?);
            return Ok(());
        }
        self.through_blocks(buffer, offset, end)
    }

    fn len(&self) -> u64 {
        self.bytes
    }
}

/// A server that names no versions gets each opening treated as one of its own.
fn version(key: &Key, meta: &ObjectMeta) -> Version {
    static OPENINGS: AtomicU64 = AtomicU64::new(0);
    Version {
        key: Arc::new(key.clone()),
        tag: match &meta.e_tag {
            Some(etag) => etag.as_str().into(),
            None => format!("opening {}", OPENINGS.fetch_add(1, Ordering::Relaxed)).into(),
        },
    }
}

fn slice(bytes: &[u8], range: Range<u64>) -> Option<&[u8]> {
    bytes.get(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
}

fn slice_mut(bytes: &mut [u8], range: Range<u64>) -> Option<&mut [u8]> {
    bytes.get_mut(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
}
