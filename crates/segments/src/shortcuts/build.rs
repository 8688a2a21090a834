//! Making shortcuts from the files they are of.

use std::{io::Write as _, path::Path, sync::Arc};

use ring::rand::SystemRandom;

use super::{
    COLUMNS, FILE, PageShortcuts, Restarts, Runs,
    file::{MAGIC, identity},
};
use crate::{
    Error, FileSummary,
    format::{
        cipher::{Cipher, Module, Ordinals},
        page::Values,
    },
    layout::allocation as at,
    table::Table,
    write::Sink,
};

/// Makes the file in the folder `dir`, which must not have it, from allocations and their records'
/// numbers. It is durable, but for its name.
pub(crate) fn build(
    dir: &Path,
    allocations: &Table,
    numbers: &Table,
) -> Result<FileSummary, Error> {
    let failed = |action| {
        move |source| Error::Io {
            file: FILE,
            action,
            source,
        }
    };
    let mut sink = Sink::create(&dir.join(FILE)).map_err(failed("create"))?;
    let (mut offsets, mut offset) = (vec![0], 0_u64);
    let (mut plain, mut part) = (Vec::new(), Vec::new());
    let mut say = |sink: &mut Sink, plain: &[u8], module, at| {
        part.clear();
        close(allocations.cipher(), plain, module, at, &mut part).map_err(failed("seal"))?;
        sink.write_all(&part).map_err(failed("write"))?;
        Ok::<_, Error>(part.len() as u64)
    };
    for group in 0..allocations.groups() {
        for page in 0..allocations.pages(group) {
            plain.clear();
            columns_of(allocations, numbers, group, page)?.write(&mut plain);
            let at = Ordinals {
                group,
                page,
                column: 0,
            };
            offset += say(&mut sink, &plain, Module::Shortcuts, at)?;
            offsets.push(offset);
        }
    }
    let mut end = identity(allocations).to_vec();
    end.extend(identity(numbers));
    end.extend(offsets.iter().flat_map(|offset| offset.to_le_bytes()));
    let length = say(&mut sink, &end, Module::ShortcutsEnd, Ordinals::default())?;
    let trailer = [(length as u32).to_le_bytes(), MAGIC].concat();
    sink.write_all(&trailer).map_err(failed("write"))?;
    sink.finish(FILE).map_err(failed("make durable"))
}

/// What the columns of a page say that its shortcuts say too.
pub(crate) fn columns_of(
    allocations: &Table,
    numbers: &Table,
    group: u32,
    page: u32,
) -> Result<PageShortcuts, Error> {
    let read = |column| allocations.read_page(group, column, page);
    let (externals, firsts) = (read(at::EXTERNAL)?, read(at::FIRST)?);
    let lasts = read(at::LAST)?;
    let runs = Runs::of(externals.narrow(), firsts.narrow(), lasts.narrow());
    let runs =
        runs.map_err(|error| allocations.damaged_page(group, at::FIRST, page, error.into()))?;
    let restarts = |table: &Table, column| {
        let (values, checksum) = table.read_checked(group, column, page)?;
        let checksum = checksum.unwrap_or(0);
        Ok::<_, Error>(match values {
            Values::Narrow(values) => {
                let values: Vec<i64> = values.iter().map(|&value| value.into()).collect();
                Restarts::of(checksum, &values)
            }
            Values::Wide(mut values) if column == at::TO => {
                // Null is the greatest value, and has no place among the deltas.
                let mut values = std::mem::take(&mut values).into_vec();
                values.retain(|&value| value != i64::MAX);
                Restarts::of(checksum, &values)
            }
            values => Restarts::of(checksum, values.wide()),
        })
    };
    let [from, to, subscriber] = COLUMNS;
    let devices = read(at::DEVICE)?;
    let device = devices.narrow().first().copied();
    let all = |device: &u32| devices.narrow().iter().all(|other| other == device);
    let few = runs.len() * 2 <= externals.len();
    Ok(PageShortcuts {
        runs: few.then(|| Arc::new(runs)),
        device: device.filter(all),
        restarts: [
            restarts(allocations, from)?,
            restarts(allocations, to)?,
            restarts(allocations, subscriber)?,
            restarts(numbers, 0)?,
        ],
    })
}

/// Appends a part as the file has it: sealed, or with its checksum behind it.
fn close(
    cipher: Option<&Cipher>,
    plain: &[u8],
    module: Module,
    at: Ordinals,
    out: &mut Vec<u8>,
) -> std::io::Result<()> {
    match cipher {
        Some(cipher) => cipher
            .seal(plain, module, at, &SystemRandom::new(), out)
            .map_err(|_| std::io::Error::other("the system gave no random bytes")),
        None => {
            out.extend_from_slice(plain);
            out.extend(crc32fast::hash(plain).to_le_bytes());
            Ok(())
        }
    }
}
