//! Reading a whole log: one thread decodes, the other builds the index.

use std::{
    panic,
    path::Path,
    sync::mpsc::{SyncSender, sync_channel},
    thread,
};

use portledger_model::{Record, RecordNumber};

use crate::{
    Error, Ledger,
    error::TooLarge,
    log::folder::{self, Contents},
};

/// Records handed over at once. The index takes those of one address together, which is several
/// times faster than in order: enough of them that addresses repeat, few enough for the cache.
const CHUNK: usize = 1 << 16;

/// Chunks that may wait for the index.
const WAITING: usize = 2;

type Chunk = Vec<(RecordNumber, Record)>;

/// Reads the log in `dir`, up to a torn tail.
pub(crate) fn load(dir: &Path) -> Result<(Ledger, Contents), Error> {
    let mut ledger = Ledger::empty();
    let (sender, chunks) = sync_channel::<Chunk>(WAITING);
    let (contents, indexed) = thread::scope(|scope| {
        let decoding = thread::Builder::new()
            .name("ledger-read".into())
            .spawn_scoped(scope, move || decode(dir, &sender))
            .map_err(|error| Error::io(dir, "start a thread to read", error))?;
        // On an error the channel is closed, and the other thread stops.
        let indexed = chunks
            .into_iter()
            .try_for_each(|chunk| ledger.apply_all(&chunk));
        let contents = decoding
            .join()
            .unwrap_or_else(|cause| panic::resume_unwind(cause));
        Ok::<_, Error>((contents, indexed))
    })?;
    indexed?;
    Ok((ledger, contents?))
}

fn decode(dir: &Path, chunks: &SyncSender<Chunk>) -> Result<Contents, Error> {
    let closed = |_| TooLarge("records");
    let mut chunk = Vec::new();
    let contents = folder::read(dir, |number, record| {
        chunk.push((number, record));
        if chunk.len() < CHUNK {
            return Ok(());
        }
        let full = std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK));
        chunks.send(full).map_err(closed)
    })?;
    // Where nobody listens any more, the listener knows why.
    let _ = chunks.send(chunk);
    Ok(contents)
}
