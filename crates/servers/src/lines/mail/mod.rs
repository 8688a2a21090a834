//! Mail: SMTP and IMAP servers.

pub(super) mod cyrus;
pub(super) mod dovecot;
pub(super) mod exchange;
pub(super) mod exim;
pub(super) mod postfix;
pub(super) mod sendmail;
pub(super) mod uw_imap;

use super::entry::{Endpoint, split_at};

/// A queue id in front of a message, `4C5F2A0123: ` or `NOQUEUE: `, and what is behind it.
fn queue_id(message: &[u8]) -> Option<(&[u8], &[u8])> {
    let (id, rest) = split_at(message, b':')?;
    let is_id = (5..=32).contains(&id.len()) && id.iter().all(u8::is_ascii_alphanumeric);
    is_id.then_some((id, rest.strip_prefix(b" ")?))
}

/// `name[192.0.2.1]:4242` in front, and what is behind it. The name is whoever's the address's
/// reverse zone is: the address counts.
fn named_peer(text: &[u8]) -> Option<(Endpoint, &[u8])> {
    let open = memchr::memchr(b'[', text)?;
    let name = text.get(..open)?;
    let is_name = name.iter().all(|byte| !matches!(byte, b' ' | b'<' | b'"'));
    is_name.then_some(())?;
    Endpoint::bracketed(text.get(open..)?)
}
