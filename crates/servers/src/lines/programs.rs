//! Files that syslog wrote: of one program, or of many, each line read by whose it is.

use std::fmt;

use portledger_model::Transport;

use super::{
    Lines, connection, database, directory, dns,
    entry::Entry,
    ftp, mail, sshd,
    syslog::{self, Header},
};
use crate::{Options, Reason, Skip, fields::Fields, reader::Outcome};

/// Reads what one program said to syslog, in order, and may remember what its earlier lines said.
pub(super) trait Program: fmt::Debug + Send {
    fn read(&mut self, header: &Header<'_>, entry: Entry<'_>) -> Outcome;
}

/// A program that syslog's files have lines of.
#[derive(Debug)]
pub(super) struct Known {
    /// What `--format` calls a file of its lines.
    pub(super) name: &'static str,
    /// Whether a line is its own, by what its program calls itself.
    pub(super) is_of: fn(&Header<'_>) -> bool,
    pub(super) start: fn() -> Box<dyn Program>,
}

/// All of them.
pub(super) const KNOWN: &[Known] = &[
    sshd::KNOWN,
    mail::postfix::KNOWN,
    mail::sendmail::KNOWN,
    mail::exim::KNOWN,
    mail::dovecot::KNOWN,
    mail::cyrus::KNOWN,
    mail::uw_imap::KNOWN,
    database::postgresql::KNOWN,
    dns::bind::KNOWN,
    ftp::proftpd::KNOWN,
    ftp::pure_ftpd::KNOWN,
    ftp::vsftpd::KNOWN,
    directory::slapd::KNOWN,
    connection::KNOWN,
];

/// Whether a format's files are written by syslog; one program's, where it is not `syslog` itself.
pub(crate) fn is_of_syslog(name: &str) -> bool {
    name == EVERY || KNOWN.iter().any(|known| known.name == name)
}

/// The format of files of several programs.
pub(crate) const EVERY: &str = "syslog";

/// Reads syslog's lines of some programs.
#[derive(Debug)]
pub(super) struct Syslog {
    programs: Vec<(&'static Known, Box<dyn Program>)>,
}

impl Syslog {
    pub(super) fn of(known: &'static [Known]) -> Self {
        let programs = known.iter().map(|known| (known, (known.start)()));
        Self {
            programs: programs.collect(),
        }
    }
}

impl Lines for Syslog {
    fn read(&mut self, line: &[u8], number: u64, options: &Options) -> Outcome {
        let mut fields = Fields::over(Some(Transport::Tcp));
        let Some(header) = syslog::header(line, &mut fields.end)? else {
            let expected = "2026-11-21T10:53:22+01:00 or Nov 21 10:53:22";
            return Err((0, Reason::Time { expected }));
        };
        let entry = Entry {
            fields,
            message: header.message,
            line,
            number,
            options,
        };
        let mut programs = self.programs.iter_mut();
        match programs.find(|(known, _)| (known.is_of)(&header)) {
            Some((_, program)) => program.read(&header, entry),
            None => Ok(Err(Skip::OtherProgram)),
        }
    }
}
