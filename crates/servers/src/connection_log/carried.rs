//! The log's lines in a file that syslog wrote, among those of other programs.

use super::{Entry, NotEntry};
use crate::{lines::syslog_header, time::Pieces};

/// What the watcher calls itself in syslog.
pub const PROGRAM: &str = "portledger-watch";

/// A line of a file of connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// The log's own, as the watcher wrote it into a file.
    Own(Entry),
    /// The log's own, behind a header of syslog's.
    Carried(Entry),
    /// Another program's, behind such a header.
    OfAnother,
}

impl Line {
    /// Reads a line, without its end.
    ///
    /// # Errors
    /// Where it is something else.
    pub fn parse(line: &[u8]) -> Result<Self, NotEntry> {
        match Entry::parse(line) {
            // A time, a host and a program stand in front, perhaps.
            Err(NotEntry::Other) => {}
            read => return read.map(Self::Own),
        }
        let Ok(Some(header)) = syslog_header(line, &mut Pieces::default()) else {
            return Err(NotEntry::Other);
        };
        match header.program {
            // A connection that was cut short has a time in front as well, and names no program.
            b"" => Err(NotEntry::Other),
            program if program == PROGRAM.as_bytes() => {
                // rsyslog puts a space before the text that some of its forms have none for.
                Entry::parse(header.message.trim_ascii_start()).map(Self::Carried)
            }
            _ => Ok(Self::OfAnother),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "1795258402.123456 203.0.113.7 49152 192.0.2.80 443 tcp";

    /// As rsyslog wrote them in three of its forms, and as RFC 5424 has them.
    #[test]
    fn each_header_is_read_past() {
        let entry = Entry::parse(OWN.as_bytes()).unwrap();
        for header in [
            "2026-11-29T23:21:27.419128+00:00 vm portledger-watch: ",
            "2026-11-29T23:21:27.419189+00:00 vm portledger-watch[77]: ",
            "Nov 29 23:21:27 vm portledger-watch: ",
            "<134>1 2026-11-29T23:21:27.419128+00:00 vm portledger-watch - - -  ",
            "<134>1 2026-11-21T10:53:22.123456Z www1 portledger-watch - connection - ",
        ] {
            let line = Line::parse(format!("{header}{OWN}").as_bytes());
            assert_eq!(line, Ok(Line::Carried(entry.clone())), "{header}");
        }
        assert_eq!(Line::parse(OWN.as_bytes()), Ok(Line::Own(entry)));
    }

    #[test]
    fn what_is_cut_or_another_s_is_told_apart() {
        let of_another = format!("Nov 29 23:21:27 vm sshd[1]: portledger-watch: {OWN}");
        assert_eq!(Line::parse(of_another.as_bytes()), Ok(Line::OfAnother));
        for cut in [
            &OWN[..40],
            "Nov 29 23:21:27 vm",
            "Nov 29 23:21:27 vm portledger-watch: 1795258402.1",
            "x",
            "",
        ] {
            assert_eq!(Line::parse(cut.as_bytes()), Err(NotEntry::Other), "{cut}");
        }
        let mark = "Nov 29 23:21:27 vm portledger-watch: # 1795258402.123456 complet";
        assert_eq!(Line::parse(mark.as_bytes()), Err(NotEntry::Mark));
    }
}
