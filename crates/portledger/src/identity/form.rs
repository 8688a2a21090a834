//! What a file of identities is written in.

use clap::ValueEnum;
use portledger_model::Timestamp;
use portledger_wire::{
    leases::{DnsmasqReader, IscReader, KeaReader, Lease, LegalReader, Reading as Read},
    radius::{DetailReader, Detailed},
};

/// What the files are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// What each file's beginning shows it to be
    #[default]
    Auto,
    /// A table of customers with a header
    Csv,
    /// Kea's lease files (kea-leases4.csv, kea-leases6.csv), or its forensic log
    Kea,
    /// ISC's dhcpd.leases, dhcpd6.leases
    Isc,
    /// dnsmasq.leases
    Dnsmasq,
    /// FreeRADIUS's detail files of accounting
    RadiusDetail,
}

/// Reads records that span a line or several.
pub(super) enum Form {
    Kea(KeaReader),
    Legal(LegalReader),
    Isc(IscReader),
    Dnsmasq(DnsmasqReader),
    Detail(Box<DetailReader>),
}

/// What a record says.
pub(super) enum Record {
    Lease(Lease),
    Accounting(Box<Detailed>),
}

/// What came of a line: records, and why others are none.
pub(super) type Found = Vec<Result<Record, String>>;

impl Form {
    /// Reads a file that begins so and was written then; `None` where it is a table.
    pub(super) fn of(format: Format, begin: &[u8], written: Timestamp) -> Option<Self> {
        let is_legal = || lines(begin).any(LegalReader::is_entry);
        let format = match format {
            Format::Auto => guess(begin),
            given => given,
        };
        match format {
            Format::Auto | Format::Csv => None,
            Format::Kea if is_legal() => Some(Self::Legal(LegalReader)),
            Format::Kea => Some(Self::Kea(KeaReader::default())),
            Format::Isc => Some(Self::Isc(IscReader::default())),
            Format::Dnsmasq => Some(Self::Dnsmasq(DnsmasqReader::new(written))),
            Format::RadiusDetail => Some(Self::Detail(Box::default())),
        }
    }

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Kea(_) => "kea",
            Self::Legal(_) => "kea's forensic log",
            Self::Isc(_) => "isc",
            Self::Dnsmasq(_) => "dnsmasq",
            Self::Detail(_) => "radius-detail",
        }
    }

    pub(super) fn line(&mut self, line: &[u8]) -> Found {
        match self {
            Self::Kea(reader) => found(reader.line(line)),
            Self::Legal(reader) => found(reader.line(line)),
            Self::Isc(reader) => found(reader.line(line)),
            Self::Dnsmasq(reader) => found(reader.line(line)),
            Self::Detail(reader) => reader.line(line).map(detailed).into_iter().collect(),
        }
    }

    /// There are no more lines.
    pub(super) fn finish(&mut self) -> Found {
        match self {
            Self::Isc(reader) => found(reader.finish()),
            Self::Detail(reader) => reader.finish().map(detailed).into_iter().collect(),
            Self::Kea(_) | Self::Legal(_) | Self::Dnsmasq(_) => Found::new(),
        }
    }

    /// No record is begun.
    pub(super) const fn is_between(&self) -> bool {
        match self {
            Self::Isc(reader) => reader.is_between(),
            Self::Detail(reader) => reader.is_between(),
            Self::Kea(_) | Self::Legal(_) | Self::Dnsmasq(_) => true,
        }
    }
}

fn found(read: Read) -> Found {
    let one = |lease: Result<Lease, _>| {
        lease
            .map(Record::Lease)
            .map_err(|reason: portledger_wire::leases::Reason| reason.to_string())
    };
    match read {
        Read::Nothing => Found::new(),
        Read::Lease(lease) => vec![Ok(Record::Lease(lease))],
        Read::Leases(leases) => leases.into_iter().map(one).collect(),
        Read::Rejected(reason) => vec![Err(reason.to_string())],
    }
}

fn detailed(
    record: Result<Detailed, portledger_wire::radius::DetailError>,
) -> Result<Record, String> {
    let record = record.map_err(|error| error.to_string())?;
    Ok(Record::Accounting(Box::new(record)))
}

/// The format that the beginning of a file is of: a table where it is of no other.
fn guess(begin: &[u8]) -> Format {
    let begins = |marks: &[&str]| {
        lines(begin).any(|line| marks.iter().any(|mark| line.starts_with(mark.as_bytes())))
    };
    let is_dnsmasq = || {
        let mut leases = lines(begin).filter(|line| !line.is_empty());
        leases.next().is_some_and(|line| {
            let fields: Vec<_> = line.split(|byte| *byte == b' ').collect();
            match *fields {
                [b"duid", _] => true,
                [expiry, _, _, _, _] => expiry.iter().all(u8::is_ascii_digit),
                _ => false,
            }
        })
    };
    if lines(begin).any(KeaReader::is_header) || lines(begin).any(LegalReader::is_entry) {
        Format::Kea
    } else if begins(&["lease ", "ia-na ", "ia-pd ", "ia-ta ", "server-duid "]) {
        Format::Isc
    } else if begins(&["\tAcct-", "\tUser-Name =", "\tPacket-Type ="]) {
        Format::RadiusDetail
    } else if is_dnsmasq() {
        Format::Dnsmasq
    } else {
        Format::Csv
    }
}

fn lines(begin: &[u8]) -> impl Iterator<Item = &[u8]> {
    begin
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii_end)
}
