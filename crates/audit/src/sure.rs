//! A change is held against what comes of it before it is offered: a configuration that this
//! program understood wrongly is left to a person.

use crate::{Change, FixError, Machine, Server, overlay::Overlay};

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
    let after = Overlay {
        machine,
        change: &change,
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
