//! Sending a large file in parts.

use std::{collections::VecDeque, fs::File, io, os::unix::fs::FileExt, path::Path, sync::Arc};

use object_store::{
    ObjectStoreExt, PutPayload,
    aws::AmazonS3,
    multipart::{MultipartStore, PartId},
    path::Path as Key,
};

use super::{
    Shared, failure,
    worker::{Gone, Pending},
};
use crate::{
    error::{Action, Error},
    path::StorePath,
};

/// How large a part is, in bytes; files up to this size are sent in one request. S3 takes parts of
/// 5 MiB to 5 GiB, and at most 10,000 of them (Amazon S3 User Guide, "Multipart upload limits").
pub(super) const PART: u64 = 16 << 20;
const MAX_PARTS: u64 = 10_000;

/// How many parts are under way at once.
const AT_ONCE: usize = 4;

/// Stores the `bytes` bytes of `file` as `path`.
pub(super) fn upload(
    shared: &Shared,
    path: &StorePath,
    local: &Path,
    file: &File,
    bytes: u64,
) -> Result<(), Error> {
    let upload = Upload {
        shared,
        path,
        key: shared.key(path),
    };
    // The end of the upload decides; this only spares sending it all for nothing.
    if upload.is_taken()? {
        return Err(Error::Exists {
            spot: shared.spot(Some(path)),
        });
    }
    let (client, key) = upload.client();
    let id = shared.run(Some(path), Action::Write, async move {
        client.create_multipart(&key).await
    })?;
    let result = upload
        .send(&id, local, file, bytes)
        .and_then(|parts| upload.finish(&id, parts));
    if result.is_err() {
        upload.abort(&id);
    }
    result
}

/// What a file that changes while it is stored is told.
pub(super) fn unfinished() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "it changed while it was read; only finished files can be stored",
    )
}

struct Upload<'a> {
    shared: &'a Shared,
    path: &'a StorePath,
    key: Key,
}

impl Upload<'_> {
    fn is_taken(&self) -> Result<bool, Error> {
        let (client, key) = self.client();
        let head = self.shared.run(Some(self.path), Action::Read, async move {
            client.head(&key).await
        });
        match head {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn send(&self, id: &str, local: &Path, file: &File, bytes: u64) -> Result<Vec<PartId>, Error> {
        let unreadable = |source| Error::Source {
            spot: self.shared.spot(Some(self.path)),
            file: local.to_owned(),
            source,
        };
        let size = PART.max(bytes.div_ceil(MAX_PARTS));
        let mut parts = Vec::new();
        let mut under_way = VecDeque::new();
        let mut offset = 0;
        while offset < bytes {
            if under_way.len() == AT_ONCE {
                parts.extend(self.arrived(under_way.pop_front())?);
            }
            let length = size.min(bytes - offset);
            let wanted = usize::try_from(length)
                .map_err(|_| unreadable(io::ErrorKind::FileTooLarge.into()))?;
            let mut part = vec![0; wanted];
            file.read_exact_at(&mut part, offset).map_err(|error| {
                unreadable(match error.kind() {
                    io::ErrorKind::UnexpectedEof => unfinished(),
                    _ => error,
                })
            })?;
            under_way.push_back(self.start(id, parts.len() + under_way.len(), part));
            offset += length;
        }
        while !under_way.is_empty() {
            parts.extend(self.arrived(under_way.pop_front())?);
        }
        if file.metadata().map_err(unreadable)?.len() != bytes {
            return Err(unreadable(unfinished()));
        }
        Ok(parts)
    }

    fn start(
        &self,
        id: &str,
        number: usize,
        part: Vec<u8>,
    ) -> Pending<object_store::Result<PartId>> {
        let (client, key) = self.client();
        let id = id.to_owned();
        self.shared.worker.run(async move {
            let payload = PutPayload::from(part);
            client.put_part(&key, &id, number, payload).await
        })
    }

    fn arrived(
        &self,
        part: Option<Pending<object_store::Result<PartId>>>,
    ) -> Result<Option<PartId>, Error> {
        match part.map(Pending::wait).transpose() {
            Ok(None) => Ok(None),
            Ok(Some(Ok(id))) => Ok(Some(id)),
            Ok(Some(Err(error))) => Err(failure::explain(
                self.shared.spot(Some(self.path)),
                Action::Write,
                &error,
            )),
            Err(gone @ Gone) => Err(self.shared.odd(Some(self.path), Action::Write, gone)),
        }
    }

    fn finish(&self, id: &str, parts: Vec<PartId>) -> Result<(), Error> {
        let finisher = Arc::clone(&self.shared.finisher);
        let (key, id) = (self.key.clone(), id.to_owned());
        self.shared.run(Some(self.path), Action::Write, async move {
            failure::settle(|| async {
                finisher.complete_multipart(&key, &id, parts.clone()).await
            })
            .await
            .map(drop)
        })
    }

    /// Parts that were sent are kept, and paid for, until this. Should it fail, the bucket's own
    /// rules for incomplete uploads clean up, and what went wrong first matters more.
    fn abort(&self, id: &str) {
        let (client, key) = self.client();
        let id = id.to_owned();
        let _ = self
            .shared
            .run(Some(self.path), Action::Delete, async move {
                client.abort_multipart(&key, &id).await
            });
    }

    fn client(&self) -> (Arc<AmazonS3>, Key) {
        (Arc::clone(&self.shared.client), self.key.clone())
    }
}
