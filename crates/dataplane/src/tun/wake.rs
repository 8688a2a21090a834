//! A bell other threads ring to wake a thread that waits for packets.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::{
    event::{EventfdFlags, eventfd},
    io,
};

/// A bell (an `eventfd`) that ends another thread's wait in [`Queue::wait`](super::Queue::wait).
///
/// One for each waiting thread, shared in an `Arc` with those who ring it: the first to wake
/// silences it. Ringing a bell that rings already changes nothing, so no ring is lost and none
/// blocks.
#[derive(Debug)]
pub struct Wake(OwnedFd);

impl Wake {
    /// A silent bell.
    ///
    /// # Errors
    /// Where the process or the machine has no file descriptor left.
    pub fn new() -> std::io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Self(eventfd(0, flags)?))
    }

    /// Rings; from any thread, and from a signal handler.
    pub fn ring(&self) {
        // It fails only when the counter is full (EAGAIN): the bell rings already.
        let _ = io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Silences the bell; whether it rang.
    pub fn silence(&self) -> bool {
        io::read(&self.0, &mut [0_u8; 8]).is_ok()
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_rings_are_one() {
        let wake = Wake::new().unwrap();
        assert!(!wake.silence());
        wake.ring();
        wake.ring();
        assert!(wake.silence());
        assert!(!wake.silence());
    }
}
