//! Collectors of syslog: rsyslog and syslog-ng, over TCP and TLS.

use std::fs;
use std::process::Command;

use portledger_e2e::process::Running;
use portledger_e2e::{Failure, prerequisite, read, syslog_ng};
use portledger_service::export::{Sends, StreamFraming, SyslogOver, Tls};
use portledger_service::tls::{self, Trust};
use portledger_wire::NatEvent;
use portledger_wire::syslog::{Message, TimeQuality, read_event};

use crate::blocks::Told;
use crate::certificates::Certificates;
use crate::peers::{LIMIT, free_port, until_listening};

/// A collector that writes each message to `lines` as RFC 5424 has it, and the ports it listens at.
struct Server {
    running: Running,
    ports: Ports,
}

#[derive(Clone, Copy)]
struct Ports {
    counted: u16,
    delimited: u16,
    secured: u16,
}

#[test]
fn rsyslog_takes_our_events_over_tcp_and_tls_and_keeps_all_of_them() -> Result<(), Failure> {
    let driver = format!(
        "/usr/lib/{}-linux-gnu/rsyslog/lmnsd_ossl.so",
        std::env::consts::ARCH
    );
    if !prerequisite::met(&["rsyslogd", &driver])? {
        return Ok(());
    }
    comes_over_tcp_and_tls(rsyslog_beside)
}

#[test]
fn syslog_ng_takes_our_events_over_tcp_and_tls_and_keeps_all_of_them() -> Result<(), Failure> {
    if !prerequisite::met(&["syslog-ng"])? {
        return Ok(());
    }
    comes_over_tcp_and_tls(syslog_ng_beside)
}

fn comes_over_tcp_and_tls(
    start: impl Fn(&Told, &Certificates) -> Result<Server, Failure>,
) -> Result<(), Failure> {
    let told = Told::new();
    let certificates = Certificates::write(told.folder());
    let mut server = start(&told, &certificates)?;
    let client = tls::client_config(&Trust::Authorities(certificates.authority.clone()), None);
    let secured = Tls {
        config: client.unwrap(),
        name: tls::server_name("localhost").unwrap(),
    };
    let peer = |port: u16| format!("127.0.0.1:{port}").parse().unwrap();
    let ways = [
        SyslogOver::Tcp(peer(server.ports.counted), StreamFraming::OctetCounting),
        SyslogOver::Tcp(peer(server.ports.delimited), StreamFraming::LineFeed),
        SyslogOver::Tls(peer(server.ports.secured), secured),
    ];
    let mut wanted = Vec::new();
    for over in ways {
        let quality = TimeQuality::UNSAID;
        told.send(Sends::Syslog { quality, over })?;
        wanted.extend(told.events());
        let kept = || read(&told.path("lines")).unwrap_or_default();
        server.running.until("the lines", LIMIT, |_| {
            Ok(kept().lines().count() >= wanted.len())
        })?;
        let events: Vec<NatEvent> = kept().lines().map(event).collect();
        assert_eq!(events, wanted);
    }
    Ok(())
}

fn event(line: &str) -> NatEvent {
    let message = Message::parse(line.as_bytes());
    assert_eq!(message.hostname, Some(&b"cgn1"[..]), "{line}");
    read_event(&message).unwrap()
}

fn rsyslog_beside(told: &Told, certificates: &Certificates) -> Result<Server, Failure> {
    let ports = Ports::free();
    let configuration = format!(
        r#"global(workDirectory="{folder}"
          defaultNetstreamDriver="ossl"
          defaultNetstreamDriverCAFile="{authority}"
          defaultNetstreamDriverCertFile="{certificate}"
          defaultNetstreamDriverKeyFile="{key}")
module(load="imptcp")
module(load="imtcp" streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="anon")
input(type="imptcp" address="127.0.0.1" port="{counted}" ruleset="keep")
input(type="imptcp" address="127.0.0.1" port="{delimited}" ruleset="keep")
input(type="imtcp" address="127.0.0.1" port="{secured}" ruleset="keep")
ruleset(name="keep") {{
  action(type="omfile" file="{lines}" template="RSYSLOG_SyslogProtocol23Format")
}}
"#,
        folder = told.folder().display(),
        authority = certificates.authority.display(),
        certificate = certificates.certificate.display(),
        key = certificates.key.display(),
        counted = ports.counted,
        delimited = ports.delimited,
        secured = ports.secured,
        lines = told.path("lines").display(),
    );
    let file = told.path("rsyslog.conf");
    fs::write(&file, configuration).unwrap();
    let mut command = Command::new("rsyslogd");
    command.arg("-n").arg("-f").arg(file);
    command.arg("-i").arg(told.path("rsyslog.pid"));
    start(&mut command, told, ports)
}

fn syslog_ng_beside(told: &Told, certificates: &Certificates) -> Result<Server, Failure> {
    let ports = Ports::free();
    let configuration = format!(
        // It writes who connected as the host, unless told to believe the message.
        r#"@version: 3.38
options {{ keep-hostname(yes); }};
source told {{
  syslog(ip("127.0.0.1") port({counted}) transport("tcp"));
  network(ip("127.0.0.1") port({delimited}) transport("tcp") flags(syslog-protocol));
  syslog(ip("127.0.0.1") port({secured}) transport("tls")
    tls(key-file("{key}") cert-file("{certificate}") peer-verify(optional-untrusted)));
}};
destination lines {{ file("{lines}" flags(syslog-protocol)); }};
log {{ source(told); destination(lines); }};
"#,
        certificate = certificates.certificate.display(),
        key = certificates.key.display(),
        counted = ports.counted,
        delimited = ports.delimited,
        secured = ports.secured,
        lines = told.path("lines").display(),
    );
    let mut command = syslog_ng::command(&configuration, told.folder())?;
    start(&mut command, told, ports)
}

fn start(command: &mut Command, told: &Told, ports: Ports) -> Result<Server, Failure> {
    let mut running = Running::start(command, &told.path("server.log"))?;
    for port in [ports.counted, ports.delimited, ports.secured] {
        until_listening(&mut running, "tcp", port)?;
    }
    Ok(Server { running, ports })
}

impl Ports {
    fn free() -> Self {
        Self {
            counted: free_port(),
            delimited: free_port(),
            secured: free_port(),
        }
    }
}
