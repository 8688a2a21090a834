//! What belongs to the name that was met last.
//!
//! Nearly all records that are written together have the same device and realm. Their names lie in
//! memory beside a count of who shares them, which the thread that makes records changes all the
//! time; whoever reads the name waits for that count. So a name is known again by where it lies.

use std::ptr;

use portledger_model::{Device, Realm};

/// A name, and what belongs to it. While it is kept here, no other name can lie where it does.
pub(crate) struct Last<N, V>(Option<(N, V)>);

/// What a name is.
pub(crate) trait Name: Clone {
    fn text(&self) -> &str;
}

impl Name for Device {
    fn text(&self) -> &str {
        self.as_str()
    }
}

impl Name for Realm {
    fn text(&self) -> &str {
        self.as_str()
    }
}

impl<N, V> Default for Last<N, V> {
    fn default() -> Self {
        Self(None)
    }
}

impl<N: Name, V> Last<N, V> {
    /// What belongs to a name, where it is the one that was met last.
    pub(crate) fn get(&self, name: &N) -> Option<&V> {
        let (last, value) = self.0.as_ref()?;
        ptr::eq(last.text(), name.text()).then_some(value)
    }

    /// A name is met, and this belongs to it.
    pub(crate) fn put(&mut self, name: &N, value: V) {
        self.0 = Some((name.clone(), value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_known_again_by_where_it_lies() {
        let name = Realm::new("west").unwrap();
        let mut last = Last::default();
        assert_eq!(last.get(&name), None::<&i32>);
        last.put(&name, 7);
        assert_eq!(last.get(&name.clone()), Some(&7));
        assert_eq!(last.get(&Realm::new("west").unwrap()), None);
        assert_eq!(last.get(&Realm::new("east").unwrap()), None);
    }
}
