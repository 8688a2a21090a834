//! A packet socket with a ring of memory that the kernel writes to (`TPACKET_V3`), and all the
//! unsafe code of it, behind safe functions.
//!
//! The layouts are those of Linux's `if_packet.h`, as `libc` has them; the protocol is that of
//! its `packet_mmap.rst`: a block belongs to the kernel until its status says otherwise, and then
//! to us until we give it back.

use std::{
    ffi::c_int,
    io, mem,
    os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd},
    ptr,
    sync::atomic::{AtomicU32, Ordering},
};

use portledger_model::Timestamp;
use rustix::{
    mm::{MapFlags, ProtFlags, mmap, munmap},
    net::{AddressFamily, SocketFlags, SocketType, socket_with},
};

use crate::filter::Instruction;

/// The ring's size.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    /// Bytes of a block: a power of two and whole pages.
    pub(super) block: u32,
    /// How many there are.
    pub(super) blocks: u32,
    /// After so many milliseconds a block is ours, full or not.
    pub(super) wait: u32,
}

/// What the kernel counted since it was last asked.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Statistics {
    /// Packets for which there was no room.
    pub(super) dropped: u32,
}

#[derive(Debug)]
pub(super) struct Ring {
    socket: OwnedFd,
    memory: ptr::NonNull<u8>,
    size: Size,
    /// The block that is ours next.
    next: u32,
}

impl Ring {
    /// Packets of this protocol (an EtherType) that pass the filter, on one interface or, where it
    /// is 0, on all.
    pub(super) fn open(
        protocol: u16,
        filter: &[Instruction],
        interface: u32,
        promiscuous: bool,
        size: Size,
    ) -> io::Result<Self> {
        // Without a protocol nothing is received before the filter is there.
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::PACKET, SocketType::DGRAM, flags, None)?;
        set(
            &socket,
            libc::SOL_PACKET,
            libc::PACKET_VERSION,
            &libc::tpacket_versions::TPACKET_V3,
        )?;
        let request = libc::tpacket_req3 {
            tp_block_size: size.block,
            tp_block_nr: size.blocks,
            tp_frame_size: FRAME,
            tp_frame_nr: size.block / FRAME * size.blocks,
            tp_retire_blk_tov: size.wait,
            tp_sizeof_priv: 0,
            tp_feature_req_word: 0,
        };
        set(&socket, libc::SOL_PACKET, libc::PACKET_RX_RING, &request)?;
        attach(&socket, filter)?;
        let length = length(size);
        // SAFETY: a new mapping at an address of the kernel's choosing aliases nothing of ours.
        let memory = unsafe {
            mmap(
                ptr::null_mut(),
                length,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                &socket,
                0,
            )
        }?;
        let memory = ptr::NonNull::new(memory.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let ring = Self {
            socket,
            memory,
            size,
            next: 0,
        };
        if promiscuous {
            ring.be_promiscuous(interface)?;
        }
        bind(&ring.socket, protocol, interface)?;
        Ok(ring)
    }

    fn be_promiscuous(&self, interface: u32) -> io::Result<()> {
        let request = libc::packet_mreq {
            mr_ifindex: c_int::try_from(interface).map_err(|_| io::ErrorKind::InvalidInput)?,
            mr_type: PROMISCUOUS,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        set(
            &self.socket,
            libc::SOL_PACKET,
            libc::PACKET_ADD_MEMBERSHIP,
            &request,
        )
    }

    /// Hands over the packets of the next block that is ours, with their times, and gives it back;
    /// `false` where there is none.
    pub(super) fn block(&mut self, mut packet: impl FnMut(Timestamp, &[u8])) -> bool {
        let offset = self.next as usize * self.size.block as usize;
        // SAFETY: `next` is below `blocks`, so the block is inside the mapping, which lives as
        // long as `self`.
        let block = unsafe { self.memory.add(offset) };
        // SAFETY: the status is a u32 at this place of the block, aligned as the block is on a
        // page; both sides use it atomically, and nothing else of ours points at it.
        let status = unsafe { AtomicU32::from_ptr(block.add(STATUS).cast().as_ptr()) };
        if status.load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
            return false;
        }
        // SAFETY: the block is inside the mapping, and the kernel does not write to it until we
        // give it back below, after the last use of `bytes`. The status, which is changed then, is
        // not in `bytes`: that begins behind it.
        let bytes = unsafe {
            std::slice::from_raw_parts(
                block.add(BEHIND_STATUS).as_ptr(),
                self.size.block as usize - BEHIND_STATUS,
            )
        };
        walk(bytes, &mut packet);
        status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.next = (self.next + 1) % self.size.blocks;
        true
    }

    /// What the kernel counted since it was last asked.
    pub(super) fn statistics(&self) -> io::Result<Statistics> {
        let mut counted = libc::tpacket_stats_v3 {
            tp_packets: 0,
            tp_drops: 0,
            tp_freeze_q_cnt: 0,
        };
        let mut length = size_of(&counted)?;
        // SAFETY: the kernel writes at most `length` bytes to `counted`, which is that long and
        // made of integers only.
        let result = unsafe {
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut counted).cast(),
                &raw mut length,
            )
        };
        checked(result)?;
        Ok(Statistics {
            dropped: counted.tp_drops,
        })
    }

    /// An error that waits at the socket, such as that its interface is down.
    pub(super) fn error(&self) -> io::Result<()> {
        rustix::net::sockopt::socket_error(&self.socket)?.map_err(Into::into)
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, of this length, and nothing points into it any more: what
        // `block` hands out does not outlive its call.
        let _ = unsafe { munmap(self.memory.as_ptr().cast(), length(self.size)) };
    }
}

/// Of `tp_frame_size` version 3 asks only that a block has a whole number of them.
const FRAME: u32 = 2_048;
/// `PACKET_MR_PROMISC`
const PROMISCUOUS: u16 = 1;

/// Where a block has its status, and what is behind that.
const STATUS: usize = mem::offset_of!(libc::tpacket_block_desc, hdr)
    + mem::offset_of!(libc::tpacket_hdr_v1, block_status);
const BEHIND_STATUS: usize = STATUS + mem::size_of::<u32>();
/// From there on: how many packets, and where the first is in the block.
const PACKETS: usize = mem::offset_of!(libc::tpacket_block_desc, hdr)
    + mem::offset_of!(libc::tpacket_hdr_v1, num_pkts)
    - BEHIND_STATUS;
const FIRST: usize = mem::offset_of!(libc::tpacket_block_desc, hdr)
    + mem::offset_of!(libc::tpacket_hdr_v1, offset_to_first_pkt)
    - BEHIND_STATUS;

/// Walks over a block from behind its status on. The kernel's lengths are checked all the same.
fn walk(block: &[u8], packet: &mut impl FnMut(Timestamp, &[u8])) {
    let word = |at: usize| -> Option<u32> {
        let bytes = block.get(at..)?.first_chunk()?;
        Some(u32::from_ne_bytes(*bytes))
    };
    let half = |at: usize| -> Option<u16> {
        let bytes = block.get(at..)?.first_chunk()?;
        Some(u16::from_ne_bytes(*bytes))
    };
    let mut read = || -> Option<()> {
        let mut at = (word(FIRST)? as usize).checked_sub(BEHIND_STATUS)?;
        for _ in 0..word(PACKETS)? {
            let field = |offset: usize| at.checked_add(offset);
            let seconds = word(field(mem::offset_of!(libc::tpacket3_hdr, tp_sec))?)?;
            let nanos = word(field(mem::offset_of!(libc::tpacket3_hdr, tp_nsec))?)?;
            let length = word(field(mem::offset_of!(libc::tpacket3_hdr, tp_snaplen))?)?;
            let start = half(field(mem::offset_of!(libc::tpacket3_hdr, tp_net))?)?;
            let start = at.checked_add(usize::from(start))?;
            let end = start.checked_add(length as usize)?;
            let time =
                Timestamp::from_micros(i64::from(seconds) * 1_000_000 + i64::from(nanos / 1_000));
            packet(time, block.get(start..end)?);
            let next = word(field(mem::offset_of!(libc::tpacket3_hdr, tp_next_offset))?)?;
            at = at.checked_add(next as usize)?;
        }
        Some(())
    };
    // A block that contradicts itself ends where it does.
    let _ = read();
}

fn attach(socket: &OwnedFd, filter: &[Instruction]) -> io::Result<()> {
    let mut instructions: Vec<libc::sock_filter> = filter
        .iter()
        .map(|one| libc::sock_filter {
            code: one.code,
            jt: one.if_true,
            jf: one.if_false,
            k: one.argument,
        })
        .collect();
    let program = libc::sock_fprog {
        len: u16::try_from(instructions.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        filter: instructions.as_mut_ptr(),
    };
    // The kernel copies the instructions during the call.
    set(socket, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

fn bind(socket: &OwnedFd, protocol: u16, interface: u32) -> io::Result<()> {
    let address = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: protocol.to_be(),
        sll_ifindex: c_int::try_from(interface).map_err(|_| io::ErrorKind::InvalidInput)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    let length = size_of(&address)?;
    // SAFETY: the kernel reads `length` bytes of `address`, which is a whole `sockaddr_ll`.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    checked(result)
}

/// `setsockopt` with a plain value of the option's own type.
fn set<T>(socket: &OwnedFd, level: c_int, option: c_int, value: &T) -> io::Result<()> {
    let length = size_of(value)?;
    // SAFETY: the kernel reads at most `length` bytes of `value`, which is that long. A
    // `sock_fprog`, the one value with a pointer, points at as many instructions as it says.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            ptr::from_ref(value).cast(),
            length,
        )
    };
    checked(result)
}

fn size_of<T>(_: &T) -> io::Result<libc::socklen_t> {
    libc::socklen_t::try_from(mem::size_of::<T>()).map_err(|_| io::ErrorKind::InvalidInput.into())
}

fn checked(result: c_int) -> io::Result<()> {
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

const fn length(size: Size) -> usize {
    size.block as usize * size.blocks as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_block_of_any_bytes_is_walked_inside_its_bounds(mut bytes: Vec<u8>, packets in 0_u32..9, first in 0_u32..200) {
            bytes.resize(bytes.len().max(64), 0);
            bytes[PACKETS..PACKETS + 4].copy_from_slice(&packets.to_ne_bytes());
            bytes[FIRST..FIRST + 4].copy_from_slice(&first.to_ne_bytes());
            let mut seen = 0;
            walk(&bytes, &mut |_, packet| seen += u32::from(packet.len() <= bytes.len()));
            prop_assert!(seen <= packets);
        }
    }
}
