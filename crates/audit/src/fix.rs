//! A change is offered only when its result, read as the server would read it, is what was wanted.

use crate::{Change, FixError, Log, Machine, Server, Wish, overlay::Overlay, server::Promise};

/// The change that the server plans, where a look at its result finds what it promises in every
/// log, and a second change would change nothing: a configuration that this program understood
/// wrongly is left to a person.
///
/// # Errors
/// When the server has no change to offer, or it does not come to what was wanted.
pub fn fix(
    server: &dyn Server,
    machine: &dyn Machine,
    path: &str,
    wish: Wish,
) -> Result<Change, FixError> {
    let change = server.plan(machine, path, wish)?;
    let promise = server.promise();
    if promise == Promise::Nothing {
        return Ok(change);
    }
    let after = Overlay {
        machine,
        change: &change,
    };
    let how = &server.facts().how;
    let by_hand = |why: String| FixError::ByHand { why };
    let instance = server.look(&after, path).map_err(|error| {
        by_hand(format!(
            "this program's change would not be understood ({error}): change it by hand; {how}"
        ))
    })?;
    if let Some(log) = instance.logs.iter().find(|log| !promise.is_kept_by(log)) {
        return Err(by_hand(format!(
            "{}: no change that this program knows gets {} into it; {how}",
            log.path,
            promise.what()
        )));
    }
    if instance.logs.is_empty() {
        return Err(by_hand(format!(
            "{path}: no log was found that could be changed; {how}"
        )));
    }
    let again = server.plan(&after, path, wish);
    match again.is_ok_and(|again| again.edits.is_empty()) {
        true => Ok(change),
        false => Err(by_hand(format!(
            "{path}: what this program would change does not settle it; `portledger guide {}` says what has to",
            server.facts().name
        ))),
    }
}

impl Promise {
    const fn is_kept_by(self, log: &Log) -> bool {
        log.is_covered
            || match self {
                Self::PortAndTime => log.records.are_enough(),
                Self::Port => log.records.source_port,
                Self::Nothing => true,
            }
    }

    const fn what(self) -> &'static str {
        match self {
            Self::PortAndTime => "the client's port and a certain time",
            Self::Port | Self::Nothing => "the client's port",
        }
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
        let error = super::fix(redis, &image, path, Wish::InPlace).unwrap_err();
        insta::assert_snapshot!(error.to_string());
    }
}
