//! Redis with Debian's configuration in short.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use super::{Place, Surveyed, client};
use crate::Failure;
use crate::process::Running;

/// Redis.
#[derive(Debug)]
pub(super) struct Redis;

impl Surveyed for Redis {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["redis-server"]
    }

    fn set_up(&self, place: &Place) -> Result<(), Failure> {
        let (at, port) = (place.folder.display(), place.port);
        place.write(
            "redis.conf",
            &format!(
                "bind 127.0.0.1 -::1\nprotected-mode yes\nport {port}\ntcp-backlog 511\ntimeout 0\ndaemonize no\npidfile {at}/pid\nloglevel notice\nlogfile {at}/redis-server.log\ndatabases 16\nsave \"\"\ndbfilename dump.rdb\ndir {at}\n"
            ),
        )?;
        Ok(())
    }

    fn config(&self, place: &Place) -> PathBuf {
        place.folder.join("redis.conf")
    }

    fn log(&self, place: &Place) -> PathBuf {
        place.folder.join("redis-server.log")
    }

    fn start(&self, place: &Place) -> Result<Running, Failure> {
        let mut command = Command::new("redis-server");
        command.arg(self.config(place));
        place.listening(&mut command)
    }

    fn visit(&self, place: &Place, from: SocketAddr) -> Result<(), Failure> {
        let stream = client::connect_from(from, place.port)?;
        let answer = client::ask(stream, "PING\r\nQUIT\r\n")?;
        if answer.starts_with("+PONG") {
            return Ok(());
        }
        Err(Failure::Unexpected {
            what: "Redis' answer".to_owned(),
            text: answer,
        })
    }

    fn mistake(&self) -> Option<&'static str> {
        None
    }
}
