//! The portable driver's device: a TUN with several queues, on which packets stay whole.
//!
//! The kernel routes packets into the device and takes them back from it, at the cost of one
//! system call a packet each way. With segmentation offload a "packet" may be 64 KiB of one TCP
//! connection, of which a NAT touches only the headers: that is worth ten times the throughput.
//!
//! ```no_run
//! use portledger_dataplane::tun::{Batch, Device, Wake};
//!
//! let device = Device::open("cgn0", 2, Some(1_500))?;
//! let (mut batch, wake) = (Batch::new(64), Wake::new()?);
//! for mut queue in device.queues {
//!     // A thread for each queue would do:
//!     let ready = queue.wait(&wake, None)?;
//!     if ready.packets && queue.read_batch(&mut batch)? > 0 {
//!         for frame in batch.frames() {
//!             if let Err(why) = queue.write(&frame.header, frame.ip()) {
//!                 // Count the drop by its reason.
//!                 drop(why);
//!             }
//!         }
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod header;
#[allow(unsafe_code)] // Each block with its reason; nothing else of the driver has any.
mod ioctl;
mod queue;
mod wake;

use std::{
    fs::{File, OpenOptions},
    os::{fd::OwnedFd, unix::fs::OpenOptionsExt},
    sync::Arc,
};

use rustix::io::Errno;

pub use error::OpenError;
pub use header::{Checksum, HEADER_LENGTH, HeaderError, SegmentKind, Segments, VirtioHeader};
pub use queue::{Batch, Frame, LONGEST_PACKET, Queue, ReadError, Ready, WriteError};
pub use wake::Wake;

use ioctl::{Control, RawName};

/// An open device: what is known of it, and its queues, each for a thread of its own. It lives as
/// long as one of them, or longer where it is persistent.
#[derive(Debug)]
pub struct Device {
    /// What was found and done when it was opened.
    pub facts: Facts,
    /// The queues, as many as were asked for.
    pub queues: Vec<Queue>,
}

/// What was found and done when a device was opened, for a status line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The device's name.
    pub name: Arc<str>,
    /// It was there before (persistent), and stays when this program ends.
    pub existed: bool,
    /// The link is up. If not, only root can bring it up: `ip link set NAME up`.
    pub up: bool,
    /// The longest packet the device takes unsegmented, in bytes; not the one asked for where
    /// this program may not change it.
    pub mtu: u32,
    /// What the kernel may leave to us; `None` where it was asked for nothing.
    pub offload: Option<Offload>,
}

/// Which packets may come longer than the MTU. TCP's always may: older kernels are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offload {
    /// TCP also while its window is being reduced (ECN).
    pub tcp_ecn: bool,
    /// UDP datagrams of one size (Linux 6.2 and later).
    pub udp: bool,
}

/// The most queues Linux gives one device.
const MOST_QUEUES: u16 = 256;
const NODE: &str = "/dev/net/tun";

impl Device {
    /// Opens `queues` queues of the device `name`: makes it, or attaches to it where it exists.
    /// Brings the link up and sets its MTU (bytes) where `mtu` is given, both where the rights
    /// suffice; [`Facts`] says what came of it.
    ///
    /// Making a device takes `CAP_NET_ADMIN`. Attaching to a persistent one whose user we are
    /// (`ip tuntap add dev NAME mode tun multi_queue vnet_hdr user USER`) takes no capability.
    ///
    /// # Errors
    /// [`OpenError`] says what to do about each.
    pub fn open(name: &str, queues: u16, mtu: Option<u16>) -> Result<Self, OpenError> {
        Self::open_asking(name, queues, mtu, true)
    }

    /// As [`Device::open`], but the kernel leaves nothing to us: each packet is as it would be on a
    /// wire.
    ///
    /// # Errors
    /// The same.
    pub fn open_without_offload(
        name: &str,
        queues: u16,
        mtu: Option<u16>,
    ) -> Result<Self, OpenError> {
        Self::open_asking(name, queues, mtu, false)
    }

    fn open_asking(
        name: &str,
        queues: u16,
        mtu: Option<u16>,
        offload: bool,
    ) -> Result<Self, OpenError> {
        let raw = raw_name(name)?;
        if !(1..=MOST_QUEUES).contains(&queues) {
            return Err(OpenError::QueueCount { queues });
        }
        let name: Arc<str> = name.into();
        let refused = |doing| OpenError::refused(doing, &name);
        let control = Control::open().map_err(refused("open a socket to set up"))?;
        let existed = (control.flags(&raw).map_err(refused("look up"))?).is_some();
        if existed {
            refuse_when_shared(&control, &raw, &name, 0)?;
        }
        let queues = (0..queues)
            .map(|_| Ok(Queue::new(attach(&raw, &name, existed)?, Arc::clone(&name))))
            .collect::<Result<Vec<_>, OpenError>>()?;
        // Another process may have attached since.
        refuse_when_shared(&control, &raw, &name, queues.len())?;
        // The header and the offloads are the device's, not the queue's.
        let first = queues.first().ok_or(OpenError::QueueCount { queues: 0 })?;
        let header = i32::try_from(HEADER_LENGTH).unwrap_or(i32::MAX);
        ioctl::set_header(first, header).map_err(refused("set the header of"))?;
        let offload = match offload {
            true => set_offload(first).map(Some),
            // A lasting device keeps what it was last asked for.
            false => ioctl::set_offload(first, 0).map(|()| None),
        }
        .map_err(refused("set the offloads of"))?;
        let (up, mtu) = set_link(&control, &raw, mtu).map_err(|error| match (error, mtu) {
            (Errno::INVAL, Some(mtu)) => OpenError::Mtu {
                device: Arc::clone(&name),
                mtu,
            },
            (error, _) => refused("set up")(error),
        })?;
        let facts = Facts {
            name,
            existed,
            up,
            mtu,
            offload,
        };
        Ok(Self { facts, queues })
    }
}

/// The name as the kernel takes it (Linux `dev_valid_name`). A `%` would be a pattern.
fn raw_name(name: &str) -> Result<RawName, OpenError> {
    let allowed = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':' | b'%');
    let mut raw = RawName::default();
    let valid = (1..raw.len()).contains(&name.len())
        && !matches!(name, "." | "..")
        && name.bytes().all(allowed);
    if !valid {
        return Err(OpenError::Name { name: name.into() });
    }
    for (to, from) in raw.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    Ok(raw)
}

/// Two programs on one device would each get a part of the packets.
fn refuse_when_shared(
    control: &Control,
    raw: &RawName,
    name: &Arc<str>,
    ours: usize,
) -> Result<(), OpenError> {
    match control.attached_queues(raw) {
        Ok(Some(queues)) if queues as usize > ours => Err(OpenError::InUse {
            device: Arc::clone(name),
            queues: queues as usize - ours,
        }),
        // Attaching says it better where it is no TUN device, or has just gone.
        _ => Ok(()),
    }
}

fn attach(raw: &RawName, name: &Arc<str>, existed: bool) -> Result<OwnedFd, OpenError> {
    let node: File = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(NODE)
        .map_err(OpenError::node)?;
    ioctl::attach(&node, raw).map_err(|error| OpenError::attach(error, name, existed))?;
    Ok(node.into())
}

/// Asks for the most, and for less where the kernel is older.
fn set_offload(queue: &Queue) -> Result<Offload, Errno> {
    let tcp = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6;
    let ecn = libc::TUN_F_TSO_ECN;
    let udp = libc::TUN_F_USO4 | libc::TUN_F_USO6;
    let mut last = Errno::INVAL;
    for (bits, tcp_ecn, udp) in [
        (tcp | ecn | udp, true, true),
        (tcp | ecn, true, false),
        (tcp, false, false),
    ] {
        match ioctl::set_offload(queue, bits) {
            Ok(()) => return Ok(Offload { tcp_ecn, udp }),
            Err(Errno::INVAL) => last = Errno::INVAL,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

/// Whether the link is up and its MTU, after trying to have it so.
fn set_link(control: &Control, raw: &RawName, mtu: Option<u16>) -> Result<(bool, u32), Errno> {
    let without_rights = |result| match result {
        Err(Errno::PERM) => Ok(()),
        other => other,
    };
    let now = control.mtu(raw)?;
    if let Some(mtu) = mtu.map(i32::from).filter(|mtu| *mtu != now) {
        without_rights(control.set_mtu(raw, mtu))?;
    }
    let up = libc::IFF_UP as i16;
    let flags = control.flags(raw)?.ok_or(Errno::NODEV)?;
    if flags & up == 0 {
        without_rights(control.set_flags(raw, flags | up))?;
    }
    let flags = control.flags(raw)?.ok_or(Errno::NODEV)?;
    let mtu = u32::try_from(control.mtu(raw)?).unwrap_or_default();
    Ok((flags & up != 0, mtu))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_kernel_would_refuse_or_complete_are_refused() {
        for name in [
            "",
            ".",
            "..",
            "a/b",
            "a:b",
            "a b",
            "tun%d",
            "sixteen-letters-",
        ] {
            assert!(
                matches!(raw_name(name), Err(OpenError::Name { .. })),
                "{name}"
            );
        }
        let raw = raw_name("fifteen-letters").unwrap();
        assert_eq!(&raw, b"fifteen-letters\0");
    }

    #[test]
    fn no_queue_and_too_many_are_refused() {
        for queues in [0, MOST_QUEUES + 1] {
            assert!(matches!(
                Device::open("cgn0", queues, None),
                Err(OpenError::QueueCount { .. })
            ));
        }
    }
}
