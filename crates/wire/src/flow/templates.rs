//! The templates of one session, bounded.

use std::collections::HashMap;

use portledger_model::Timestamp;

use super::{
    item::{Limits, Reject},
    message::Domain,
    template::Template,
};

/// Templates by domain and number (RFC 7011 §8: numbers are unique within a transport session and
/// an observation domain).
#[derive(Debug, Default)]
pub(super) struct Templates {
    known: HashMap<(Domain, u16), Known>,
    bytes: usize,
}

#[derive(Debug)]
struct Known {
    template: Template,
    options: bool,
    defined: Timestamp,
    used: bool,
}

/// What a definition changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Defined {
    New,
    Same,
    Other,
}

impl Templates {
    /// The template, which is then in use: a flood of others does not push it out.
    pub(super) fn get(&mut self, domain: Domain, number: u16) -> Option<&Template> {
        let known = self.known.get_mut(&(domain, number))?;
        known.used = true;
        Some(&known.template)
    }

    /// Learns a template, or learns it again.
    ///
    /// # Errors
    /// When there is no room: one that never described any data gives way, one in use does not.
    pub(super) fn define(
        &mut self,
        domain: Domain,
        number: u16,
        template: Template,
        options: bool,
        now: Timestamp,
        limits: &Limits,
    ) -> Result<Defined, Reject> {
        let key = (domain, number);
        if let Some(known) = self.known.get_mut(&key) {
            known.defined = now;
            if known.options == options && known.template.fields() == template.fields() {
                return Ok(Defined::Same);
            }
        }
        let old = self.forget(key);
        while self.known.len() >= limits.templates
            || self.bytes + template.cost() > limits.template_bytes
        {
            let unused = self
                .known
                .iter()
                .filter(|(_, known)| !known.used)
                .min_by_key(|(_, known)| known.defined)
                .map(|(key, _)| *key);
            let Some(unused) = unused else {
                return Err(Reject::TooManyTemplates {
                    template: number,
                    room: limits.templates,
                });
            };
            self.forget(unused);
        }
        self.bytes += template.cost();
        let known = Known {
            template,
            options,
            defined: now,
            used: false,
        };
        self.known.insert(key, known);
        Ok(if old { Defined::Other } else { Defined::New })
    }

    /// Withdraws one template of a kind; whether there was one.
    pub(super) fn withdraw(&mut self, domain: Domain, number: u16, options: bool) -> bool {
        let key = (domain, number);
        let is_one = self
            .known
            .get(&key)
            .is_some_and(|known| known.options == options);
        is_one && self.forget(key)
    }

    /// Withdraws all of a kind in a domain, or all of the domain; how many.
    pub(super) fn withdraw_all(&mut self, domain: Domain, options: Option<bool>) -> u64 {
        self.retain(|key, known| key.0 != domain || options.is_some_and(|o| o != known.options))
    }

    /// Drops what was last defined before `time`; how many.
    pub(super) fn expire(&mut self, time: Timestamp) -> u64 {
        self.retain(|_, known| known.defined >= time)
    }

    fn forget(&mut self, key: (Domain, u16)) -> bool {
        let old = self.known.remove(&key);
        if let Some(old) = &old {
            self.bytes = self.bytes.saturating_sub(old.template.cost());
        }
        old.is_some()
    }

    fn retain(&mut self, keep: impl Fn(&(Domain, u16), &Known) -> bool) -> u64 {
        let before = self.known.len();
        self.known.retain(|key, known| keep(key, known));
        self.bytes = self.known.values().map(|known| known.template.cost()).sum();
        (before - self.known.len()) as u64
    }
}
