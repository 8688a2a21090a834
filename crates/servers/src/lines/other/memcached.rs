//! memcached's stream of connections (`watch connevents`): `ts=… type=conn_new rip=… rport=…`.

use portledger_model::{Moment, Transport};

use super::super::{
    Lines,
    entry::{Endpoint, Entry, NO_CLIENT},
};
use crate::{Options, Reason, address, fields::Fields, reader::Outcome, time::parse::Cursor};

/// Reads what a watcher was sent.
#[derive(Debug)]
pub(in crate::lines) struct Watch;

impl Lines for Watch {
    fn read(&mut self, line: &[u8], number: u64, options: &Options) -> Outcome {
        if line == b"OK" {
            return NO_CLIENT;
        }
        let Some(rest) = line.strip_prefix(b"ts=") else {
            let expected = "ts=".to_owned();
            return Err((0, Reason::Literal { expected }));
        };
        let mut fields = Fields::default();
        let mut cursor = Cursor::new(rest, 0);
        let Some(epoch) = cursor.epoch_seconds() else {
            let expected = "1795258402.123456";
            return Err((3, Reason::Time { expected }));
        };
        fields.end.epoch = Some(epoch);
        let message = cursor.rest();
        let value = |name: &[u8]| {
            let mut words = message.split(|byte| *byte == b' ');
            words.find_map(|word| word.strip_prefix(name))
        };
        fields.transport = match value(b"transport=") {
            Some(b"tcp") => Some(Transport::Tcp),
            Some(b"udp") => Some(Transport::Udp),
            _ => None,
        };
        let moment = match value(b"type=") {
            Some(b"conn_new") => Moment::Connect,
            Some(b"conn_close") => Moment::Logged,
            _ => return NO_CLIENT,
        };
        let entry = Entry {
            fields,
            message,
            line,
            number,
            options,
        };
        let Some(address) = value(b"rip=").and_then(address::parse) else {
            // Through a UNIX domain socket.
            return NO_CLIENT;
        };
        entry.seen(
            Endpoint::new(address, value(b"rport=").and_then(address::port)),
            moment,
        )
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::read_lines;

    #[test]
    fn a_stream_of_connections() {
        insta::assert_snapshot!(read_lines(
            "memcached",
            None,
            &[
                "OK",
                "ts=1795258402.834245 gid=2 type=conn_new rip=203.0.113.7 rport=49152 transport=tcp cfd=26",
                "ts=1795258402.834245 gid=2 type=conn_close rip=2001:db8::7 rport=2026 transport=tcp reason=normal cfd=26",
                "ts=1795258402.834245 gid=2 type=item_get key=rip=192.0.2.66 status=found",
                "x",
            ]
        ));
    }
}
