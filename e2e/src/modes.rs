//! Insides that speak IPv6: hosts without IPv4, and customers whose IPv4 comes through IPv6.
//!
//! ```text
//! nat64     host0 2001:db8:100:100::10 ------------------------- [cgn] 192.0.2.1 -- [outside]
//! softwires host0 192.168.1.10 -- [customer0] 2001:db8:… ------- [cgn] 192.0.2.1 -- [outside]
//!           host1 192.168.1.10 -- [customer1] 2001:db8:… ---+
//! ```

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use crate::client::Host;
use crate::namespace::Namespace;
use crate::nat::with_pool;
use crate::process::Running;
use crate::servers::{Iperf3, Nginx, SshServer};
use crate::softwire::Softwire;
use crate::topology::Topology;
use crate::{Failure, wait_for};

/// Behind which hosts without IPv4 see the outside.
pub const PREFIX: &str = "2001:db8:64::/96";
/// Where softwires end at the cgn.
pub const RELAY: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1);
/// The inside of all customers.
const INSIDE: &str = "192.168.1";
/// A pool of eight addresses.
pub const POOL: &str = "203.0.113.0/29";
/// How long a server may take to come up.
const LIMIT: Duration = Duration::from_secs(20);

/// What the outside's IPv4 address is on an inside without IPv4.
#[must_use]
pub fn embedded(address: &str) -> String {
    format!("2001:db8:64::{address}")
}

/// The configuration of a NAT64 whose subscribers are /56s, with a pool of these addresses.
#[must_use]
pub fn nat64(pool: &str) -> String {
    let pool = with_pool("2001:db8:100::/40", pool);
    format!(
        "{pool}\n[nat64]\nprefix = \"{PREFIX}\"\nown_address = \"{RELAY}\"\nsubscriber_prefix = 56\n"
    )
}

/// The configuration of an AFTR, with a pool of these addresses.
#[must_use]
pub fn aftr(pool: &str) -> String {
    let pool = with_pool("2001:db8:200::/40", pool);
    format!("{pool}\n[aftr]\naddress = \"{RELAY}\"\n")
}

/// How a customer's end makes IPv6 of its IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carriage {
    /// In IPv6.
    Wrapped,
    /// As IPv6: tayga (Debian's), by the addresses of RFC 7599.
    Translated,
}

/// A customer: an end of a softwire, and what is behind it.
#[derive(Debug, Clone)]
pub struct Customer {
    /// The end's IPv6 address, in a /64 of its own.
    pub address: Ipv6Addr,
    /// What a ledger names: the network of the customer's prefix.
    pub subscriber: IpAddr,
    /// Where the end translates (MAP, lightweight 4over6): to this address and these ports.
    pub external: Option<(Ipv4Addr, u16, u16)>,
}

/// A customer's end.
#[derive(Debug)]
pub(crate) struct End {
    _softwire: Option<Softwire>,
    _translator: Option<Running>,
    _namespace: Namespace,
}

impl Topology {
    /// Hosts without IPv4, each in a /56 of its own.
    ///
    /// # Errors
    /// When `ip` or `sysctl` fails.
    pub fn without_ipv4(hosts: u8) -> Result<Self, Failure> {
        let mut network = Self::without_hosts()?;
        let cgn = &network.cgn;
        speak_ipv6(cgn, true)?;
        let join = |number: u8| {
            let name = format!("host{number}");
            let namespace = Namespace::create(&name)?;
            speak_ipv6(&namespace, false)?;
            let net = format!("2001:db8:100:{}00", number + 1);
            let address = format!("{net}::10");
            join(cgn, &name, &namespace, &address, &format!("{net}::ffff"))?;
            Ok(Host {
                name,
                address: parsed(&address)?,
                subscriber: parsed(&format!("{net}::"))?,
                namespace,
            })
        };
        network.hosts = (0..hosts).map(join).collect::<Result<_, Failure>>()?;
        network.to_device = vec![PREFIX.to_owned()];
        Ok(network)
    }

    /// Customers with one host each. All hosts have the same IPv4 address.
    ///
    /// # Errors
    /// When `ip`, `sysctl`, `nft` or `tayga` fails.
    pub fn behind_ipv6(customers: &[Customer], carriage: Carriage) -> Result<Self, Failure> {
        let mut network = Self::without_hosts()?;
        speak_ipv6(&network.cgn, true)?;
        for (number, customer) in customers.iter().enumerate() {
            let end = Namespace::create(&format!("customer{number}"))?;
            speak_ipv6(&end, true)?;
            end.run(
                "sysctl",
                "-qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0",
            )?;
            let gateway = beside(customer.address);
            let address = customer.address.to_string();
            let port = format!("customer{number}");
            join(&network.cgn, &port, &end, &address, &gateway)?;
            let (softwire, translator, device) = match carriage {
                Carriage::Wrapped => {
                    let softwire = Softwire::open(&end, customer.address, RELAY)?;
                    (Some(softwire), None, Softwire::DEVICE)
                }
                Carriage::Translated => {
                    let translator = start_tayga(&network, &end, number, customer)?;
                    (None, Some(translator), "tayga")
                }
            };
            end.ip(&format!("link set {device} up"))?;
            end.ip(&format!("route add default dev {device}"))?;
            if let Some(external) = customer.external {
                translate(&end, device, external)?;
            }
            network.hosts.push(join_home(&end, number, customer)?);
            network.ends.push(End {
                _softwire: softwire,
                _translator: translator,
                _namespace: end,
            });
        }
        network.to_device = match carriage {
            Carriage::Wrapped => vec![format!("{RELAY}/128")],
            Carriage::Translated => vec![PREFIX.to_owned()],
        };
        Ok(network)
    }
}

/// A host in the home behind a customer's end.
fn join_home(end: &Namespace, number: usize, customer: &Customer) -> Result<Host, Failure> {
    let name = format!("host{number}");
    let namespace = Namespace::create(&name)?;
    let address = format!("{INSIDE}.10");
    let peer = namespace.name();
    end.ip(&format!(
        "link add name home type veth peer name uplink netns {peer}"
    ))?;
    end.ip(&format!("address add {INSIDE}.1/24 dev home"))?;
    end.ip("link set home up")?;
    namespace.ip(&format!("address add {address}/24 dev uplink"))?;
    namespace.ip("link set uplink up")?;
    namespace.ip(&format!("route add default via {INSIDE}.1"))?;
    Ok(Host {
        name,
        address: parsed(&address)?,
        subscriber: customer.subscriber,
        namespace,
    })
}

/// The NAT of a customer's own device: to its own address and ports.
fn translate(
    end: &Namespace,
    device: &str,
    (address, first, last): (Ipv4Addr, u16, u16),
) -> Result<(), Failure> {
    end.run("nft", "add table ip nat")?;
    end.run(
        "nft",
        "add chain ip nat out { type nat hook postrouting priority 100 ; }",
    )?;
    for transport in ["tcp", "udp", "icmp"] {
        let rule =
            format!("oifname {device} meta l4proto {transport} snat to {address}:{first}-{last}");
        end.run("nft", &format!("add rule ip nat out {rule}"))?;
    }
    Ok(())
}

/// RFC 7599 with a stateless translator of somebody else's: its one customer's address is mapped, all others lie
/// behind the prefix.
fn start_tayga(
    network: &Topology,
    end: &Namespace,
    number: usize,
    customer: &Customer,
) -> Result<Running, Failure> {
    let Some((external, ..)) = customer.external else {
        return Err(Failure::Missing("an address to translate to".to_owned()));
    };
    // The customer's address is the translator's: the link has another.
    let mapped = customer.address;
    let link = format!("{}/64", beside_twice(mapped));
    end.ip(&format!("address del {mapped}/64 dev uplink"))?;
    end.ip(&format!("address add {link} dev uplink nodad"))?;
    let gateway = beside(mapped);
    end.ip(&format!("route replace default via {gateway}"))?;
    let via = beside_twice(mapped);
    network
        .cgn
        .ip(&format!("route add {mapped}/128 via {via}"))?;
    let folder = network.folder().join(format!("tayga{number}"));
    let text = format!(
        "tun-device tayga\nipv4-addr 192.0.0.1\nipv6-addr {own}\nprefix {PREFIX}\nmap {external} {mapped}\ndata-dir {at}\n",
        own = beside_thrice(mapped),
        at = folder.display(),
    );
    let started = Tayga { folder, text }.start(end)?;
    end.ip("link set tayga up")?;
    end.ip(&format!("route add {mapped}/128 dev tayga"))?;
    Ok(started)
}

/// tayga in a namespace.
#[derive(Debug)]
pub struct Tayga {
    /// A folder of its own.
    pub folder: PathBuf,
    /// Its configuration.
    pub text: String,
}

impl Tayga {
    /// Starts it, its device there but not up.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(&self, namespace: &Namespace) -> Result<Running, Failure> {
        let path = self.folder.join("tayga.conf");
        fs::create_dir_all(&self.folder)
            .and_then(|()| fs::write(&path, &self.text))
            .map_err(|source| Failure::File {
                path: path.clone(),
                source,
            })?;
        let mut command = namespace.command("tayga");
        command.arg("--nodetach").arg("--config").arg(&path);
        let running = Running::start(&mut command, &self.folder.join("output"))?;
        wait_for("tayga's device", || {
            Ok(namespace.ip("link show tayga").is_ok())
        })?;
        Ok(running)
    }
}

/// BIND as a DNS64 (RFC 6147) on the cgn, authoritative for `example.org` of the outside's servers.
#[derive(Debug)]
pub struct Dns64 {
    _running: Running,
    /// Each host's `/etc/resolv.conf`, which `ip netns exec` puts in its place.
    resolvers: Vec<PathBuf>,
}

impl Dns64 {
    /// Where it listens, port 53.
    pub const ADDRESS: &str = "2001:db8:100:ff00::53";

    /// Starts it, and tells the hosts of it.
    ///
    /// # Errors
    /// When it does not come to listen.
    pub fn start(topology: &Topology) -> Result<Self, Failure> {
        let folder = topology.folder().join("dns64");
        let file = |path: &PathBuf, text: &str| {
            let made = path.parent().map_or(Ok(()), fs::create_dir_all);
            made.and_then(|()| fs::write(path, text))
                .map_err(|source| Failure::File {
                    path: path.clone(),
                    source,
                })
        };
        let zone = format!(
            "$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns AAAA {own}\nwww A {www}\nssh A {ssh}\niperf A {iperf}\n",
            own = Self::ADDRESS,
            www = Nginx::ADDRESS,
            ssh = SshServer::ADDRESS,
            iperf = Iperf3::ADDRESS,
        );
        let at = folder.display();
        let configuration = format!(
            r#"options {{
    directory "{at}";
    pid-file none;
    session-keyfile "{at}/session.key";
    listen-on {{ none; }};
    listen-on-v6 {{ {own}; }};
    recursion no;
    dnssec-validation no;
    allow-query {{ any; }};
    dns64 {PREFIX} {{ clients {{ any; }}; recursive-only no; }};
}};
controls {{ }};
zone "example.org" {{ type primary; file "{at}/example.org"; }};
"#,
            own = Self::ADDRESS,
        );
        file(&folder.join("example.org"), &zone)?;
        let path = folder.join("named.conf");
        file(&path, &configuration)?;
        let cgn = &topology.cgn;
        cgn.ip(&format!("address add {}/128 dev lo", Self::ADDRESS))?;
        let mut command = cgn.command("named");
        command.args(["-g", "-n", "1", "-c"]).arg(path);
        let mut running = Running::start(&mut command, &folder.join("output"))?;
        running.until("the DNS64", LIMIT, |_| cgn.listens("udp", 53))?;
        let mut resolvers = Vec::new();
        for host in &topology.hosts {
            let path = PathBuf::from("/etc/netns")
                .join(host.namespace.name())
                .join("resolv.conf");
            file(&path, &format!("nameserver {}\n", Self::ADDRESS))?;
            resolvers.push(path);
        }
        Ok(Self {
            _running: running,
            resolvers,
        })
    }
}

impl Drop for Dns64 {
    fn drop(&mut self) {
        // A failed clean-up must not hide why the test failed.
        for folder in self.resolvers.iter().filter_map(|path| path.parent()) {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// Joins a namespace to the cgn: `port` is the link's name there.
fn join(
    cgn: &Namespace,
    port: &str,
    namespace: &Namespace,
    address: &str,
    gateway: &str,
) -> Result<(), Failure> {
    let peer = namespace.name();
    cgn.ip(&format!(
        "link add name {port} type veth peer name uplink netns {peer}"
    ))?;
    cgn.ip(&format!("address add {gateway}/64 dev {port} nodad"))?;
    cgn.ip(&format!("link set {port} up"))?;
    namespace.ip(&format!("address add {address}/64 dev uplink nodad"))?;
    namespace.ip("link set uplink up")?;
    namespace.ip(&format!("route add default via {gateway}"))
}

fn speak_ipv6(namespace: &Namespace, forwards: bool) -> Result<(), Failure> {
    let forwarding = u8::from(forwards);
    let all = "net.ipv6.conf.all";
    let default = "net.ipv6.conf.default";
    namespace
        .run(
            "sysctl",
            &format!(
                "-qw {all}.disable_ipv6=0 {default}.disable_ipv6=0 {all}.forwarding={forwarding} \
                 {default}.forwarding={forwarding} {all}.accept_dad=0 {default}.accept_dad=0 {default}.accept_ra=0"
            ),
        )
        .map(drop)
}

/// The gateway of an address's /64.
fn beside(address: Ipv6Addr) -> String {
    in_net(address, 0xffff)
}

fn beside_twice(address: Ipv6Addr) -> String {
    in_net(address, 0xfffe)
}

fn beside_thrice(address: Ipv6Addr) -> String {
    in_net(address, 0xfffd)
}

fn in_net(address: Ipv6Addr, host: u128) -> String {
    let net = address.to_bits() & !u128::from(u64::MAX);
    Ipv6Addr::from_bits(net | host).to_string()
}

fn parsed(address: &str) -> Result<IpAddr, Failure> {
    address.parse().map_err(|_| Failure::Unexpected {
        what: "an address".to_owned(),
        text: address.to_owned(),
    })
}
