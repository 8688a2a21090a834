//! Why a device could not be opened, and what to do about it.

use std::{io, sync::Arc};

use rustix::io::Errno;
use thiserror::Error;

use super::{MOST_QUEUES, NODE};
use crate::privilege::HOW_TO_GIVE_NET_ADMIN;

/// Why a TUN device could not be opened. Each message says what to do.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Not a device name.
    #[error(
        "'{name}' is no name for a network device; use 1 to 15 letters, digits, '-', '_' or '.'"
    )]
    Name {
        /// What was given.
        name: String,
    },
    /// No queues, or more than a device can have.
    #[error("a TUN device has 1 to {MOST_QUEUES} queues, not {queues}")]
    QueueCount {
        /// What was given.
        queues: u16,
    },
    /// The kernel refuses the MTU.
    #[error(
        "the TUN device '{device}' does not take an MTU of {mtu}; use 68 to 65535, for IPv6 1280 or more"
    )]
    Mtu {
        /// The device's name.
        device: Arc<str>,
        /// What was given.
        mtu: u16,
    },
    /// There is no TUN driver here.
    #[error(
        "{NODE} is missing: the kernel's TUN driver is not there; as root run `modprobe tun`, or give the container the device (`--device {NODE}`)"
    )]
    NoDriver,
    /// The driver's node may not be opened by this user.
    #[error(
        "no permission to open {NODE}; as root run `chmod 0666 {NODE}` (the usual mode: the kernel checks the rights to each device by itself), or run as the owner of {NODE}"
    )]
    NodePermission,
    /// A service manager or container keeps the driver's node from this process.
    #[error(
        "{NODE} is kept from this process by its control group; add `DeviceAllow={NODE} rw` to the systemd unit, or give the container the device (`--device {NODE}`)"
    )]
    NodeKeptAway,
    /// A device cannot be made without the capability.
    #[error(
        "making the TUN device '{device}' takes the capability CAP_NET_ADMIN; {HOW_TO_GIVE_NET_ADMIN}, or let root make it once: `ip tuntap add dev {device} mode tun multi_queue vnet_hdr user USER && ip link set {device} up`"
    )]
    MayNotMake {
        /// The device's name.
        device: Arc<str>,
    },
    /// The device belongs to another user.
    #[error(
        "the TUN device '{device}' belongs to another user and this process has no CAP_NET_ADMIN; run as that user, or {HOW_TO_GIVE_NET_ADMIN}, or let root give it to this one: `ip tuntap del dev {device} mode tun multi_queue && ip tuntap add dev {device} mode tun multi_queue vnet_hdr user USER`"
    )]
    MayNotAttach {
        /// The device's name.
        device: Arc<str>,
    },
    /// Something else has that name.
    #[error(
        "'{device}' exists but is not a TUN device with several queues; choose another name, or remove it and let root make it again: `ip link del {device} && ip tuntap add dev {device} mode tun multi_queue vnet_hdr user USER`"
    )]
    OtherKind {
        /// The device's name.
        device: Arc<str>,
    },
    /// Another process is attached: each would get a part of the packets.
    #[error(
        "another process holds {queues} queue(s) of the TUN device '{device}'; stop it first (is the NAT running already?)"
    )]
    InUse {
        /// The device's name.
        device: Arc<str>,
        /// How many queues others hold.
        queues: usize,
    },
    /// The kernel refused for a reason not expected here.
    #[error("cannot {doing} the TUN device '{device}': {error}")]
    Refused {
        /// What was tried.
        doing: &'static str,
        /// The device's name.
        device: Arc<str>,
        /// The kernel's reason.
        error: io::Error,
    },
    /// The driver's node cannot be opened for a reason not expected here.
    #[error("cannot open {NODE}: {0}")]
    Node(io::Error),
}

impl OpenError {
    /// Why [`NODE`] was not opened.
    pub(super) fn node(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(Errno::NOENT | Errno::NODEV | Errno::NXIO) => Self::NoDriver,
            Some(Errno::ACCESS) => Self::NodePermission,
            Some(Errno::PERM) => Self::NodeKeptAway,
            _ => Self::Node(error),
        }
    }

    /// Why no queue of `device` was got.
    pub(super) fn attach(error: Errno, device: &Arc<str>, existed: bool) -> Self {
        let device = Arc::clone(device);
        match error {
            Errno::PERM if existed => Self::MayNotAttach { device },
            Errno::PERM => Self::MayNotMake { device },
            Errno::INVAL | Errno::BUSY if existed => Self::OtherKind { device },
            error => Self::refused("attach to", &device)(error),
        }
    }

    /// For a refusal while `doing` something to `device`.
    pub(super) fn refused(doing: &'static str, device: &Arc<str>) -> impl FnOnce(Errno) -> Self {
        let device = Arc::clone(device);
        move |error| Self::Refused {
            doing,
            device,
            error: error.into(),
        }
    }
}
