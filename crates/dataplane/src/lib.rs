//! Drivers: how packets and the time come to the NAT engine, and packets leave it.
//!
//! [`tun`] is the portable default, a TUN device with several queues on which packets of up to
//! 64 KiB stay whole; [`clock`] gives the engine a time that never goes back; [`privilege`] sees
//! to it that the process holds no right it does not need.
//!
//! ```no_run
//! use portledger_dataplane::{clock::Clock, privilege, tun::Device};
//!
//! privilege::keep_only_net_admin()?;
//! let device = Device::open("cgn0", 2, None)?;
//! let held = privilege::drop_all()?;
//! println!("{}: {} queues, {held}", device.facts.name, device.queues.len());
//! let mut clock = Clock::start();
//! println!("{}", clock.now().now);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
// Only the TUN driver's `ioctl` file may have unsafe code, each block with its reason.
#![deny(unsafe_code)]

pub mod capture;
#[cfg(target_os = "linux")]
pub mod clock;
pub mod engine;
#[cfg(target_os = "linux")]
pub mod privilege;
pub mod replay;
#[cfg(target_os = "linux")]
pub mod run;
pub mod start;
#[cfg(target_os = "linux")]
pub mod tun;
