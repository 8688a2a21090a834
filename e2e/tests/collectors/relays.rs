//! Another maker's lines that come by way of rsyslog.

use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use portledger_e2e::process::Running;
use portledger_e2e::{Failure, prerequisite};
use portledger_model::Timestamp;

use crate::peers::{LIMIT, free_port, until_listening};
use crate::serving::Serving;

const EXTERNAL: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 172);

#[test]
fn what_a_juniper_tells_rsyslog_is_answered_for() -> Result<(), Failure> {
    if !prerequisite::met_with_portledger(&["rsyslogd"])? {
        return Ok(());
    }
    for transport in ["tcp", "udp"] {
        let mut serving = Serving::start()?;
        let [_, udp, tcp] = serving.ports;
        let to = if transport == "tcp" { tcp } else { udp };
        let folder = tempfile::TempDir::with_prefix("portledger-e2e-").unwrap();
        let (mut rsyslog, port) = relay(folder.path(), transport, to)?;
        let device = UdpSocket::bind("127.0.0.1:0").unwrap();
        for line in [
            line("ALLOC", 10, 48_640, 3_000),
            line("ALLOC", 11, 48_896, 2_900),
            line("RELEASE", 10, 48_640, 2_000),
            line("ALLOC", 12, 48_640, 1_000),
            line("ALLOC", 13, 49_152, 100),
        ] {
            device
                .send_to(line.as_bytes(), ("127.0.0.1", port))
                .unwrap();
        }
        serving.until("events", 5)?;
        rsyslog.terminate(LIMIT)?;
        let (asked, device) = serving.stop()?;
        assert_eq!(device["device"], "mx1", "{device}");
        assert_eq!(device["rejected"], 0, "{}", asked.rejects());
        let who = |secs, port| asked.who(EXTERNAL, port, ago(secs));
        let unique = |host| ("unique".to_owned(), vec![Ipv4Addr::new(100, 64, 0, host)]);
        assert_eq!(who(2_500, 48_700)?, unique(10));
        assert_eq!(who(2_500, 49_000)?, unique(11));
        assert_eq!(who(500, 48_700)?, unique(12));
        // Nobody was told of; what was held before the first line nobody knows either.
        assert_eq!(who(1_500, 48_700)?.1, [Ipv4Addr::UNSPECIFIED; 0]);
    }
    Ok(())
}

/// rsyslog that takes datagrams and passes them on.
fn relay(folder: &std::path::Path, transport: &str, to: u16) -> Result<(Running, u16), Failure> {
    let port = free_port();
    let configuration = format!(
        r#"global(workDirectory="{folder}")
module(load="imudp")
input(type="imudp" address="127.0.0.1" port="{port}" ruleset="pass")
ruleset(name="pass") {{
  action(type="omfwd" target="127.0.0.1" port="{to}" protocol="{transport}"
    TCP_Framing="octet-counted" template="RSYSLOG_SyslogProtocol23Format")
}}
"#,
        folder = folder.display()
    );
    let file = folder.join("rsyslog.conf");
    fs::write(&file, configuration).unwrap();
    let mut command = Command::new("rsyslogd");
    command.arg("-n").arg("-f").arg(file);
    command.arg("-i").arg(folder.join("rsyslog.pid"));
    let mut running = Running::start(&mut command, &folder.join("rsyslog.log"))?;
    until_listening(&mut running, "udp", port)?;
    Ok((running, port))
}

/// As Junos has it (structured, RFC 5424), so many seconds ago.
fn line(what: &str, host: u8, low: u16, secs: u64) -> String {
    let at = ago(secs);
    let epoch = at.as_millis() / 1_000;
    let high = low + 255;
    format!(
        "<14>1 {at} mx1 RT_NAT - RT_SRC_NAT_PBA_{what} [junos@2636.1.1.1.2.129 internal-ip=\"100.64.0.{host}\" \
         block-used=\"1\" block-max-per-host=\"4\" block-port-low=\"{low}\" block-port-high=\"{high}\" \
         reflexive-ip=\"{EXTERNAL}\" nat-pool-name=\"cgn\" logical-system-id=\"0\" epoch-time-64=\"{epoch:x}\"]"
    )
}

/// So many seconds before now, to the second.
fn ago(secs: u64) -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = Timestamp::from_secs(i64::try_from(now.as_secs()).unwrap());
    now.before(Duration::from_secs(secs))
}
