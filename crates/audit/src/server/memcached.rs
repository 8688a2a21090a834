//! memcached, which tells connections to whoever holds `watch connevents` open, and no log.

use super::{FixError, Instance, LookError, Server, Wish, facts, guide};
use crate::{
    Change, Facts, Machine,
    lines::{Continues, Lines},
    machine::{debian_version, version_in},
};

/// memcached.
#[derive(Debug)]
pub(super) struct Memcached;

impl Server for Memcached {
    fn facts(&self) -> &'static Facts {
        facts!("memcached.toml")
    }

    fn guide(&self) -> &'static str {
        guide!("memcached.md")
    }

    fn usual_places(&self) -> &'static [&'static str] {
        &[
            "/etc/memcached.conf",
            "/etc/memcached_*.conf",
            "/etc/sysconfig/memcached",
        ]
    }

    fn claims(&self, path: &str, text: &str) -> bool {
        path.contains("memcached") || text.contains("memcached")
    }

    fn look(&self, machine: &dyn Machine, path: &str) -> Result<Instance, LookError> {
        let lines = Lines::read(machine, path, Continues::Never, &|_| Vec::new())?;
        let said = machine.run("memcached", &["-V"]);
        Ok(Instance {
            version: said
                .and_then(|output| version_in(&output.stdout))
                .or_else(|| debian_version(machine, &["memcached"])),
            config: lines.files,
            // What -v and -vv print has no address.
            logs: Vec::new(),
            findings: Vec::new(),
        })
    }

    fn plan(&self, machine: &dyn Machine, path: &str, _: Wish) -> Result<Change, FixError> {
        self.look(machine, path)?;
        Err(FixError::ByHand {
            why: "memcached writes no log of connections: a client that sends `watch connevents` and stays gets a line with rip= and rport= for each, to be kept in a file (the guide shows how), or run `portledger watch` beside it".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Image, never_panics};

    #[test]
    fn it_has_a_stream_and_no_log() {
        let path = "/etc/memcached.conf";
        let image = Image::default().with(path, "-d\nlogfile /var/log/memcached.log\n-vv\n");
        assert!(Memcached.look(&image, path).unwrap().logs.is_empty());
        let error = crate::fix(&Memcached, &image, path, Wish::InPlace).unwrap_err();
        assert!(error.to_string().contains("watch connevents"));
        never_panics(&Memcached, &[path], &["-vv"]);
    }
}
