//! What earlier lines of open sessions said.
//!
//! A session's endpoint is that of its later lines only while it is open: afterwards the port may be
//! somebody else's.

use std::collections::{BTreeMap, HashMap};

use super::syslog::Header;

/// What was told of sessions that are open (their endpoints), by what their lines have in common: the process, the
/// queue id, the connection's number. Of more than fit, those go that were told of longest ago: a
/// line of theirs is then one without an endpoint, never one with another's.
#[derive(Debug)]
pub(super) struct Sessions<V> {
    most: usize,
    turn: u64,
    open: HashMap<Box<[u8]>, (u64, V)>,
    /// The sessions by when a line last told of them.
    order: BTreeMap<u64, Box<[u8]>>,
}

/// How many sessions are remembered.
const MOST: usize = 65_536;

/// No process, queue id or host name is longer: a line that has one is not a server's.
const LONGEST: usize = 512;

impl<V: Clone> Default for Sessions<V> {
    fn default() -> Self {
        Self::of_at_most(MOST)
    }
}

impl<V: Clone> Sessions<V> {
    pub(super) fn of_at_most(most: usize) -> Self {
        Self {
            most,
            turn: 0,
            open: HashMap::new(),
            order: BTreeMap::new(),
        }
    }

    /// The session begins with this. What was known under the key is over.
    pub(super) fn begin(&mut self, key: Key, value: V) {
        self.end(&key);
        if key.0.len() > LONGEST {
            return;
        }
        while self.open.len() >= self.most {
            let Some((_, oldest)) = self.order.pop_first() else {
                break;
            };
            self.open.remove(&oldest);
        }
        self.turn += 1;
        let key: Box<[u8]> = key.0.into();
        self.order.insert(self.turn, key.clone());
        self.open.insert(key, (self.turn, value));
    }

    /// What was told of an open session.
    pub(super) fn told(&mut self, key: &Key) -> Option<V> {
        let (turn, value) = self.open.get_mut(key.0.as_slice())?;
        let key = self.order.remove(turn)?;
        self.turn += 1;
        *turn = self.turn;
        self.order.insert(self.turn, key);
        Some(value.clone())
    }

    /// The session is over: the next of its process is another's.
    pub(super) fn end(&mut self, key: &Key) -> Option<V> {
        let (turn, value) = self.open.remove(key.0.as_slice())?;
        self.order.remove(&turn);
        Some(value)
    }

    /// The server on this host started: no earlier session goes on.
    pub(super) fn end_all_of(&mut self, host: &[u8]) {
        let host = Key::of(host, &[]).0;
        self.order.retain(|_, key| !key.starts_with(&host));
        self.open.retain(|key, _| !key.starts_with(&host));
    }
}

/// What the lines of one session have in common, their host first.
#[derive(Debug, Clone)]
pub(super) struct Key(Vec<u8>);

impl Key {
    /// Of what these parts of a line say.
    pub(super) fn of(host: &[u8], parts: &[&[u8]]) -> Self {
        let mut key = Vec::with_capacity(64);
        for part in [host].iter().chain(parts) {
            key.extend(*part);
            // No part has one: syslog separates with spaces and escapes control characters.
            key.push(0);
        }
        Self(key)
    }

    /// Of the process that wrote the line, where it is told.
    pub(super) fn of_process(header: &Header<'_>) -> Option<Self> {
        Some(Self::of(header.host, &[header.program, header.process?]))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(number: u16) -> Key {
        Key::of(b"host", &[&number.to_be_bytes().map(|byte| byte | 1)[..]])
    }

    #[test]
    fn the_session_not_told_of_for_longest_goes_first() {
        let mut sessions = Sessions::of_at_most(2);
        let keys = [b"1", b"2", b"3"].map(|text| Key::of(b"host", &[text]));
        sessions.begin(keys[0].clone(), 1);
        sessions.begin(keys[1].clone(), 2);
        assert_eq!(sessions.told(&keys[0]), Some(1));
        sessions.begin(keys[2].clone(), 3);
        assert_eq!(sessions.told(&keys[1]), None);
        assert_eq!(sessions.told(&keys[0]), Some(1));
        assert_eq!(sessions.told(&keys[2]), Some(3));
    }

    #[test]
    fn another_hosts_process_of_the_same_number_is_another_session() {
        let mut sessions = Sessions::<u16>::default();
        sessions.begin(Key::of(b"a", &[b"7"]), 1);
        assert_eq!(sessions.told(&Key::of(b"b", &[b"7"])), None);
        assert_eq!(sessions.told(&Key::of(b"a7", &[])), None);
    }

    proptest! {
        #[test]
        fn both_sides_know_the_same_sessions(steps: Vec<(u8, u16)>) {
            let mut sessions = Sessions::<u16>::of_at_most(8);
            for (what, number) in steps {
                match what % 3 {
                    0 => sessions.begin(key(number), number),
                    1 => { let _ = sessions.end(&key(number)); }
                    _ => { let _ = sessions.told(&key(number)); }
                }
                prop_assert!(sessions.open.len() <= 8);
                prop_assert_eq!(sessions.open.len(), sessions.order.len());
            }
        }
    }
}
