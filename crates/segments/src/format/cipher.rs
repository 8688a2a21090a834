//! Parquet's modular encryption: every part of a file is a module of its own, sealed with
//! AES-GCM together with its place in the file, so that no part can be changed or moved.
//!
//! <https://github.com/apache/parquet-format/blob/master/Encryption.md>

use ring::{
    aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    error::Unspecified,
    rand::SecureRandom,
};

/// What a module is (§4.4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Module {
    Footer = 0,
    DataPage = 2,
    DictionaryPage = 3,
    DataPageHeader = 4,
    DictionaryPageHeader = 5,
    ColumnIndex = 6,
    OffsetIndex = 7,
    /// Not Parquet's: a part of the shortcuts, and their end.
    Shortcuts = 64,
    ShortcutsEnd = 65,
}

/// Where a module is: its row group, column and page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Ordinals {
    pub(crate) group: u32,
    pub(crate) column: u16,
    pub(crate) page: u32,
}

/// Opens and seals the modules of one file.
pub(crate) struct Cipher {
    key: LessSafeKey,
    /// What every module's additional data begin with: the file's own random bytes.
    file: Vec<u8>,
}

/// Why a module cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sealed {
    /// It is cut off, or longer than it may be.
    Length,
    /// It is not what was written.
    Tag,
}

/// A module's length, its nonce and its tag.
const LENGTH: usize = 4;
const TAG: usize = 16;

impl Cipher {
    /// `None` when the key has no length that AES takes.
    pub(crate) fn new(key: &[u8], file: Vec<u8>) -> Option<Self> {
        let algorithm = if key.len() == 16 {
            &AES_128_GCM
        } else {
            &AES_256_GCM
        };
        let key = LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?);
        Some(Self { key, file })
    }

    /// Opens the module at the start of `bytes`, in place. Returns where its plain bytes are and
    /// where it ends.
    pub(crate) fn open(
        &self,
        bytes: &mut [u8],
        module: Module,
        at: Ordinals,
    ) -> Result<(std::ops::Range<usize>, usize), Sealed> {
        let length = bytes.first_chunk::<LENGTH>().ok_or(Sealed::Length)?;
        let length = u32::from_le_bytes(*length) as usize;
        let end = LENGTH.checked_add(length).ok_or(Sealed::Length)?;
        let sealed = bytes.get_mut(LENGTH..end).ok_or(Sealed::Length)?;
        if length < NONCE_LEN + TAG {
            return Err(Sealed::Length);
        }
        let (nonce, sealed) = sealed.split_at_mut(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Sealed::Length)?;
        let plain = self
            .key
            .open_in_place(nonce, Aad::from(self.additional(module, at)), sealed)
            .map_err(|_| Sealed::Tag)?
            .len();
        let start = LENGTH + NONCE_LEN;
        Ok((start..start + plain, end))
    }

    /// Appends a module that says `plain`.
    pub(crate) fn seal(
        &self,
        plain: &[u8],
        module: Module,
        at: Ordinals,
        random: &dyn SecureRandom,
        out: &mut Vec<u8>,
    ) -> Result<(), Unspecified> {
        let mut nonce = [0; NONCE_LEN];
        random.fill(&mut nonce)?;
        let mut sealed = plain.to_vec();
        let additional = Aad::from(self.additional(module, at));
        let all = Nonce::assume_unique_for_key(nonce);
        self.key
            .seal_in_place_append_tag(all, additional, &mut sealed)?;
        let length = u32::try_from(NONCE_LEN + sealed.len()).map_err(|_| Unspecified)?;
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        Ok(())
    }

    /// The bytes that tell this file from all others.
    pub(crate) fn file(&self) -> &[u8] {
        &self.file
    }

    /// §4.4.2: the file's bytes, the module's type, then the ordinals it has.
    fn additional(&self, module: Module, at: Ordinals) -> Vec<u8> {
        let mut all = self.file.clone();
        all.push(module as u8);
        if module != Module::Footer {
            // Only the low 16 bits have a place; the reader takes no file with more row groups.
            all.extend((at.group as u16).to_le_bytes());
            all.extend(at.column.to_le_bytes());
        }
        if matches!(
            module,
            Module::DataPage | Module::DataPageHeader | Module::Shortcuts
        ) {
            all.extend((at.page as u16).to_le_bytes());
        }
        all
    }
}
