//! RADIUS accounting of a real client names the customer behind an answer.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use portledger_e2e::process::{Running, finish};
use portledger_e2e::{Failure, prerequisite};
use portledger_model::{PortRange, Realm, Subscriber, Timestamp};
use portledger_wire::{EventTime, Holding, Kind, NatEvent, Phase, Told, json_lines};
use serde_json::Value;

use crate::peers::{LIMIT, free_port, until_listening};
use crate::serving::portledger;

const HOST: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 9);
const SECRET: &str = "xyzzy5461";

/// So many seconds ago.
fn ago(secs: u64) -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_secs(i64::try_from(now.as_secs()).unwrap()).before(Duration::from_secs(secs))
}

#[test]
fn the_customer_that_radclient_tells_of_stands_behind_the_answer() -> Result<(), Failure> {
    if !prerequisite::met_with_portledger(&["radclient"])? {
        return Ok(());
    }
    let folder = tempfile::TempDir::with_prefix("portledger-e2e-").unwrap();
    let (lines, radius) = (free_port(), free_port());
    fs::write(folder.path().join("secret"), format!("{SECRET}\n")).unwrap();
    let configuration = format!(
        r#"ledger = "ledger"
[[listen]]
protocol = "lines"
transport = "tcp"
address = "127.0.0.1:{lines}"
[radius]
address = "127.0.0.1:{radius}"
identities = "identities"
[[radius.client]]
from = "127.0.0.1"
secret_file = "secret"
"#
    );
    fs::write(folder.path().join("serve.toml"), configuration).unwrap();
    let mut command = Command::new(portledger());
    command.args(["serve", "-c", "serve.toml"]);
    let log = folder.path().join("log");
    let mut running = Running::start(command.current_dir(folder.path()), &log)?;
    until_listening(&mut running, "udp", radius)?;
    until_listening(&mut running, "tcp", lines)?;

    // A client that does not know the secret gets no answer.
    assert!(!tell(radius, "guess", "Start", ago(3_000)));
    assert!(tell(radius, SECRET, "Start", ago(3_000)));
    assert!(tell(radius, SECRET, "Stop", ago(1_000)));
    let event = NatEvent {
        at: EventTime::Told(ago(2_500)),
        told: Told::Ports(Holding {
            phase: Phase::Begun,
            kind: Kind::Block,
            subscriber: Some(Subscriber::new(Realm::default(), HOST.into())),
            external: Ipv4Addr::new(203, 0, 113, 7),
            ports: PortRange::new(1_024, 1_535).unwrap(),
            transport: None,
            since: None,
        }),
    };
    let mut other = event.clone();
    other.at = EventTime::Told(ago(500));
    if let Told::Ports(holding) = &mut other.told {
        holding.ports = PortRange::new(2_048, 2_559).unwrap();
    }
    let mut stream = TcpStream::connect(("127.0.0.1", lines)).unwrap();
    for event in [&event, &other] {
        writeln!(stream, "{}", json_lines::write(event).trim_end()).unwrap();
    }
    drop(stream);
    let id = running.id().to_string();
    running.until("events", LIMIT, |running| {
        finish(Command::new("kill").args(["-USR1", &id]), LIMIT)?.succeeded()?;
        Ok(running.output().contains("\"events\":2"))
    })?;
    running.terminate(LIMIT)?;

    let customer = |at: Timestamp| -> Result<Value, Failure> {
        let mut command = Command::new(portledger());
        let at = at.to_string();
        command.args(["who", "203.0.113.7:1100", "--at", &at, "--within", "1s"]);
        command.args(["--json", "--ledger", "ledger", "--identities", "identities"]);
        let answer = finish(command.current_dir(folder.path()), LIMIT)?;
        let said: Value = serde_json::from_str(&answer.stdout).unwrap();
        Ok(said["allocations"][0]["identity"].clone())
    };
    let known = customer(ago(2_000))?;
    assert!(known.to_string().contains("nemo"), "{known}");
    // The session was over: the address may have been somebody else's.
    let later = customer(ago(600))?;
    assert!(!later.to_string().contains("nemo"), "{later}");
    Ok(())
}

/// Whether the listener answers a packet of nemo's session.
fn tell(port: u16, secret: &str, status: &str, at: Timestamp) -> bool {
    let packet = format!(
        "Acct-Status-Type = {status}\nAcct-Session-Id = \"s1\"\nUser-Name = \"nemo\"\n\
         Framed-IP-Address = {HOST}\nNAS-Identifier = \"bng1\"\nEvent-Timestamp = {}\n",
        at.as_millis() / 1_000
    );
    let mut command = Command::new("radclient");
    command.args([
        "-r",
        "1",
        "-t",
        "3",
        &format!("127.0.0.1:{port}"),
        "acct",
        secret,
    ]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut client = command.spawn().unwrap();
    let mut stdin = client.stdin.take().unwrap();
    stdin.write_all(packet.as_bytes()).unwrap();
    drop(stdin);
    client.wait().unwrap().success()
}
