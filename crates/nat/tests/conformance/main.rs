//! What the RFCs ask of a NAT, requirement by requirement, tried on the engine with real packets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, in its helpers too"
)]
#![allow(
    unreachable_pub,
    reason = "the list of requirements refers to every test"
)]

#[path = "../support/mod.rs"]
mod support;

mod document;
mod mistakes;
mod modes;
mod requirements;
mod rfc4787;
mod rfc5382;
mod rfc5508;
mod rfc6052;
mod rfc6146;
mod rfc6333;
mod rfc6333_icmp;
mod rfc6888;
mod rfc7422;
mod rfc7596;
mod rfc7597;
mod rfc7597_fragments;
mod rfc7599;
mod rfc7768;
mod rfc7857;
mod rfc7915;
mod rfc7915_icmp;
mod translation;
