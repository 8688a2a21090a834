//! BIND with Debian's configuration in short, asked over TCP what it is.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;

use super::{Place, Surveyed, client, syslog};
use crate::Failure;
use crate::process::Running;

/// BIND.
#[derive(Debug)]
pub(super) struct Bind;

impl Surveyed for Bind {
    fn name(&self) -> &'static str {
        "bind"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["named", "named-checkconf", "rsyslogd", "unshare"]
    }

    fn set_up(&self, place: &Place) -> Result<(), Failure> {
        let (at, port) = (place.folder.display(), place.port);
        place.write(
            "named.conf",
            &format!("include \"{at}/named.conf.options\";\n"),
        )?;
        // No control channel: its port is the machine's.
        place.write(
            "named.conf.options",
            &format!(
                "controls {{ }};\n\noptions {{\n\tdirectory \"{at}\";\n\tpid-file \"{at}/pid\";\n\tsession-keyfile \"{at}/session.key\";\n\tdnssec-validation no;\n\tlisten-on port {port} {{ any; }};\n\tlisten-on-v6 port {port} {{ any; }};\n}};\n"
            ),
        )?;
        Ok(())
    }

    fn config(&self, place: &Place) -> PathBuf {
        place.folder.join("named.conf")
    }

    fn log(&self, place: &Place) -> PathBuf {
        syslog::log(place)
    }

    fn start(&self, place: &Place) -> Result<Running, Failure> {
        let config = self.config(place).display().to_string();
        let mut command = syslog::beside(place, &["named", "-f", "-c", &config])?;
        place.listening(&mut command)
    }

    /// `version.bind TXT CH` (RFC 1035, section 4.2.2 for the length in front): needs no other server.
    fn visit(&self, place: &Place, from: SocketAddr) -> Result<(), Failure> {
        let mut question = vec![0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        question.extend(b"\x07version\x04bind\x00\x00\x10\x00\x03");
        let mut message = u16::try_from(question.len())
            .unwrap_or_default()
            .to_be_bytes()
            .to_vec();
        message.extend(question);
        let mut stream = client::connect_from(from, place.port)?;
        let mut answer = [0; 4];
        let asked = stream
            .write_all(&message)
            .and_then(|()| stream.read_exact(&mut answer));
        match asked {
            Ok(()) if answer.ends_with(&[0x12, 0x34]) => Ok(()),
            _ => Err(Failure::Unexpected {
                what: "BIND's answer".to_owned(),
                text: format!("{answer:?}"),
            }),
        }
    }

    fn mistake(&self) -> Option<&'static str> {
        Some("no-such-statement yes;")
    }
}
