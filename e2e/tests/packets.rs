//! Packets of all kinds through `portledger nat run`: large, in fragments, back to the inside, and errors.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // Helpers of tests fail by panicking, as tests do.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use portledger_e2e::client::Host;
use portledger_e2e::namespace::Namespace;
use portledger_e2e::nat::{Configuration, Nat};
use portledger_e2e::process::{Finished, finish};
use portledger_e2e::servers::Nginx;
use portledger_e2e::topology::Topology;
use portledger_e2e::{Failure, file, prerequisite};

/// An address of the outside with nothing of its own at these ports.
const SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 40);
const LARGE: usize = 50_000_000;
const LIMIT: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(3);

#[test]
fn large_transfers_arrive_unchanged_both_ways() -> Result<(), Failure> {
    if !prerequisite::met_with_nat(&["nginx", "curl"])? {
        return Ok(());
    }
    let network = Topology::new(1)?;
    let nginx = Nginx::start(&network)?;
    let nat = Nat::start(&network)?;
    let host = &network.hosts[0];
    let content = noise(LARGE);

    // In: nginx sends the file in packets of up to 64 KiB, which the NAT must not have to cut.
    let (served, got) = (nginx.files.join("large"), network.folder().join("got"));
    file(&nginx.files, |path| fs::create_dir(path))?;
    file(&served, |path| fs::write(path, &content))?;
    let mut command = host.command("curl");
    command.args(["--silent", "--fail", "--output"]).arg(&got);
    command.arg(format!("http://{}/files/large", Nginx::ADDRESS));
    finish(&mut command, LIMIT)?.succeeded()?;
    assert!(
        file(&got, |path| fs::read(path))? == content,
        "other bytes came in"
    );

    // Out.
    let listener = network
        .outside
        .within(|| TcpListener::bind((SERVER, 9000)))?;
    let mut sender = within(host, || TcpStream::connect((SERVER, 9000)))?;
    let arrived = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut stream, _) = listener.accept()?;
            let mut arrived = Vec::with_capacity(LARGE);
            stream.read_to_end(&mut arrived)?;
            io::Result::Ok(arrived)
        });
        sender.write_all(&content)?;
        drop(sender);
        reader.join().unwrap()
    });
    assert!(arrived.unwrap() == content, "other bytes went out");
    nat.stop()
}

#[test]
fn fragments_pass_both_ways() -> Result<(), Failure> {
    if !prerequisite::met_with_nat(&["ping"])? {
        return Ok(());
    }
    let network = Topology::new(1)?;
    let nat = Nat::start(&network)?;
    let host = &network.hosts[0];
    // RFC 5508 REQ-1, RFC 4787 REQ-14: three fragments there, three back.
    let pinged = ping(host, &["-c", "5", "-s", "4000", &SERVER.to_string()])?;
    assert!(
        pinged.stdout.contains(" 0% packet loss"),
        "{}",
        pinged.stdout
    );

    let server = bound(&network.outside, (SERVER, 9000))?;
    let client = within(host, || UdpSocket::bind("0.0.0.0:0"))?;
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    // The first and a mapping's later ones; and one byte more than fits one packet.
    for (number, length) in (0_u8..).zip([8_000, 8_000, 1_473, 60_000]) {
        let sent: Vec<u8> = noise(length)
            .into_iter()
            .map(|byte| byte ^ number)
            .collect();
        client.send_to(&sent, (SERVER, 9000)).unwrap();
        let (arrived, from) = received(&server);
        assert!(arrived == sent, "{length} bytes out came otherwise");
        server.send_to(&arrived, from).unwrap();
        assert!(
            received(&client).0 == sent,
            "{length} bytes in came otherwise"
        );
    }
    nat.stop()
}

#[test]
fn inside_hosts_reach_each_other_by_their_external_endpoints() -> Result<(), Failure> {
    if !prerequisite::met_with_nat(&[])? {
        return Ok(());
    }
    let network = Topology::new(2)?;
    let forwarded = |transport| {
        format!(
            "[[static]]\ninternal = \"100.64.0.10:5000\"\nexternal = \"203.0.113.3:5000\"\ntransport = \"{transport}\"\n"
        )
    };
    let configuration = Configuration {
        more: forwarded("udp") + &forwarded("tcp"),
        ..Configuration::default()
    };
    let nat = Nat::start_with(&network, &configuration)?;
    let [first, second] = &network.hosts[..] else {
        unreachable!("two hosts were asked for")
    };

    // By a configured endpoint. RFC 4787 REQ-9a: from the other's external endpoint, and the answer likewise.
    let server = within(first, || UdpSocket::bind("0.0.0.0:5000"))?;
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let client = within(second, || UdpSocket::bind("0.0.0.0:0"))?;
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let external: SocketAddr = "203.0.113.3:5000".parse().unwrap();
    client.send_to(b"there", external).unwrap();
    let (said, from) = received(&server);
    assert_eq!(said, b"there");
    assert!(from.ip().to_string().starts_with("203.0.113."), "{from}");
    server.send_to(b"back", from).unwrap();
    assert_eq!(received(&client), (b"back".to_vec(), external));

    // By an endpoint that a server outside has seen, as peers learn theirs by STUN.
    let outside = bound(&network.outside, (SERVER, 9000))?;
    let peer = within(first, || UdpSocket::bind("0.0.0.0:0"))?;
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    peer.send_to(b"who am I", (SERVER, 9000)).unwrap();
    let (_, seen) = received(&outside);
    client.send_to(b"peer", seen).unwrap();
    let (said, from) = received(&peer);
    assert_eq!(said, b"peer");
    peer.send_to(b"hello", from).unwrap();
    assert_eq!(received(&client), (b"hello".to_vec(), seen));

    // TCP, segments offloaded.
    let listener = within(first, || TcpListener::bind("0.0.0.0:5000"))?;
    let mut stream = within(second, || TcpStream::connect_timeout(&external, PATIENCE))?;
    let (mut accepted, from) = listener.accept().unwrap();
    assert!(from.ip().to_string().starts_with("203.0.113."), "{from}");
    let content = noise(1_000_000);
    let arrived = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut arrived = vec![0; content.len()];
            accepted.read_exact(&mut arrived).map(|()| arrived)
        });
        stream.write_all(&content).unwrap();
        reader.join().unwrap()
    });
    assert!(arrived.unwrap() == content, "other bytes came");
    nat.stop()
}

#[test]
fn icmp_errors_reach_the_inside_host() -> Result<(), Failure> {
    if !prerequisite::met_with_nat(&["ping"])? {
        return Ok(());
    }
    let network = Topology::new(1)?;
    let nat = Nat::start(&network)?;
    let host = &network.hosts[0];
    let server = SERVER.to_string();

    // The first hop is before the NAT. The second is after it: its error comes back to the external address, and
    // ping takes it for its own only when the packet within was translated back (RFC 5508 REQ-4).
    for (ttl, hop) in [("1", "100.64.0.1"), ("2", "192.0.2.1")] {
        let pinged = ping(host, &["-c", "1", "-t", ttl, &server])?;
        let said = format!("From {hop} icmp_seq=1 Time to live exceeded");
        assert!(pinged.stdout.contains(&said), "{ttl}: {}", pinged.stdout);
    }

    // RFC 5508 REQ-3, RFC 4787 REQ-12: the host's own socket hears of the closed port.
    let client = within(host, || UdpSocket::bind("0.0.0.0:0"))?;
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.connect((SERVER, 9)).unwrap();
    client.send(b"anybody?").unwrap();
    let refused = client.recv(&mut [0; 16]).unwrap_err();
    assert_eq!(
        refused.kind(),
        io::ErrorKind::ConnectionRefused,
        "{refused}"
    );

    // A narrow link beyond the NAT: path MTU discovery works.
    network.cgn.ip("link set outside mtu 1300")?;
    let pinged = ping(host, &["-c", "2", "-M", "do", "-s", "1400", &server])?;
    assert!(
        pinged.stdout.contains("(mtu = 1300)") || pinged.stderr.contains("mtu=1300"),
        "{}{}",
        pinged.stdout,
        pinged.stderr
    );
    nat.stop()
}

fn ping(host: &Host, options: &[&str]) -> Result<Finished, Failure> {
    let mut command = host.command("ping");
    command.args(["-n", "-i", "0.2", "-W", "3"]).args(options);
    finish(&mut command, LIMIT)
}

fn within<T: Send>(host: &Host, work: impl FnOnce() -> io::Result<T> + Send) -> Result<T, Failure> {
    host.namespace().within(work)
}

fn bound(namespace: &Namespace, address: (Ipv4Addr, u16)) -> Result<UdpSocket, Failure> {
    let socket = namespace.within(|| UdpSocket::bind(address))?;
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    Ok(socket)
}

fn received(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut bytes = vec![0; 65_536];
    let (length, from) = socket.recv_from(&mut bytes).unwrap();
    bytes.truncate(length);
    (bytes, from)
}

/// Bytes no two ranges of which are alike: a segment lost, doubled or moved shows.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..length.div_ceil(8)).flat_map(|_| next()).collect();
    bytes.truncate(length);
    bytes
}
