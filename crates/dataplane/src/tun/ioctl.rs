//! Every `ioctl` of the TUN driver, and all the unsafe code of it, behind safe functions.
//!
//! The numbers and layouts are those of Linux's `if_tun.h`, `if.h` and `ethtool.h`, as `libc`
//! has them.

use std::{
    ffi::{c_int, c_short},
    os::fd::{AsFd, OwnedFd},
};

use rustix::{
    io,
    ioctl::{IntegerSetter, Opcode, Setter, Updater, ioctl},
    net::{AddressFamily, SocketFlags, SocketType, socket_with},
};

/// A device name the kernel takes: 1 to 15 bytes and a NUL.
pub(super) type RawName = [u8; libc::IFNAMSIZ];

const TUNSETIFF: Opcode = libc::TUNSETIFF as Opcode;
const TUNSETOFFLOAD: Opcode = libc::TUNSETOFFLOAD as Opcode;
const TUNSETVNETHDRSZ: Opcode = libc::TUNSETVNETHDRSZ as Opcode;
const TUNSETVNETLE: Opcode = libc::TUNSETVNETLE as Opcode;
const SIOCGIFFLAGS: Opcode = libc::SIOCGIFFLAGS as Opcode;
const SIOCSIFFLAGS: Opcode = libc::SIOCSIFFLAGS as Opcode;
const SIOCGIFMTU: Opcode = libc::SIOCGIFMTU as Opcode;
const SIOCSIFMTU: Opcode = libc::SIOCSIFMTU as Opcode;
const SIOCETHTOOL: Opcode = libc::SIOCETHTOOL as Opcode;
const ETHTOOL_GCHANNELS: u32 = 0x3c;

/// Makes the open `/dev/net/tun` a queue of the device `name`, which comes to be if need be.
pub(super) fn attach(tun: impl AsFd, name: &RawName) -> io::Result<()> {
    let flags = libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_MULTI_QUEUE | libc::IFF_VNET_HDR;
    let mut request = request(name);
    request.ifr_ifru.ifru_flags = flags as c_short;
    // SAFETY: TUNSETIFF reads and writes one `ifreq`, which outlives the call.
    unsafe { ioctl(tun, Updater::<TUNSETIFF, libc::ifreq>::new(&mut request)) }
}

/// Sets how many bytes of `virtio_net_hdr` come before each packet, all little-endian.
pub(super) fn set_header(tun: impl AsFd, length: c_int) -> io::Result<()> {
    // SAFETY: TUNSETVNETHDRSZ reads one `int` through the pointer.
    unsafe { ioctl(&tun, Setter::<TUNSETVNETHDRSZ, c_int>::new(length)) }?;
    // SAFETY: TUNSETVNETLE reads one `int` through the pointer.
    unsafe { ioctl(&tun, Setter::<TUNSETVNETLE, c_int>::new(1)) }
}

/// Says what may be left to us: a set of `TUN_F_` bits.
pub(super) fn set_offload(tun: impl AsFd, bits: u32) -> io::Result<()> {
    // SAFETY: TUNSETOFFLOAD takes an integer as its argument, and refuses bits it does not know.
    unsafe {
        ioctl(
            tun,
            IntegerSetter::<TUNSETOFFLOAD>::new_usize(bits as usize),
        )
    }
}

/// The socket through which network devices are asked and set.
#[derive(Debug)]
pub(super) struct Control(OwnedFd);

impl Control {
    pub(super) fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None).map(Self)
    }

    /// The `IFF_` flags of a device; `None` where there is no such device.
    pub(super) fn flags(&self, name: &RawName) -> io::Result<Option<c_short>> {
        let mut request = request(name);
        // SAFETY: SIOCGIFFLAGS reads the name in one `ifreq` and writes its flags.
        match unsafe { ioctl(&self.0, Updater::<SIOCGIFFLAGS, _>::new(&mut request)) } {
            // SAFETY: every bit pattern of the union's 16 bits of flags is a `c_short`.
            Ok(()) => Ok(Some(unsafe { request.ifr_ifru.ifru_flags })),
            Err(io::Errno::NODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn set_flags(&self, name: &RawName, flags: c_short) -> io::Result<()> {
        let mut request = request(name);
        request.ifr_ifru.ifru_flags = flags;
        // SAFETY: SIOCSIFFLAGS reads the name and the flags of one `ifreq`.
        unsafe { ioctl(&self.0, Setter::<SIOCSIFFLAGS, _>::new(request)) }
    }

    pub(super) fn mtu(&self, name: &RawName) -> io::Result<c_int> {
        let mut request = request(name);
        // SAFETY: SIOCGIFMTU reads the name in one `ifreq` and writes its MTU.
        unsafe { ioctl(&self.0, Updater::<SIOCGIFMTU, _>::new(&mut request)) }?;
        // SAFETY: every bit pattern of the union's first 32 bits is a `c_int`.
        Ok(unsafe { request.ifr_ifru.ifru_mtu })
    }

    pub(super) fn set_mtu(&self, name: &RawName, mtu: c_int) -> io::Result<()> {
        let mut request = request(name);
        request.ifr_ifru.ifru_mtu = mtu;
        // SAFETY: SIOCSIFMTU reads the name and the MTU of one `ifreq`.
        unsafe { ioctl(&self.0, Setter::<SIOCSIFMTU, _>::new(request)) }
    }

    /// How many queues are attached to a TUN device, by whomever; `None` where the kernel or the
    /// kind of device cannot tell.
    pub(super) fn attached_queues(&self, name: &RawName) -> io::Result<Option<u32>> {
        let mut channels = Channels {
            command: ETHTOOL_GCHANNELS,
            ..Channels::default()
        };
        let mut request = request(name);
        request.ifr_ifru.ifru_data = (&raw mut channels).cast();
        // SAFETY: SIOCETHTOOL reads the name in one `ifreq` and follows its pointer, where
        // ETHTOOL_GCHANNELS reads and writes one `ethtool_channels`; both outlive the call.
        match unsafe { ioctl(&self.0, Updater::<SIOCETHTOOL, _>::new(&mut request)) } {
            Ok(()) => Ok(Some(channels.combined_count)),
            Err(io::Errno::OPNOTSUPP) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// `struct ethtool_channels`.
#[repr(C)]
#[derive(Default)]
struct Channels {
    command: u32,
    max_rx: u32,
    max_tx: u32,
    max_other: u32,
    max_combined: u32,
    rx_count: u32,
    tx_count: u32,
    other_count: u32,
    combined_count: u32,
}

fn request(name: &RawName) -> libc::ifreq {
    // SAFETY: `ifreq` is plain integers, arrays and a union of them with one pointer, and all
    // zeros is a value of each.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name) {
        *to = *from as std::ffi::c_char;
    }
    request
}
