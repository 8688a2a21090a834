//! What the engine's tests share: packets built by another library than the engine, sums computed
//! the plain way, and a laboratory around one engine.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "each test binary uses its part; a test fails by panicking"
)]

pub mod engine;
pub mod lab;
pub mod packet;
pub mod reference;
pub mod relays;
pub mod six;
pub mod six_form;
pub mod slots;
