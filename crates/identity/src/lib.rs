//! Which customer stood behind a subscriber, and when: kept apart and encrypted.
#![forbid(unsafe_code)]
