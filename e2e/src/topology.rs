//! A small Internet of namespaces: inside hosts, the NAT, and an outside with servers.
//!
//! ```text
//! host0 100.64.0.10 --+                                             198.51.100.10 … servers
//! host1 100.64.0.11 --+-- 100.64.0.1 [cgn] 192.0.2.1 -- 192.0.2.2 [outside]
//! …                   +            NAT device pl0
//! ```
//!
//! The outside knows the pool's prefix by way of the NAT, and nothing of the inside: a packet that slips through
//! untranslated gets no answer.

use std::net::Ipv4Addr;
use std::path::Path;

use tempfile::TempDir;

use crate::Failure;
use crate::client::Host;
use crate::modes::End;
use crate::namespace::Namespace;
use crate::truth::Names;

/// The external addresses the outside routes to the NAT.
pub const POOL_PREFIX: &str = "203.0.113.0/24";
/// The address [`Topology::translate_in_kernel`] translates to.
pub const KERNEL_EXTERNAL: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 14);
/// The subscribers' range.
pub const INSIDE_PREFIX: &str = "100.64.0.0/16";

/// What the cgn's link to the inside is called.
const INSIDE_LINK: &str = "inside";
/// What comes from the inside is looked up in a table of its own, which knows only the NAT's device.
const INSIDE_TABLE: u32 = 100;

/// The namespaces, joined. Everything goes away when it is dropped.
#[derive(Debug)]
pub struct Topology {
    /// The inside hosts, 100.64.0.10 and up.
    pub hosts: Vec<Host>,
    /// Where the NAT runs.
    pub cgn: Namespace,
    /// Where the servers run.
    pub outside: Namespace,
    /// Prefixes besides the pool's that lead to the NAT's device.
    pub(crate) to_device: Vec<String>,
    /// What the hosts are behind, where that is not the cgn itself.
    pub(crate) ends: Vec<End>,
    folder: TempDir,
}

impl Topology {
    /// Makes the namespaces and joins them; nothing translates yet, and nothing is forwarded untranslated.
    ///
    /// # Errors
    /// When `ip` or `sysctl` fails.
    pub fn new(hosts: u8) -> Result<Self, Failure> {
        let mut network = Self::without_hosts()?;
        let cgn = &network.cgn;
        cgn.ip(&format!("link add name {INSIDE_LINK} type bridge"))?;
        open_inside(cgn)?;
        network.hosts = (0..hosts)
            .map(|number| {
                let host = join_host(cgn, number, &format!("host{number}"))?;
                cgn.ip(&format!("link set {} master {INSIDE_LINK} up", host.name))?;
                Ok(host)
            })
            .collect::<Result<_, Failure>>()?;
        Ok(network)
    }

    /// The same with one host and no bridge, for measuring: a bridge's cost would flatter every path's ratio.
    ///
    /// # Errors
    /// The same.
    pub fn direct() -> Result<Self, Failure> {
        let mut network = Self::without_hosts()?;
        network.hosts = vec![join_host(&network.cgn, 0, INSIDE_LINK)?];
        open_inside(&network.cgn)?;
        Ok(network)
    }

    pub(crate) fn without_hosts() -> Result<Self, Failure> {
        let io = |source| Failure::File {
            path: std::env::temp_dir(),
            source,
        };
        let folder = TempDir::with_prefix("portledger-e2e-").map_err(io)?;
        let cgn = Namespace::create("cgn")?;
        let outside = Namespace::create("outside")?;
        // Before the interfaces: they copy `default` when they appear, as the NAT's device will.
        cgn.run(
            "sysctl",
            "-qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0",
        )?;
        join_outside(&cgn, &outside)?;
        Ok(Self {
            hosts: Vec::new(),
            cgn,
            outside,
            to_device: Vec::new(),
            ends: Vec::new(),
            folder,
        })
    }

    /// Which subscriber each host's name stands for.
    #[must_use]
    pub fn names(&self) -> Names {
        self.hosts
            .iter()
            .map(|host| (host.name.clone(), host.subscriber))
            .collect()
    }

    /// A folder for configurations and logs, gone with the topology. Servers that give up root can read it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Makes every address of `prefix` a subscriber, all of them at the first host.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn add_subscribers(&self, prefix: &str) -> Result<(), Failure> {
        self.hosts.iter().take(1).try_for_each(|host| {
            host.namespace
                .ip(&format!("route add local {prefix} dev lo"))?;
            self.cgn
                .ip(&format!("route add {prefix} via {}", host.address))
        })
    }

    /// Sends what comes from the inside, and what comes for the pool, to the NAT's device. When the device goes,
    /// so do its routes, and both are dropped again.
    ///
    /// # Errors
    /// When `ip` fails: there is no such device.
    pub fn route_through(&self, device: &str) -> Result<(), Failure> {
        self.cgn.ip(&format!("link set {device} up"))?;
        // Errors of this machine's own come back from the device once translated, and from an address of its own.
        let accept = format!("-qw net.ipv4.conf.{device}.accept_local=1");
        self.cgn.run("sysctl", &accept)?;
        self.cgn.ip(&format!(
            "route replace default dev {device} table {INSIDE_TABLE}"
        ))?;
        let pool = [POOL_PREFIX.to_owned()];
        let mut prefixes = pool.iter().chain(&self.to_device);
        prefixes.try_for_each(|prefix| self.cgn.ip(&format!("route replace {prefix} dev {device}")))
    }

    /// Lets the kernel translate to [`KERNEL_EXTERNAL`], to try the topology itself. With `per_destination`,
    /// every destination sees another port: what RFC 4787 calls address and port-dependent mapping.
    ///
    /// # Errors
    /// When `ip` or `nft` fails.
    pub fn translate_in_kernel(&self, per_destination: bool) -> Result<(), Failure> {
        let (which, ports) = match per_destination {
            true => ("meta l4proto { tcp, udp }", ":1024-65535 fully-random"),
            false => ("", ""),
        };
        self.cgn.run("nft", "add table ip nat")?;
        self.cgn.run(
            "nft",
            "add chain ip nat out { type nat hook postrouting priority 100 ; }",
        )?;
        let rule = format!("oifname outside {which} snat to {KERNEL_EXTERNAL}{ports}");
        self.cgn
            .run("nft", &format!("add rule ip nat out {rule}"))?;
        self.leave_routing_to_the_kernel()
    }

    /// Routes what comes from the inside by the main table, past the NAT's device.
    ///
    /// # Errors
    /// When `ip` fails, as it does the second time.
    pub fn leave_routing_to_the_kernel(&self) -> Result<(), Failure> {
        self.cgn
            .ip(&format!("rule del iif {INSIDE_LINK} lookup {INSIDE_TABLE}"))
    }

    /// The opposite of [`Topology::leave_routing_to_the_kernel`], and how it is at first.
    ///
    /// # Errors
    /// When `ip` fails.
    pub fn leave_routing_to_the_nat(&self) -> Result<(), Failure> {
        self.cgn
            .ip(&format!("rule add iif {INSIDE_LINK} lookup {INSIDE_TABLE}"))
    }
}

/// Gives the cgn its inside address; what comes from there gets nowhere but through the NAT.
fn open_inside(cgn: &Namespace) -> Result<(), Failure> {
    cgn.ip(&format!("address add 100.64.0.1/16 dev {INSIDE_LINK}"))?;
    cgn.ip(&format!("link set {INSIDE_LINK} up"))?;
    cgn.ip(&format!("rule add iif {INSIDE_LINK} lookup {INSIDE_TABLE}"))?;
    cgn.ip(&format!(
        "route add blackhole default metric 9999 table {INSIDE_TABLE}"
    ))
}

fn join_outside(cgn: &Namespace, outside: &Namespace) -> Result<(), Failure> {
    let peer = outside.name();
    cgn.ip(&format!(
        "link add name outside type veth peer name cgn netns {peer}"
    ))?;
    cgn.ip("address add 192.0.2.1/30 dev outside")?;
    cgn.ip("link set outside up")?;
    cgn.ip("route add 198.51.100.0/24 via 192.0.2.2")?;
    // Without the NAT's own route to its pool, nothing comes back in.
    cgn.ip(&format!("route add blackhole {POOL_PREFIX} metric 9999"))?;
    outside.ip("address add 192.0.2.2/30 dev cgn")?;
    outside.ip("link set cgn up")?;
    outside.ip(&format!("route add {POOL_PREFIX} via 192.0.2.1"))?;
    crate::servers::ADDRESSES
        .iter()
        .try_for_each(|address| outside.ip(&format!("address add {address}/32 dev lo")))
}

/// Makes a host and its link; `port` is the link's name at the cgn.
fn join_host(cgn: &Namespace, number: u8, port: &str) -> Result<Host, Failure> {
    let name = format!("host{number}");
    let address = Ipv4Addr::new(100, 64, 0, number.saturating_add(10)).into();
    let namespace = Namespace::create(&name)?;
    cgn.ip(&format!(
        "link add name {port} type veth peer name uplink netns {}",
        namespace.name()
    ))?;
    namespace.ip(&format!("address add {address}/16 dev uplink"))?;
    namespace.ip("link set uplink up")?;
    namespace.ip("route add default via 100.64.0.1")?;
    Ok(Host {
        name,
        address,
        subscriber: address,
        namespace,
    })
}
