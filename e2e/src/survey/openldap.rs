//! slapd with a slapd.conf, and the log level of Debian's: nothing.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;

use super::{Place, Surveyed, client, syslog};
use crate::Failure;
use crate::process::Running;

/// OpenLDAP's slapd.
#[derive(Debug)]
pub(super) struct Openldap;

/// An anonymous bind, and its end (RFC 4511, sections 4.2 and 4.3).
const BIND: &[u8] = b"\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00";
const UNBIND: &[u8] = b"\x30\x05\x02\x01\x02\x42\x00";

impl Surveyed for Openldap {
    fn name(&self) -> &'static str {
        "openldap"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["slapd", "slaptest", "rsyslogd", "unshare"]
    }

    fn set_up(&self, place: &Place) -> Result<(), Failure> {
        let at = place.folder.display();
        place.write(
            "slapd.conf",
            &format!(
                "include /etc/ldap/schema/core.schema\npidfile {at}/pid\nargsfile {at}/args\nloglevel none\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n\ndatabase mdb\nsuffix \"dc=example,dc=org\"\ndirectory {at}/data\n"
            ),
        )?;
        place.write("data/none", "")?;
        Ok(())
    }

    fn config(&self, place: &Place) -> PathBuf {
        place.folder.join("slapd.conf")
    }

    fn log(&self, place: &Place) -> PathBuf {
        syslog::log(place)
    }

    fn start(&self, place: &Place) -> Result<Running, Failure> {
        let config = self.config(place).display().to_string();
        let at = format!("ldap://:{}/", place.port);
        // With a debug level, of nothing too, it stays where it is started.
        let server = ["slapd", "-d", "0", "-f", &config, "-h", &at];
        place.listening(&mut syslog::beside(place, &server)?)
    }

    fn visit(&self, place: &Place, from: SocketAddr) -> Result<(), Failure> {
        let mut stream = client::connect_from(from, place.port)?;
        let mut answer = [0; 14];
        let asked = stream
            .write_all(BIND)
            .and_then(|()| stream.read_exact(&mut answer))
            .and_then(|()| stream.write_all(UNBIND));
        match asked {
            // A BindResponse of success.
            Ok(()) if answer.starts_with(b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00") => Ok(()),
            _ => Err(Failure::Unexpected {
                what: "slapd's answer".to_owned(),
                text: format!("{answer:?}"),
            }),
        }
    }

    fn mistake(&self) -> Option<&'static str> {
        Some("no_such_setting yes")
    }
}
