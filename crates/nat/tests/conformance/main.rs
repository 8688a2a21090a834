//! What the RFCs ask of a NAT, requirement by requirement, tried on the engine with real packets.

#[path = "../support/mod.rs"]
mod support;

mod rfc4787;
