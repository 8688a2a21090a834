//! Small files that are replaced as a whole.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use crate::{Error, log::folder};

/// Puts a file in place of one that may be there: a crash leaves the one or the other.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let fresh = path.with_extension("new");
    let failed = |action| move |error| Error::io(path, action, error);
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o640);
    let mut file = options.open(&fresh).map_err(failed("write"))?;
    file.write_all(bytes).map_err(failed("write"))?;
    file.sync_all().map_err(failed("sync"))?;
    fs::rename(&fresh, path).map_err(failed("replace"))?;
    let dir = path.parent().unwrap_or(Path::new("."));
    folder::sync(dir).map_err(|error| Error::io(dir, "sync", error))
}
