//! How much of what was written to a connection its other end has not acknowledged.
//!
//! The kernel tells it by `ioctl(SIOCOUTQ)` (tcp(7)), for which no safe interface exists, and in
//! the column `tx_queue` of `/proc/net/tcp` (proc_net_tcp(5)): for a connected socket both are
//! what was written less what was acknowledged.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader},
    net::{SocketAddr, TcpStream},
};

/// Bytes that were written to the socket and not acknowledged by its peer's system.
///
/// # Errors
/// When the system does not tell; `NotFound` where it knows no such connection (any more).
pub(super) fn unacknowledged(socket: &TcpStream) -> io::Result<u64> {
    let inode = rustix::fs::fstat(socket)?.st_ino;
    let table = match socket.local_addr()? {
        SocketAddr::V4(_) => "/proc/self/net/tcp",
        SocketAddr::V6(_) => "/proc/self/net/tcp6",
    };
    let mut lines = BufReader::with_capacity(1 << 16, File::open(table)?);
    let mut line = String::new();
    loop {
        line.clear();
        if lines.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::NotFound.into());
        }
        if let Some((found, queued)) = row(&line)
            && found == inode
        {
            return Ok(queued);
        }
    }
}

/// The inode of a row's socket and its queue; `None` for the heading.
fn row(line: &str) -> Option<(u64, u64)> {
    let mut columns = line.split_ascii_whitespace();
    let (queued, _) = columns.nth(4)?.split_once(':')?;
    let queued = u64::from_str_radix(queued, 16).ok()?;
    let inode = columns.nth(4)?.parse().ok()?;
    Some((inode, queued))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        thread,
        time::Duration,
    };

    use super::*;

    #[test]
    fn a_row_of_the_table_is_read() {
        let line = "  11: 0100007F:B1D2 0100007F:1283 01 0000A1F0:00000000 01:00000014 00000000     0        0 123456 2 0000000000000000 20 4 0 10 -1\n";
        assert_eq!(row(line), Some((123_456, 0xa1f0)));
        assert_eq!(
            row("  sl  local_address rem_address   st tx_queue rx_queue tr"),
            None
        );
    }

    #[test]
    fn what_a_peer_does_not_take_stays_unacknowledged() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut theirs, _) = listener.accept().unwrap();
        assert_eq!(unacknowledged(&ours).unwrap(), 0);
        ours.set_nonblocking(true).unwrap();
        let mut written = 0;
        let block = [7; 1 << 16];
        while let Ok(some) = ours.write(&block) {
            written += some;
        }
        let waiting = unacknowledged(&ours).unwrap();
        assert!(waiting > 0 && waiting <= written as u64);
        let mut taken = vec![0; written];
        theirs.read_exact(&mut taken).unwrap();
        // The last acknowledgement may be delayed.
        while unacknowledged(&ours).unwrap() > 0 {
            thread::sleep(Duration::from_millis(5));
        }
    }
}
