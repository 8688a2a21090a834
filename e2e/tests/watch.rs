//! `portledger watch` beside real servers: what it records is what the clients did, and what it could not record it
//! says.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::panic)] // Helpers of tests fail by panicking, as tests do.

#[path = "watch/loggers.rs"]
mod loggers;

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use portledger_e2e::namespace::Namespace;
use portledger_e2e::process::{Running, finish};
use portledger_e2e::{Failure, file, prerequisite, read};
use rustix::net::{
    AddressFamily, Protocol, SendFlags, SocketFlags, SocketType, sendto, socket_with,
};
use serde_json::Value;
use tempfile::TempDir;

const SERVER: &str = "192.0.2.80";
const SERVER_6: &str = "2001:db8::80";
/// The client host's addresses: of clients and of a load balancer.
const CLIENTS: [&str; 5] = [
    "192.0.2.7",
    "192.0.2.8",
    "192.0.2.9",
    "192.0.2.10",
    "192.0.2.11",
];
const BALANCER: &str = "192.0.2.11";
/// Nobody's number, on every Debian.
const NOBODY: u32 = 65_534;
const LIMIT: Duration = Duration::from_secs(30);

/// A server's host and a clients', with a cable between them.
struct Network {
    server: Namespace,
    client: Namespace,
    folder: TempDir,
}

impl Network {
    fn new() -> Result<Self, Failure> {
        let (server, client) = (Namespace::create("server")?, Namespace::create("client")?);
        let folder = tempfile::tempdir().map_err(|source| Failure::File {
            path: std::env::temp_dir(),
            source,
        })?;
        let cable = format!("link add c0 type veth peer name s0 netns {}", server.name());
        client.ip(&cable)?;
        for (host, interface) in [(&server, "s0"), (&client, "c0")] {
            host.run("sysctl", "-qw net.ipv6.conf.all.disable_ipv6=0")?;
            host.ip(&format!("link set {interface} up"))?;
        }
        server.ip(&format!("address add {SERVER}/24 dev s0"))?;
        server.ip(&format!("address add {SERVER_6}/64 dev s0 nodad"))?;
        for address in CLIENTS {
            client.ip(&format!("address add {address}/24 dev c0"))?;
        }
        client.ip("address add 2001:db8::7/64 dev c0 nodad")?;
        Ok(Self {
            server,
            client,
            folder,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the watcher, with no right but CAP_NET_RAW, as nobody.
    fn watch(&self, arguments: &[&str]) -> Result<Running, Failure> {
        let folder = self.path("log");
        file(&folder, |folder| fs::create_dir_all(folder))?;
        file(&folder, |folder| chown(folder, Some(NOBODY), Some(NOBODY)))?;
        self.watch_to("--dir", &folder, arguments)
    }

    /// The same, with its log in this folder, or with this logger.
    fn watch_to(
        &self,
        option: &str,
        target: &Path,
        arguments: &[&str],
    ) -> Result<Running, Failure> {
        let mut command = self.server.command("setpriv");
        let rights = ["--inh-caps", "--ambient-caps", "--bounding-set"];
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
        command.args(rights.map(|right| format!("{right}=-all,+net_raw")));
        command
            .arg(portledger())
            .args(["watch", option])
            .arg(target);
        // Its folder is root's own otherwise.
        let public = fs::Permissions::from_mode(0o755);
        file(self.folder.path(), |folder| {
            fs::set_permissions(folder, public)
        })?;
        let output = self.path("watch.out");
        let mut running = Running::start(command.args(arguments), &output)?;
        running.until("it is ready", LIMIT, |running| {
            Ok(running.output().lines().any(|line| line == "ready"))
        })?;
        Ok(running)
    }

    /// All lines of the log, the ended files' first.
    fn log(&self) -> Result<String, Failure> {
        let mut paths: Vec<PathBuf> = fs::read_dir(self.path("log"))
            .unwrap()
            .map(|file| file.unwrap().path())
            .collect();
        paths.sort();
        paths.iter().map(|path| read(path)).collect()
    }

    /// A server that takes each connection and reads it to its end.
    fn listen(&self, address: &str) -> Result<(), Failure> {
        let address: SocketAddr = address.parse().unwrap();
        let listener = self.server.within(|| TcpListener::bind(address))?;
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let _ = io::copy(&mut &connection, &mut io::sink());
                });
            }
        });
        Ok(())
    }

    /// One connection from `from`: the client's own end, and when it began and was there.
    fn connect(
        &self,
        from: &str,
        to: &str,
    ) -> Result<(TcpStream, SystemTime, SystemTime), Failure> {
        let to: SocketAddr = to.parse().unwrap();
        let from: IpAddr = from.parse().unwrap();
        self.client.within(|| {
            let socket = bound(from)?;
            let before = SystemTime::now();
            rustix::net::connect(&socket, &to)?;
            Ok((TcpStream::from(socket), before, SystemTime::now()))
        })
    }
}

/// A TCP socket of this address, with a port of the kernel's choosing.
fn bound(address: IpAddr) -> io::Result<std::os::fd::OwnedFd> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    rustix::net::bind(&socket, &SocketAddr::new(address, 0))?;
    Ok(socket)
}

fn portledger() -> PathBuf {
    prerequisite::portledger().unwrap()
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// The connections of the log as time and the rest of the line.
fn connections(log: &str) -> Vec<(f64, &str)> {
    let lines = log.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (time, rest) = line.split_once(' ').unwrap();
            (time.parse().unwrap(), rest)
        })
        .collect()
}

/// How many connections the log says it left out for this reason.
fn left_out(log: &str, why: &str) -> u64 {
    let end = format!(" why={why}");
    let marks = log
        .lines()
        .filter(|line| line.starts_with('#') && line.ends_with(&end));
    marks
        .map(|mark| {
            let (_, count) = mark.split_once(" connections=").unwrap();
            count.split(' ').next().unwrap().parse::<u64>().unwrap()
        })
        .sum()
}

/// The last line of what the watcher printed: its figures.
fn figures(running: &Running) -> Value {
    let output = running.output();
    serde_json::from_str(output.lines().last().unwrap()).unwrap()
}

#[test]
fn every_connection_is_recorded_with_its_port_and_time() -> Result<(), Failure> {
    if !prerequisite::met_with_portledger(&["setpriv", "python3"])? {
        return Ok(());
    }
    let network = Network::new()?;
    let mut server = network.server.command("python3");
    server.args(["-m", "http.server", "8080", "--bind", "::"]);
    server.current_dir(network.folder.path());
    let mut server = Running::start(&mut server, &network.path("http.out"))?;
    server.until("it listens", LIMIT, |_| network.server.listens("tcp", 8080))?;
    let mut watch = network.watch(&["--port", "8080", "--udp-port", "5353"])?;

    let status = read(&PathBuf::from(format!("/proc/{}/status", watch.id())))?;
    for nothing in [
        "CapEff:\t0000000000000000",
        "CapPrm:\t0000000000000000",
        "NoNewPrivs:\t1",
    ] {
        assert!(status.contains(nothing), "{status}");
    }

    let mut made = Vec::new();
    for (from, to) in [("192.0.2.7", SERVER), ("2001:db8::7", SERVER_6)] {
        let to = SocketAddr::new(to.parse().unwrap(), 8080).to_string();
        for _ in 0..40 {
            let (mut stream, before, after) = network.connect(from, &to)?;
            let own = stream.local_addr().unwrap();
            stream.write_all(b"GET /none HTTP/1.0\r\n\r\n").unwrap();
            stream.read_to_end(&mut Vec::new()).unwrap();
            made.push((own, before, after));
        }
    }
    // Nobody listens there: the datagrams are a flow all the same, and one.
    let flow = network.client.within(|| {
        let socket = UdpSocket::bind("192.0.2.7:0")?;
        for _ in 0..3 {
            socket.send_to(b"x", (SERVER, 5353))?;
        }
        socket.send_to(b"x", (SERVER, 5354))?;
        socket.local_addr()
    })?;
    std::thread::sleep(Duration::from_secs(1));
    watch.terminate(LIMIT)?;

    let log = network.log()?;
    let recorded = connections(&log);
    assert_eq!(recorded.len(), made.len() + 1, "{log}");
    for (own, before, after) in made {
        let (address, port) = (own.ip(), own.port());
        let server = if own.is_ipv4() { SERVER } else { SERVER_6 };
        let line = format!("{address} {port} {server} 8080 tcp");
        let (at, _) = recorded.iter().find(|(_, rest)| *rest == line).unwrap();
        let (before, after) = (seconds(before), seconds(after));
        // Both clocks are the machine's; the log has whole microseconds.
        assert!(
            (before - 2e-6..=after).contains(at),
            "{before} {at} {after}"
        );
    }
    let flow = format!("192.0.2.7 {} {SERVER} 5353 udp", flow.port());
    assert!(recorded.iter().any(|(_, rest)| *rest == flow), "{log}");
    assert_eq!(figures(&watch)["lost"], 0);
    assert!(log.ends_with(" stop\n"), "{log}");

    // What is written is read: as sightings with their ports.
    let mut command = Command::new(portledger());
    command
        .args(["sightings", "--json"])
        .arg(network.path("log/connections.log"));
    let read = finish(&mut command, LIMIT)?.succeeded()?;
    assert!(read.stderr.contains("81 sightings"), "{}", read.stderr);
    assert_eq!(read.stdout.matches(r#""moment":"connect""#).count(), 81);
    Ok(())
}

#[test]
fn what_the_kernel_had_no_room_for_is_counted_to_the_last_packet() -> Result<(), Failure> {
    if !prerequisite::met_with_portledger(&["setpriv"])? {
        return Ok(());
    }
    let network = Network::new()?;
    let mut watch = network.watch(&["--port", "443"])?;
    let process = [watch.id().to_string()];
    let signal = |name: &str| {
        finish(
            Command::new("kill").arg(format!("-{name}")).args(&process),
            LIMIT,
        )?
        .succeeded()
    };
    // A watcher that gets no processor time, and more connections than its ring holds.
    signal("STOP")?;
    let sent = 200_000;
    network.client.within(|| flood(sent))?;
    signal("CONT")?;
    std::thread::sleep(Duration::from_secs(3));
    watch.terminate(LIMIT)?;
    let log = network.log()?;
    let (recorded, lost) = (connections(&log).len() as u64, left_out(&log, "lost"));
    assert!(lost > 0 && recorded > 10_000, "{recorded} {lost}");
    assert_eq!(recorded + lost, u64::from(sent));
    assert_eq!(figures(&watch)["lost"], lost);
    assert!(watch.output().contains("the kernel had no room for"));
    Ok(())
}

/// SYNs from 198.18.0.0/15, each of another endpoint.
fn flood(packets: u32) -> io::Result<()> {
    let raw = Protocol::from_raw(255.try_into().unwrap());
    let socket = socket_with(
        AddressFamily::INET,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(raw),
    )?;
    let to: SocketAddr = SocketAddr::new(SERVER.parse().unwrap(), 0);
    for number in 0..packets {
        let [_, b, c, d] = number.to_be_bytes();
        let source = [198, 18, b, c];
        let mut packet = vec![0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0];
        packet.extend(source);
        packet.extend(SERVER.parse::<Ipv4Addr>().unwrap().octets());
        packet.extend([0x40, d, 443_u16.to_be_bytes()[0], 443_u16.to_be_bytes()[1]]);
        packet.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0]);
        sendto(&socket, &packet, SendFlags::empty(), &to)?;
    }
    Ok(())
}

#[test]
fn a_flood_is_treated_as_the_operator_chose_and_nothing_is_missing_from_the_count()
-> Result<(), Failure> {
    if !prerequisite::met_with_portledger(&["setpriv"])? {
        return Ok(());
    }
    for (rule, why) in [("sample:16", "sampled"), ("aggregate", "aggregated")] {
        let network = Network::new()?;
        let mut watch = network.watch(&["--flood-limit", "50/s", "--flood", rule])?;
        network.client.within(|| flood(20_000))?;
        std::thread::sleep(Duration::from_secs(2));
        watch.terminate(LIMIT)?;
        let log = network.log()?;
        let (recorded, left) = (connections(&log).len() as u64, left_out(&log, why));
        assert_eq!(recorded + left, 20_000, "{rule}");
        assert!(left > 10_000, "{rule}: {left}");
        if rule == "aggregate" {
            assert!(log.contains(" source=198.18.0.0/24 why=aggregated"));
        }
    }
    Ok(())
}

/// nginx with the log that it writes by default, which has no port.
fn nginx(network: &Network) -> Result<Running, Failure> {
    let at = network.folder.path().display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("    {name}_temp_path {at}/{name};\n"))
        .concat();
    let configuration = format!(
        "daemon off;
user root;
pid {at}/pid;
error_log {at}/error.log;
events {{ }}
http {{
    access_log {at}/access.log;
{temporary}    server {{
        listen {SERVER}:80;
        location / {{ return 200 \"ok\\n\"; }}
    }}
}}
"
    );
    let path = network.path("nginx.conf");
    file(&path, |path| fs::write(path, configuration))?;
    let mut command = network.server.command("nginx");
    let mut running = Running::start(command.arg("-c").arg(path), &network.path("nginx.out"))?;
    running.until("it listens", LIMIT, |_| network.server.listens("tcp", 80))?;
    Ok(running)
}

impl Network {
    /// Requests of `path` from this address, each on a connection of its own: their ports.
    fn get(&self, from: &str, path: &str, requests: usize) -> Result<Vec<u16>, Failure> {
        let mut ports = Vec::new();
        for _ in 0..requests {
            let mut command = self.client.command("curl");
            command.args(["--silent", "--output", "/dev/null", "--interface", from]);
            command.args(["--write-out", "%{local_port}"]);
            let url = format!("http://{SERVER}/{path}");
            let finished = finish(command.arg(url), LIMIT)?.succeeded()?;
            ports.push(finished.stdout.parse().unwrap());
        }
        Ok(ports)
    }
}

#[test]
fn lines_of_nginx_get_the_port_that_its_log_lacks_and_a_gap_is_no_certainty() -> Result<(), Failure>
{
    if !prerequisite::met_with_portledger(&["setpriv", "nginx", "curl"])? {
        return Ok(());
    }
    let network = Network::new()?;
    let _nginx = nginx(&network)?;
    // A connection lasts 2 s at most, clocks agree to 1 s.
    let wait = || std::thread::sleep(Duration::from_millis(5_500));

    let mut watch = network.watch(&["--port", "80"])?;
    wait();
    let alone = network.get("192.0.2.7", "alone", 1)?;
    let two = network.get("192.0.2.8", "two", 2)?;
    wait();
    let killed = network.get("192.0.2.9", "killed", 1)?;
    std::thread::sleep(Duration::from_millis(1_500));
    watch.kill();
    let mut watch = network.watch(&["--port", "80"])?;
    wait();
    let again = network.get("192.0.2.7", "again", 1)?;
    wait();
    watch.terminate(LIMIT)?;

    let mut command = Command::new(portledger());
    command.args(["sightings", "--json", "--format", "nginx-combined"]);
    command.args(["--server-port", "80", "--longest-connection", "2s"]);
    command.args(["--connection-slack", "1s", "--connections"]);
    command
        .arg(network.path("log"))
        .arg(network.path("access.log"));
    let joined = finish(&mut command, LIMIT)?.succeeded()?;
    let lines: Vec<Value> = joined
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told: Vec<(&str, &Value, &str, Vec<u64>)> = lines
        .iter()
        .map(|line| {
            let connection = &line["connection"];
            let candidates = connection["candidates"].as_array().unwrap().iter();
            let ports = candidates.map(|one| one["port"].as_u64().unwrap());
            (
                line["address"].as_str().unwrap(),
                &line["port"],
                connection["verdict"].as_str().unwrap(),
                ports.collect(),
            )
        })
        .collect();
    let ports = |ports: &[u16]| -> Vec<u64> { ports.iter().map(|port| u64::from(*port)).collect() };
    let port = |ports: &[u16]| Value::from(ports[0]);
    let null = Value::Null;
    assert_eq!(
        told,
        [
            ("192.0.2.7", &port(&alone), "unique", ports(&alone)),
            ("192.0.2.8", &null, "several", ports(&two)),
            ("192.0.2.8", &null, "several", ports(&two)),
            ("192.0.2.9", &null, "unknown", ports(&killed)),
            ("192.0.2.7", &port(&again), "unique", ports(&again)),
        ],
        "{}\n{}",
        joined.stderr,
        network.log()?
    );
    let counted = "2 got one, 2 may be of several, 0 of none, 1 unknown";
    assert!(joined.stderr.contains(counted), "{}", joined.stderr);
    Ok(())
}

#[test]
fn a_load_balancers_header_names_the_true_client() -> Result<(), Failure> {
    if !prerequisite::met_with_portledger(&["setpriv", "haproxy"])? {
        return Ok(());
    }
    let network = Network::new()?;
    network.listen(&format!("{SERVER}:9001"))?;
    network.listen(&format!("{SERVER}:9002"))?;
    network.listen(&format!("{SERVER}:9003"))?;
    let mut watch = network.watch(&["--proxy-protocol-from", BALANCER])?;
    let configuration = format!(
        "defaults
    mode tcp
    timeout connect 5s
    timeout client 10s
    timeout server 10s
listen one
    bind {BALANCER}:8001
    source {BALANCER}
    server s {SERVER}:9001 send-proxy
listen two
    bind {BALANCER}:8002
    bind [2001:db8::7]:8002
    source {BALANCER}
    server s {SERVER}:9002 send-proxy-v2 check inter 500ms
listen silent
    bind {BALANCER}:8003
    source {BALANCER}
    server s {SERVER}:9003
"
    );
    let path = network.path("haproxy.cfg");
    file(&path, |path| fs::write(path, configuration))?;
    let mut command = network.client.command("haproxy");
    let mut haproxy = Running::start(command.arg("-f").arg(path), &network.path("haproxy.out"))?;
    haproxy.until("it listens", LIMIT, |_| network.client.listens("tcp", 8003))?;
    let mut clients = Vec::new();
    for (from, to) in [
        ("192.0.2.7", format!("{BALANCER}:8001")),
        ("192.0.2.8", format!("{BALANCER}:8002")),
        ("2001:db8::7", "[2001:db8::7]:8002".to_owned()),
        ("192.0.2.9", format!("{BALANCER}:8003")),
    ] {
        let (mut stream, ..) = network.connect(from, &to)?;
        stream.write_all(b"hello").unwrap();
        clients.push((stream.local_addr().unwrap(), to));
        std::thread::sleep(Duration::from_millis(200));
    }
    // It does not come to know whose the silent one is.
    std::thread::sleep(Duration::from_secs(12));
    watch.terminate(LIMIT)?;
    let log = network.log()?;
    let recorded = connections(&log);
    for ((client, front), port) in clients.iter().zip([9001, 9002, 9002]) {
        let begin = format!(
            "{} {} {SERVER} {port} tcp hop={BALANCER}:",
            client.ip(),
            client.port()
        );
        let end = format!(" front={front}");
        let is_one = |(_, rest): &&(f64, &str)| rest.starts_with(&begin) && rest.ends_with(&end);
        assert_eq!(
            recorded.iter().filter(is_one).count(),
            1,
            "{begin}{end}\n{log}"
        );
    }
    let is_hop = |port: u16, why: &str| {
        let end = format!(" {SERVER} {port} tcp proxy={why}");
        let begin = format!("{BALANCER} ");
        recorded
            .iter()
            .any(|(_, rest)| rest.starts_with(&begin) && rest.ends_with(&end))
    };
    assert!(is_hop(9002, "local"), "checks of health\n{log}");
    assert!(is_hop(9003, "missing"), "{log}");
    assert!(!log.contains("192.0.2.9 "), "it was never told\n{log}");
    Ok(())
}
