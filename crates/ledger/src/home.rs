//! A ledger's folder, opened: its settings, its keys and where its parts lie.
//!
//! ```text
//! ledger.toml     what it is
//! master.key      wraps the keys (unless it lies elsewhere)
//! keys/           one key a day and log, one to sign with
//! log/            the records that are written, until they are sealed; the tree over all
//! journal/        who asked and what was deleted: a log of the same kind
//! sealed/         the sealed days and the list of them: a folder or an object store
//! ```

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use portledger_keys::{KeyName, KeyRing, MasterKey, MasterSource};
use portledger_store::{Location, Store};

use crate::{
    Error, files,
    journal::Entries,
    log::{content::Content, folder, keys::Keys},
    record::Records,
    settings::{self, Settings},
    sign::Signing,
};

/// A ledger's folder, opened.
pub(crate) struct Home {
    dir: PathBuf,
    settings: Settings,
    ring: Arc<KeyRing>,
}

impl Home {
    /// Opens the ledger in `dir`; `None` where there is none of this format.
    pub(crate) fn open(dir: &Path) -> Result<Option<Self>, Error> {
        let Some(settings) = Settings::read(dir)? else {
            return Ok(None);
        };
        let master = MasterKey::load(&inside(dir, &settings.master))?;
        let ring = Arc::new(KeyRing::open(&dir.join(&settings.keys), master)?);
        Ok(Some(Self {
            dir: dir.into(),
            settings,
            ring,
        }))
    }

    /// Makes the parts of a ledger in `dir`, which holds none. It is one when
    /// [`Home::settle`] has written its settings; what a crash left before is made again.
    pub(crate) fn make(dir: &Path, settings: &Settings) -> Result<Self, Error> {
        create(dir)?;
        let master = inside(dir, &settings.master);
        if let MasterSource::File(path) = &master
            && !path.exists()
        {
            MasterKey::create_file(path)?;
        }
        let ring = KeyRing::open(&dir.join(&settings.keys), MasterKey::load(&master)?)?;
        let home = Self {
            dir: dir.into(),
            settings: settings.clone(),
            ring: Arc::new(ring),
        };
        for part in [home.log_dir(), home.journal_dir()] {
            create(&part)?;
            for (_, path) in folder::list(&part)? {
                fs::remove_file(&path).map_err(|error| Error::io(&path, "remove", error))?;
            }
        }
        Store::create(&home.location()?)?;
        home.ring.get_or_create(&KeyName::new(SIGNING)?)?;
        Ok(home)
    }

    /// Writes its settings, and the keys that its checkpoints are verified with.
    pub(crate) fn settle(&self) -> Result<(), Error> {
        let records = self.signing::<Records>()?;
        let journal = self.signing::<Entries>()?;
        let verifier = format!("{}\n{}\n", records.verifier(), journal.verifier());
        files::replace(&self.dir.join(VERIFIER), verifier.as_bytes())?;
        let settings = self.settings.text()?;
        files::replace(&self.dir.join(settings::FILE), settings.as_bytes())
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn log_dir(&self) -> PathBuf {
        self.dir.join("log")
    }

    pub(crate) fn journal_dir(&self) -> PathBuf {
        self.dir.join("journal")
    }

    /// The keys of the days of one log.
    pub(crate) fn keys<C: Content>(&self) -> Arc<Keys> {
        Arc::new(Keys::new(Arc::clone(&self.ring), C::KEYS))
    }

    /// The store of the sealed days.
    pub(crate) fn store(&self) -> Result<Store, Error> {
        Ok(Store::open(&self.location()?)?)
    }

    fn location(&self) -> Result<Location, Error> {
        if self.settings.store.contains("://") {
            Ok(self.settings.store.parse()?)
        } else {
            Ok(Location::folder(self.dir.join(&self.settings.store)))
        }
    }

    /// What signs the checkpoints of one of its logs.
    pub(crate) fn signing<C: Content>(&self) -> Result<Signing, Error> {
        let key = self.ring.get(&KeyName::new(SIGNING)?)?;
        let key = key.ok_or_else(|| {
            Error::Signing("the key ring has no key named 'signing': is it this ledger's?".into())
        })?;
        Signing::new(&self.settings.name, C::KEYS, &key)
    }
}

/// The file of the keys that checkpoints are verified with, one a log, for others to have.
const VERIFIER: &str = "ledger.vkey";

fn create(dir: &Path) -> Result<(), Error> {
    fs::create_dir_all(dir).map_err(|error| Error::io(dir, "create", error))
}

/// The name of the key that checkpoints are signed with.
const SIGNING: &str = "signing";

/// The master key's source with its path inside the ledger's folder, where it is relative.
fn inside(dir: &Path, source: &MasterSource) -> MasterSource {
    match source {
        MasterSource::File(path) => MasterSource::File(dir.join(path)),
        MasterSource::Command(command) => MasterSource::Command(command.clone()),
    }
}
