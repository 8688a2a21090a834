//! A store that is a bucket, or a prefix in one, behind `object_store`.

mod blocks;
mod body;
mod connect;
mod failure;
mod file;
mod upload;
mod worker;

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use futures_util::{StreamExt, TryStreamExt};
use object_store::{
    ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, aws::AmazonS3, path::Path as Key,
};

use crate::{
    access::Access,
    error::{Action, Error, Reason, Spot},
    location::Location,
    path::StorePath,
    read::ReadAt,
    store::{Entry, GET_LIMIT},
};

/// A bucket of sealed files. What is open shares it.
pub(crate) struct Remote(Arc<Shared>);

struct Shared {
    location: Location,
    prefix: Option<StorePath>,
    /// For everything but the end of a multipart upload.
    client: Arc<AmazonS3>,
    /// Ends a multipart upload only where no file of that name is.
    finisher: Arc<AmazonS3>,
    worker: worker::Worker,
    blocks: blocks::Blocks,
}

impl Remote {
    /// Prepares to speak with the bucket; nothing is sent yet.
    pub(crate) fn open(
        location: &Location,
        bucket: &str,
        prefix: Option<&StorePath>,
        access: &Access,
    ) -> Result<Self, Error> {
        let connect::Clients { client, finisher } = connect::connect(location, bucket, access)?;
        let worker = worker::Worker::start().map_err(|source| Error::Threads {
            location: location.clone(),
            source,
        })?;
        Ok(Self(Arc::new(Shared {
            location: location.clone(),
            prefix: prefix.cloned(),
            client: Arc::new(client),
            finisher: Arc::new(finisher),
            worker,
            blocks: blocks::Blocks::new(blocks::CAPACITY),
        })))
    }

    pub(crate) fn put_new(&self, path: &StorePath, bytes: Vec<u8>) -> Result<(), Error> {
        self.0.put_new(path, bytes)
    }

    pub(crate) fn put_file(&self, path: &StorePath, local: &Path) -> Result<(), Error> {
        let unreadable = |source| Error::Source {
            spot: self.0.spot(Some(path)),
            file: local.to_owned(),
            source,
        };
        let (mut file, bytes) = open(local).map_err(unreadable)?;
        if bytes > upload::PART {
            return upload::upload(&self.0, path, local, &file, bytes);
        }
        let mut content = Vec::new();
        file.by_ref()
            .take(bytes + 1)
            .read_to_end(&mut content)
            .map_err(unreadable)?;
        if content.len() as u64 != bytes {
            return Err(unreadable(upload::unfinished()));
        }
        self.0.put_new(path, content)
    }

    pub(crate) fn get(&self, path: &StorePath) -> Result<Vec<u8>, Error> {
        let shared = &self.0;
        let (client, key) = (Arc::clone(&shared.client), shared.key(path));
        let body = shared.run(Some(path), Action::Read, async move {
            body::whole(client.get(&key).await?, GET_LIMIT).await
        })?;
        body.map_err(|flaw| match flaw {
            body::Flaw::TooLarge => Error::TooLarge {
                spot: shared.spot(Some(path)),
                limit: GET_LIMIT,
            },
            body::Flaw::Length { .. } => shared.odd(Some(path), Action::Read, flaw),
        })
    }

    pub(crate) fn open_file(&self, path: &StorePath) -> Result<Box<dyn ReadAt>, Error> {
        Ok(Box::new(file::RemoteFile::open(&self.0, path)?))
    }

    pub(crate) fn list(&self, prefix: Option<&StorePath>) -> Result<Vec<Entry>, Error> {
        let shared = &self.0;
        let client = Arc::clone(&shared.client);
        let below = shared.folder(prefix);
        let ours = shared.folder(None);
        shared.run(prefix, Action::List, async move {
            let mut objects = client.list(below.as_ref());
            let mut entries = Vec::new();
            while let Some(object) = objects.try_next().await? {
                let key = &object.location;
                // Others' keys that are no names of ours are not ours.
                let Some(path) = name_below(key, ours.as_ref()) else {
                    continue;
                };
                // Consoles mark a folder by an empty object `folder/`, and the library drops the
                // slash. Sealed files are not empty, so asking costs nothing in practice.
                let marker = name_below(key, below.as_ref()).is_none()
                    || object.size == 0 && is_absent(client.head(key).await)?;
                if !marker {
                    entries.push(Entry {
                        path,
                        bytes: object.size,
                    });
                }
            }
            Ok(entries)
        })
    }

    pub(crate) fn delete(&self, path: &StorePath) -> Result<(), Error> {
        let (client, key) = (Arc::clone(&self.0.client), self.0.key(path));
        let deleted = self.0.run(Some(path), Action::Delete, async move {
            // The bulk request, of one: some stores answer a single one for nothing with 404.
            match client.delete(&key).await {
                Err(object_store::Error::NotFound { source, .. })
                    if !failure::is_no_bucket(&*source) =>
                {
                    Ok(())
                }
                done => done,
            }
        });
        self.0.blocks.forget(&self.0.key(path));
        deleted
    }

    pub(crate) fn delete_all(&self, prefix: &StorePath) -> Result<u64, Error> {
        let entries = self.list(Some(prefix))?;
        let shared = &self.0;
        let keys: Vec<Key> = entries
            .iter()
            .map(|entry| shared.key(&entry.path))
            .collect();
        let client = Arc::clone(&shared.client);
        for key in &keys {
            shared.blocks.forget(key);
        }
        shared.run(Some(prefix), Action::Delete, async move {
            let keys = futures_util::stream::iter(keys.into_iter().map(Ok)).boxed();
            client
                .delete_stream(keys)
                .try_fold(0, |count, _| std::future::ready(Ok(count + 1)))
                .await
        })
    }
}

impl Shared {
    fn put_new(&self, path: &StorePath, bytes: Vec<u8>) -> Result<(), Error> {
        let (client, key) = (Arc::clone(&self.client), self.key(path));
        let payload = PutPayload::from(bytes);
        self.run(Some(path), Action::Write, async move {
            failure::settle(|| async {
                let options = PutOptions::from(PutMode::Create);
                client.put_opts(&key, payload.clone(), options).await
            })
            .await
            .map(drop)
        })
    }

    /// Runs `task` on the store's own threads and waits for it.
    fn run<T, F>(&self, path: Option<&StorePath>, action: Action, task: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = object_store::Result<T>> + Send + 'static,
    {
        match self.worker.run(task).wait() {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(failure::explain(self.spot(path), action, &error)),
            Err(gone) => Err(self.odd(path, action, gone)),
        }
    }

    /// An answer that is none.
    fn odd(&self, path: Option<&StorePath>, action: Action, flaw: impl std::fmt::Display) -> Error {
        Error::Answer {
            spot: self.spot(path),
            action,
            reason: Reason::new(flaw),
        }
    }

    fn spot(&self, path: Option<&StorePath>) -> Spot {
        Spot {
            location: self.location.clone(),
            path: path.cloned(),
        }
    }

    /// The bucket's name of a file. Neither part has a character that would be escaped.
    fn key(&self, path: &StorePath) -> Key {
        match &self.prefix {
            Some(prefix) => Key::from(format!("{prefix}/{path}")),
            None => Key::from(path.as_str()),
        }
    }

    /// The bucket's name of a folder; `None` is all of the bucket.
    fn folder(&self, prefix: Option<&StorePath>) -> Option<Key> {
        match prefix {
            Some(prefix) => Some(self.key(prefix)),
            None => self.prefix.as_ref().map(|all| Key::from(all.as_str())),
        }
    }
}

/// What `key` is called below `folder`, when it is there and that is a name of ours.
fn name_below(key: &Key, folder: Option<&Key>) -> Option<StorePath> {
    let key = key.as_ref();
    match folder {
        Some(folder) => key.strip_prefix(folder.as_ref())?.strip_prefix('/')?,
        None => key,
    }
    .parse()
    .ok()
}

fn is_absent<T>(found: object_store::Result<T>) -> object_store::Result<bool> {
    match found {
        Ok(_) => Ok(false),
        Err(object_store::Error::NotFound { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Opens a file that is one, and its length.
fn open(local: &Path) -> io::Result<(File, u64)> {
    if !std::fs::metadata(local)?.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a regular file",
        ));
    }
    let file = File::open(local)?;
    let bytes = file.metadata()?.len();
    Ok((file, bytes))
}
