//! A change is held against what comes of it before it is offered: a configuration that this
//! program understood wrongly is left to a person.

use portledger_model::Timestamp;

use crate::{
    Change, Edit, FixError, Machine, Server,
    machine::{Output, ReadError, folder},
};

/// How a server's change is thought out.
type Planned = fn(&dyn Machine, &str) -> Result<Change, FixError>;

/// The change that `planned` comes to, where after it the files promise the port in every log and
/// a second one would change nothing.
///
/// # Errors
/// As `planned`, and when the change does not come to that.
pub(crate) fn sure(
    server: &dyn Server,
    machine: &dyn Machine,
    path: &str,
    planned: Planned,
) -> Result<Change, FixError> {
    let change = planned(machine, path)?;
    let after = After {
        machine,
        edits: &change.edits,
    };
    let is_last = planned(&after, path).is_ok_and(|again| again.edits.is_empty());
    let is_told = server.look(&after, path).is_ok_and(|instance| {
        let mut logs = instance.logs.iter();
        logs.all(|log| log.records.source_port || log.is_covered)
    });
    if is_last && is_told {
        return Ok(change);
    }
    Err(FixError::ByHand {
        why: format!(
            "{path}: what this program would change does not bring the port into every log; `portledger guide {}` says what has to",
            server.facts().name
        ),
    })
}

/// The machine once the change was made, of which files alone are asked: a program would tell
/// what is in force before.
struct After<'a> {
    machine: &'a dyn Machine,
    edits: &'a [Edit],
}

impl After<'_> {
    fn edit(&self, path: &str) -> Option<&Edit> {
        self.edits.iter().find(|edit| edit.path == path)
    }
}

impl Machine for After<'_> {
    fn read(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        match self.edit(path) {
            Some(edit) => Ok(edit.after.as_bytes().to_vec()),
            None => self.machine.read(path),
        }
    }

    fn newest(&self, path: &str, most: usize) -> Result<Vec<u8>, ReadError> {
        self.machine.newest(path, most)
    }

    fn glob(&self, pattern: &str) -> Vec<String> {
        let mut paths = self.machine.glob(pattern);
        // Changes make files that are named in full, or among all of a folder.
        let is_named =
            |path: &String| path == pattern || pattern.strip_suffix("/*") == Some(folder(path));
        let made = self.edits.iter().filter(|edit| edit.before.is_none());
        paths.extend(made.map(|edit| edit.path.clone()).filter(is_named));
        paths.sort_unstable();
        paths.dedup();
        paths
    }

    fn modified(&self, path: &str) -> Option<Timestamp> {
        self.machine.modified(path)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Option<Output> {
        // A change leaves the version as it is.
        let is_version = arguments == ["--version"];
        is_version.then(|| self.machine.run(program, arguments))?
    }

    fn now(&self) -> Timestamp {
        self.machine.now()
    }
}

#[cfg(test)]
mod tests {
    use crate::{Wish, server, testing::Image};

    #[test]
    fn what_does_not_come_to_the_port_is_left_to_a_person() {
        let path = "/etc/redis/redis.conf";
        // The last line has no value to be replaced.
        let image = Image::default().with(path, "logfile /r\nloglevel");
        let redis = server::named("redis").unwrap();
        let error = redis.fix(&image, path, Wish::InPlace).unwrap_err();
        insta::assert_snapshot!(error.to_string());
    }
}
