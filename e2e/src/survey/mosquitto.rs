//! Mosquitto with Debian's configuration in short, and a listener for more than this machine.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::{Place, Surveyed, client};
use crate::Failure;
use crate::process::{Running, finish};

/// Mosquitto.
#[derive(Debug)]
pub(super) struct Mosquitto;

impl Surveyed for Mosquitto {
    fn name(&self) -> &'static str {
        "mosquitto"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["mosquitto"]
    }

    fn set_up(&self, place: &Place) -> Result<(), Failure> {
        let (at, port) = (place.folder.display(), place.port);
        place.write(
            "mosquitto.conf",
            &format!(
                "pid_file {at}/pid\n\npersistence true\npersistence_location {at}/\n\nlog_dest file {at}/mosquitto.log\n\nlistener {port}\n\ninclude_dir {at}/conf.d\n"
            ),
        )?;
        place.write("conf.d/none", "")?;
        let mut command = Command::new("chown");
        command.args(["-R", "mosquitto"]).arg(&place.folder);
        finish(&mut command, Duration::from_secs(5))?.succeeded()?;
        Ok(())
    }

    fn config(&self, place: &Place) -> PathBuf {
        place.folder.join("mosquitto.conf")
    }

    fn log(&self, place: &Place) -> PathBuf {
        place.folder.join("mosquitto.log")
    }

    fn start(&self, place: &Place) -> Result<Running, Failure> {
        let mut command = Command::new("mosquitto");
        command.arg("-c").arg(self.config(place));
        place.listening(&mut command)
    }

    /// CONNECT without a user (MQTT 3.1.1, section 3.1): refused, and in the log.
    fn visit(&self, place: &Place, from: SocketAddr) -> Result<(), Failure> {
        let stream = client::connect_from(from, place.port)?;
        client::ask(stream, "\x10\x12\0\x04MQTT\x04\x02\0\x3c\0\x06survey")?;
        Ok(())
    }

    fn mistake(&self) -> Option<&'static str> {
        None
    }
}
