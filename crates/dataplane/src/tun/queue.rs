//! One queue of a TUN device: packets in batches from it, one by one to it.

use std::{
    io::IoSlice,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use portledger_nat::HEADROOM;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{self, Errno},
};
use thiserror::Error;

use super::{
    Wake,
    header::{HEADER_LENGTH, VirtioHeader},
};

/// Bytes of the longest packet: an IPv6 header and 65,535 bytes after it.
pub const LONGEST_PACKET: usize = 40 + 65_535;

/// The buffers of one queue's reads, made once and used again.
#[derive(Debug)]
pub struct Batch {
    /// Untouched pages of it take no memory, so small packets need little of it.
    slots: Vec<u8>,
    filled: Vec<Filled>,
    malformed: usize,
}

/// One packet and what is left to do to it.
#[derive(Debug)]
pub struct Frame<'a> {
    /// What the sender left to the network card.
    pub header: VirtioHeader,
    /// The packet with [`HEADROOM`] bytes before it, into which it may grow.
    pub buffer: &'a mut [u8],
}

impl Frame<'_> {
    /// The packet, from the first byte of its IP header.
    pub fn ip(&self) -> &[u8] {
        self.buffer.get(HEADROOM..).unwrap_or_default()
    }

    /// The same, to be changed.
    pub fn ip_mut(&mut self) -> &mut [u8] {
        self.buffer.get_mut(HEADROOM..).unwrap_or_default()
    }
}

#[derive(Debug, Clone, Copy)]
struct Filled {
    header: VirtioHeader,
    length: usize,
}

/// Where in a slot the virtio header is, which nobody needs once it is read: it lies in the
/// headroom.
const HEADER_AT: usize = HEADROOM - HEADER_LENGTH;
const PACKET_AT: usize = HEADROOM;
/// The longest packet and a byte more, by which a longer one shows. An odd number of cache lines,
/// so that the packets of a batch do not compete for the same lines of the cache.
const SLOT: usize = 1_027 * 64;
const _: () = assert!(SLOT > PACKET_AT + LONGEST_PACKET);

impl Batch {
    /// Room for `packets` packets of any length; at least one.
    pub fn new(packets: usize) -> Self {
        let packets = packets.max(1);
        Self {
            slots: vec![0; packets * SLOT],
            filled: Vec::with_capacity(packets),
            malformed: 0,
        }
    }

    /// The packets of the last read, in the order they came.
    pub fn frames(&mut self) -> impl ExactSizeIterator<Item = Frame<'_>> {
        let slots = self.slots.chunks_exact_mut(SLOT);
        self.filled.iter().zip(slots).map(|(filled, slot)| Frame {
            header: filled.header,
            buffer: slot
                .get_mut(..PACKET_AT + filled.length)
                .unwrap_or_default(),
        })
    }

    /// How many packets the last read dropped because their virtio header did not fit them, or
    /// they were longer than [`LONGEST_PACKET`].
    pub fn malformed(&self) -> usize {
        self.malformed
    }

    /// Takes packets from `read` until it has no more, or has been asked once for each slot.
    fn fill(
        &mut self,
        mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> Result<usize, Errno> {
        self.filled.clear();
        self.malformed = 0;
        for asked in 0..self.slots.len() / SLOT {
            // A malformed packet's slot is used again, so that the good ones stand in a row.
            let slot = self.filled.len() * SLOT;
            let Some(room) = self.slots.get_mut(slot + HEADER_AT..slot + SLOT) else {
                break;
            };
            match read(room) {
                Ok(length) => match parse(room, length) {
                    Some(filled) => self.filled.push(filled),
                    None => self.malformed += 1,
                },
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(error) if asked == 0 => return Err(error),
                // What came before the error is handed out first; the error comes again.
                Err(_) => break,
            }
        }
        Ok(self.filled.len())
    }
}

fn parse(room: &[u8], length: usize) -> Option<Filled> {
    let header = room.first_chunk::<HEADER_LENGTH>()?;
    let length = length.checked_sub(HEADER_LENGTH)?;
    if length == 0 || length > LONGEST_PACKET {
        return None;
    }
    let header = VirtioHeader::parse(header, length).ok()?;
    Some(Filled { header, length })
}

/// One queue of a [`Device`](super::Device). The kernel gives each flow to one queue, so each
/// may have its own thread.
#[derive(Debug)]
pub struct Queue {
    tun: OwnedFd,
    device: Arc<str>,
}

/// What ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ready {
    /// There are packets to read.
    pub packets: bool,
    /// The bell rang; it is silent again.
    pub woken: bool,
}

/// Why nothing can be read any more.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The device is no more: deleted, or its network namespace was.
    #[error(
        "the TUN device '{device}' is gone (deleted, or its network namespace was); start again to make a new one"
    )]
    Gone {
        /// The device's name.
        device: Arc<str>,
    },
    /// The kernel refused for a reason not expected here.
    #[error("cannot read from the TUN device '{device}': {error}")]
    Refused {
        /// The device's name.
        device: Arc<str>,
        /// The kernel's reason.
        error: std::io::Error,
    },
}

/// Why a packet was not taken. Each but [`WriteError::Gone`] is about this packet only, to be
/// counted by its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum WriteError {
    /// The device takes no more just now (EAGAIN).
    #[error("the device takes no more packets just now")]
    WouldBlock,
    /// The kernel has no memory for it (ENOBUFS, ENOMEM).
    #[error("the kernel has no memory for the packet")]
    NoBuffers,
    /// The link is down (EIO); it may come up again.
    #[error("the link is down")]
    LinkDown,
    /// The packet or its virtio header makes no sense to the kernel (EINVAL).
    #[error("the kernel finds the packet or its virtio header invalid")]
    Invalid,
    /// The device is no more: the next [`Queue::wait`] says so.
    #[error("the device is gone")]
    Gone,
    /// The kernel refused for a reason not expected here: its number.
    #[error("the kernel refused the packet (errno {0})")]
    Other(i32),
}

impl Queue {
    pub(super) fn new(tun: OwnedFd, device: Arc<str>) -> Self {
        Self { tun, device }
    }

    /// Waits until there are packets, `wake` rings, or `timeout` has passed (`None`: for ever).
    /// The bell is silenced when it rang. A signal ends the wait early with nothing ready.
    ///
    /// # Errors
    /// [`ReadError::Gone`] when the device is no more: without it a loop would spin.
    pub fn wait(&self, wake: &Wake, timeout: Option<Duration>) -> Result<Ready, ReadError> {
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        let mut fds = [
            PollFd::new(&self.tun, PollFlags::IN),
            PollFd::new(wake, PollFlags::IN),
        ];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Ready::default()),
            Err(error) => return Err(self.read_error(error)),
        }
        let [tun, bell] = fds.map(|fd| fd.revents());
        if tun.intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL) {
            return Err(self.gone());
        }
        Ok(Ready {
            packets: tun.contains(PollFlags::IN),
            woken: bell.contains(PollFlags::IN) && wake.silence(),
        })
    }

    /// Reads the packets that are there, as many as `batch` has room for, and says how many they
    /// are; [`Batch::frames`] has them. Zero when there are none, or only malformed ones: it never
    /// waits.
    ///
    /// # Errors
    /// [`ReadError::Gone`] when the device is no more.
    pub fn read_batch(&mut self, batch: &mut Batch) -> Result<usize, ReadError> {
        batch
            .fill(|room| io::read(&self.tun, room))
            .map_err(|error| self.read_error(error))
    }

    /// Hands a packet to the kernel, which takes it as if it had come in by the device.
    ///
    /// # Errors
    /// Why the packet was dropped.
    pub fn write(&self, header: &VirtioHeader, ip: &[u8]) -> Result<(), WriteError> {
        let header = header.encode();
        let parts = [IoSlice::new(&header), IoSlice::new(ip)];
        loop {
            return match io::writev(&self.tun, &parts) {
                Ok(_) => Ok(()),
                Err(Errno::INTR) => continue,
                Err(error) => Err(write_error(error)),
            };
        }
    }

    fn read_error(&self, error: Errno) -> ReadError {
        match error {
            // EBADFD: no device behind the queue; EFAULT: it went while we read.
            Errno::BADFD | Errno::FAULT => self.gone(),
            error => ReadError::Refused {
                device: Arc::clone(&self.device),
                error: error.into(),
            },
        }
    }

    fn gone(&self) -> ReadError {
        ReadError::Gone {
            device: Arc::clone(&self.device),
        }
    }
}

fn write_error(error: Errno) -> WriteError {
    match error {
        Errno::AGAIN => WriteError::WouldBlock,
        Errno::NOBUFS | Errno::NOMEM => WriteError::NoBuffers,
        Errno::IO => WriteError::LinkDown,
        Errno::INVAL => WriteError::Invalid,
        Errno::BADFD => WriteError::Gone,
        error => WriteError::Other(error.raw_os_error()),
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tun.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    /// Reads as the kernel does: one packet a call, cut to the room, then EAGAIN.
    fn from_list(packets: Vec<Vec<u8>>) -> impl FnMut(&mut [u8]) -> io::Result<usize> {
        let mut packets = VecDeque::from(packets);
        move |room| {
            let packet = packets.pop_front().ok_or(Errno::AGAIN)?;
            let length = packet.len().min(room.len());
            room[..length].copy_from_slice(&packet[..length]);
            Ok(length)
        }
    }

    fn with_header(packet: &[u8]) -> Vec<u8> {
        [&VirtioHeader::default().encode()[..], packet].concat()
    }

    fn contents(batch: &mut Batch) -> Vec<Vec<u8>> {
        batch.frames().map(|frame| frame.ip().to_vec()).collect()
    }

    #[test]
    fn malformed_packets_are_counted_and_the_others_kept() {
        let bad_flags = [&[0xff; HEADER_LENGTH][..], b"packet"].concat();
        let header_only = with_header(b"");
        let too_long = with_header(&vec![7; LONGEST_PACKET + 1]);
        let longest = vec![9; LONGEST_PACKET];
        let mut read = from_list(vec![
            bad_flags,
            with_header(b"one"),
            header_only,
            too_long,
            with_header(&longest),
        ]);
        let mut batch = Batch::new(6);
        assert_eq!(batch.fill(&mut read), Ok(2));
        assert_eq!(batch.malformed(), 3);
        assert_eq!(contents(&mut batch), [b"one".to_vec(), longest]);
        assert_eq!(batch.fill(&mut read), Ok(0));
        assert_eq!(batch.malformed(), 0);
        assert_eq!(batch.frames().len(), 0);
    }

    #[test]
    fn an_error_waits_until_what_came_before_is_handed_out() {
        let mut first = true;
        let mut read = |room: &mut [u8]| {
            if std::mem::take(&mut first) {
                from_list(vec![with_header(b"last")])(room)
            } else {
                Err(Errno::BADFD)
            }
        };
        let mut batch = Batch::new(4);
        assert_eq!(batch.fill(&mut read), Ok(1));
        assert_eq!(contents(&mut batch), [b"last"]);
        assert_eq!(batch.fill(&mut read), Err(Errno::BADFD));
    }

    #[test]
    fn a_flood_of_malformed_packets_does_not_hold_the_loop() {
        let mut reads = 0;
        let mut batch = Batch::new(8);
        let filled = batch.fill(|_| {
            reads += 1;
            Ok(3)
        });
        assert_eq!(filled, Ok(0));
        assert_eq!(batch.malformed(), reads);
        assert_eq!(reads, 8);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(
            packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..12),
        ) {
            let given = packets.len();
            let mut batch = Batch::new(16);
            let filled = batch.fill(from_list(packets)).unwrap();
            prop_assert_eq!(filled + batch.malformed(), given);
            prop_assert!(batch.frames().all(|frame| !frame.ip().is_empty()));
        }

        #[test]
        fn packets_come_out_as_they_went_in(
            packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..100), 0..12),
        ) {
            let mut read = from_list(packets.iter().map(|packet| with_header(packet)).collect());
            let mut batch = Batch::new(5);
            let mut seen = Vec::new();
            while batch.fill(&mut read).unwrap() > 0 {
                seen.extend(contents(&mut batch));
            }
            prop_assert_eq!(seen, packets);
        }
    }
}
