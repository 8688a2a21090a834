//! Rights are given up around opening the device. Root only, in namespaces of its own.
//!
//! Without the test harness, which would run it beside a thread of its own.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // Helpers of tests fail by panicking, as tests do.

#[path = "namespace/mod.rs"]
mod namespace;

use namespace::{alone, run, status};
use portledger_dataplane::{
    privilege,
    tun::{Device, OpenError, VirtioHeader},
};

fn main() {
    // Programs that ask each test binary for its tests find none here.
    if !std::env::args().any(|argument| argument == "--list") {
        alone(
            "rights_are_given_up_before_and_after_opening",
            rights_are_given_up,
        );
    }
}

fn rights_are_given_up() {
    run("ip link set lo up");
    let held = privilege::keep_only_net_admin().unwrap();
    assert!(held.net_admin() && held.no_new_privileges);
    // Bit 12 is CAP_NET_ADMIN.
    for (field, expected) in [
        ("CapEff", "0000000000001000"),
        ("CapPrm", "0000000000001000"),
        ("CapInh", "0000000000000000"),
        ("CapBnd", "0000000000000000"),
        ("CapAmb", "0000000000000000"),
        ("NoNewPrivs", "1"),
    ] {
        assert_eq!(status(field), expected, "{field}");
    }
    let queue = Device::open("cgn0", 1, None).unwrap().queues.remove(0);

    let held = privilege::drop_all().unwrap();
    assert_eq!(
        held.to_string(),
        "user 0, capabilities none, no new privileges"
    );
    for field in ["CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"] {
        assert_eq!(status(field), "0000000000000000", "{field}");
    }
    // Not even a program run by root gets them back.
    let link = std::process::Command::new("ip")
        .args(["link", "set", "lo", "down"])
        .output()
        .unwrap();
    assert!(!link.status.success());
    // The open queue goes on.
    assert_eq!(queue.write(&VirtioHeader::default(), &[0x45; 40]), Ok(()));
    let error = Device::open("cgn1", 1, None).unwrap_err();
    assert!(matches!(error, OpenError::MayNotMake { .. }), "{error}");
}
