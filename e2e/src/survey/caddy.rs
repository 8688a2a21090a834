//! Caddy with Debian's Caddyfile, which logs no request, and a log of Caddy's own in the place's folder.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use super::{Place, Surveyed, client};
use crate::process::Running;
use crate::{Failure, read};

/// Caddy.
#[derive(Debug)]
pub(super) struct Caddy;

impl Surveyed for Caddy {
    fn name(&self) -> &'static str {
        "caddy"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["caddy"]
    }

    fn set_up(&self, place: &Place) -> Result<(), Failure> {
        let (at, port) = (place.folder.display(), place.port);
        place.write(
            "Caddyfile",
            &format!("{{\n\tlog {{\n\t\toutput file {at}/caddy.log\n\t}}\n}}\n\n:{port} {{\n\t# Set this path to your site's directory.\n\troot * /usr/share/caddy\n\n\t# Enable the static file server.\n\tfile_server\n}}\n"),
        )?;
        Ok(())
    }

    fn config(&self, place: &Place) -> PathBuf {
        place.folder.join("Caddyfile")
    }

    /// There is none until there is one.
    fn log(&self, place: &Place) -> PathBuf {
        match read(&self.config(place)) {
            Ok(text) if text.contains("access.log") => place.folder.join("access.log"),
            _ => place.folder.join("none.log"),
        }
    }

    fn start(&self, place: &Place) -> Result<Running, Failure> {
        let mut command = Command::new("caddy");
        command
            .args(["run", "--adapter", "caddyfile", "--config"])
            .arg(self.config(place));
        for name in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
            command.env(name, &place.folder);
        }
        place.listening(&mut command)
    }

    fn visit(&self, place: &Place, from: SocketAddr) -> Result<(), Failure> {
        client::http(from, place.port)
    }

    fn mistake(&self) -> Option<&'static str> {
        Some(":1 {\n\tno_such_directive\n}")
    }
}
