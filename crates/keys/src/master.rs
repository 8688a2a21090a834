//! The key that wraps all others.

use std::{
    ffi::OsStr,
    fmt, fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD},
};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::{Zeroize, Zeroizing};

use crate::{Error, Sealing, command, derive, disk};

/// Where the master key comes from: text of 32 bytes, as 64 hexadecimal digits or base64, with
/// or without a newline at its end.
#[derive(Clone, PartialEq, Eq)]
pub enum MasterSource {
    /// A file that only its owner may read.
    File(PathBuf),
    /// The standard output of a program, which has 30 seconds: the program and its arguments, as
    /// they are, without a shell.
    Command(Vec<String>),
}

/// Arguments may be secrets (a token for a vault), so they are not shown.
impl fmt::Debug for MasterSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Command(words) => write!(f, "Command({:?}, …)", words.first()),
        }
    }
}

/// How long a command may take: long enough for a person to touch a token.
const LIMIT: Duration = Duration::from_secs(30);

/// More text than any form of a key has.
const LONGEST: u64 = 1_024;

/// The key that wraps the ring's keys.
#[derive(Clone)]
pub struct MasterKey([u8; 32]);

impl MasterKey {
    /// The key from where it is kept.
    ///
    /// # Errors
    /// When the file or command cannot be read, when others may read or change the file, when the
    /// command fails or takes more than 30 seconds, and when what is read is no key.
    pub fn load(source: &MasterSource) -> Result<Self, Error> {
        match source {
            MasterSource::File(path) => Self::from_file(path),
            MasterSource::Command(words) => {
                let (program, arguments) = words.split_first().ok_or(Error::CommandEmpty)?;
                let printed = command::output(program, arguments, LONGEST, LIMIT)?;
                // The program's arguments may be secret: only its name is shown.
                let name = Path::new(program).file_name().and_then(OsStr::to_str);
                Self::parse(&printed).ok_or_else(|| Error::NoKey {
                    origin: format!("what '{}' printed", name.unwrap_or(program)),
                })
            }
        }
    }

    /// Makes a new random key in a new file that only its owner may read, durable before it
    /// returns.
    ///
    /// # Errors
    /// When the file is there already (it is not touched) or cannot be written, and when the
    /// system gives no random bytes.
    pub fn create_file(path: &Path) -> Result<Self, Error> {
        let mut key = Self([0; 32]);
        SystemRandom::new()
            .fill(&mut key.0)
            .map_err(|_| Error::NoRandomness)?;
        let mut text = Zeroizing::new(STANDARD.encode(key.0));
        text.push('\n');
        let mut file = disk::private()
            .create_new(true)
            .open(path)
            .map_err(|source| Error::io(path, "make the master key's file", source))?;
        let written = file
            .write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .and_then(|()| disk::sync_parent(path));
        written.map_err(|source| {
            // Half a key would only be in the way; if it stays, it is refused when loaded.
            let _ = fs::remove_file(path);
            Error::io(path, "write the master key to", source)
        })?;
        Ok(key)
    }

    /// A key that is kept elsewhere.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// What tells this key from others and says nothing about its bytes.
    pub fn id(&self) -> MasterId {
        MasterId(derive::derive(&self.0, "master key id"))
    }

    /// What wraps data keys.
    pub(crate) fn wrapping(&self) -> Sealing {
        let key = Zeroizing::new(derive::derive(&self.0, "wrapping"));
        Sealing::new(&key)
    }

    fn from_file(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::io(path, "read the master key in", source);
        let file = fs::File::open(path).map_err(failed)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // Asked of the open file, so that no other one is put in its place meanwhile.
            let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
            if mode & 0o077 != 0 {
                return Err(Error::Exposed {
                    path: path.to_owned(),
                    mode,
                });
            }
        }
        let mut text = Zeroizing::new(Vec::with_capacity(LONGEST as usize));
        file.take(LONGEST).read_to_end(&mut text).map_err(failed)?;
        Self::parse(&text).ok_or_else(|| Error::NoKey {
            origin: path.display().to_string(),
        })
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let text = text.trim_ascii_end();
        let mut key = Self([0; 32]);
        // 64 characters as base64 would be 48 bytes: the two forms cannot be mistaken.
        match text.len() {
            64 => {
                let (pairs, _) = text.as_chunks::<2>();
                for (byte, [high, low]) in key.0.iter_mut().zip(pairs) {
                    *byte = digit(*high)? << 4 | digit(*low)?;
                }
            }
            44 => {
                let read = STANDARD.decode_slice(text, &mut key.0).ok()?;
                (read == 32).then_some(())?;
            }
            43 => {
                let read = STANDARD_NO_PAD.decode_slice(text, &mut key.0).ok()?;
                (read == 32).then_some(())?;
            }
            _ => return None,
        }
        Some(key)
    }
}

fn digit(byte: u8) -> Option<u8> {
    u8::try_from(char::from(byte).to_digit(16)?).ok()
}

impl Drop for MasterKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(redacted)")
    }
}

/// What tells one master key from another: 8 bytes derived from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MasterId([u8; 8]);

impl MasterId {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
            return None;
        };
        let digits: Option<Vec<u8>> = pairs
            .iter()
            .map(|[high, low]| {
                // One way to write it, so that the file has one form.
                let small = |byte: &u8| !byte.is_ascii_uppercase();
                (small(high) && small(low)).then_some(())?;
                Some(digit(*high)? << 4 | digit(*low)?)
            })
            .collect();
        digits?.try_into().ok().map(Self)
    }
}

impl fmt::Display for MasterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const BASE64: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    fn written(text: &str, mode: u32) -> Result<MasterKey, Error> {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        MasterKey::load(&MasterSource::File(path))
    }

    #[test]
    fn both_forms_with_and_without_a_newline_are_the_same_key() {
        let id = MasterKey::parse(HEX.as_bytes()).unwrap().id();
        let upper = HEX.to_ascii_uppercase();
        for text in [HEX, &upper, BASE64, BASE64.trim_end_matches('=')] {
            for end in ["", "\n", "\r\n"] {
                assert_eq!(written(&format!("{text}{end}"), 0o600).unwrap().id(), id);
            }
        }
    }

    #[test]
    fn rubbish_is_refused_and_not_shown() {
        let twice = format!("{BASE64}\n{BASE64}");
        for text in [
            "",
            "\n",
            "secret",
            &HEX[1..],
            &HEX.replace('f', "g"),
            &twice,
        ] {
            let error = written(text, 0o600).unwrap_err();
            assert!(matches!(error, Error::NoKey { .. }), "{error}");
            assert!(!error.to_string().contains("secret"));
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_what_to_do() {
        for mode in [0o640, 0o604, 0o660, 0o620] {
            let error = written(BASE64, mode).unwrap_err().to_string();
            assert!(error.contains("chmod 600"), "{error}");
        }
        assert!(written(BASE64, 0o400).is_ok());
    }

    #[test]
    fn a_new_file_is_the_owners_alone_and_is_never_overwritten() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master");
        let made = MasterKey::create_file(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let source = MasterSource::File(path.clone());
        assert_eq!(MasterKey::load(&source).unwrap().id(), made.id());
        assert!(MasterKey::create_file(&path).is_err());
        assert_eq!(MasterKey::load(&source).unwrap().id(), made.id());
    }

    #[test]
    fn a_command_gives_the_key_and_gets_no_shell() {
        let words = |words: &[&str]| {
            MasterSource::Command(words.iter().map(|&word| word.to_owned()).collect())
        };
        let key = MasterKey::load(&words(&["/bin/echo", BASE64])).unwrap();
        assert_eq!(key.id(), MasterKey::parse(HEX.as_bytes()).unwrap().id());
        let error = MasterKey::load(&words(&["/bin/echo", "$(echo secret)"])).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("what 'echo' printed is no master key")
        );
        assert!(!error.to_string().contains("secret"));
        assert!(matches!(
            MasterKey::load(&words(&[])),
            Err(Error::CommandEmpty)
        ));
        assert!(matches!(
            MasterKey::load(&words(&["/bin/false"])),
            Err(Error::CommandFailed { .. })
        ));
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", MasterKey([1; 32])), "MasterKey(redacted)");
        let command = MasterSource::Command(vec!["vault".into(), "token".into()]);
        assert!(!format!("{command:?}").contains("token"));
    }

    #[test]
    fn an_id_has_one_form() {
        let id = MasterKey([1; 32]).id();
        assert_eq!(MasterId::parse(&id.to_string()), Some(id));
        for text in [
            "",
            "0123456789abcde",
            "0123456789ABCDEF",
            "0123456789abcdef00",
        ] {
            assert_eq!(MasterId::parse(text), None);
        }
    }
}
