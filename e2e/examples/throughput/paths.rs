//! The ways through the middle that are compared.

use portledger_e2e::Failure;
use portledger_e2e::nat::{Configuration, Nat};
use portledger_e2e::topology::{INSIDE_PREFIX, Topology};
use tempfile::TempDir;

/// The external addresses of both NATs: 64, so that new flows do not use them up.
const POOL: &str = "203.0.113.0/26";
const KERNEL_POOL: &str = "203.0.113.0-203.0.113.63:1024-65535";

/// A way through the middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Path {
    /// Floods are dropped where they arrive at the middle: what the sender alone costs.
    SenderAlone,
    /// The kernel forwards and nobody translates.
    Forwarding,
    /// The kernel translates: nftables `snat` to addresses and ports.
    Snat,
    /// `portledger nat run`, log before use.
    Nat {
        /// Of the TUN device.
        queues: u16,
    },
    /// `portledger nat run` with `bounded_loss = "1s"` and two queues.
    BoundedLoss,
}

/// All, in the order they take turns.
pub(crate) const ALL: [Path; 6] = [
    Path::SenderAlone,
    Path::Forwarding,
    Path::Snat,
    Path::Nat { queues: 1 },
    Path::Nat { queues: 2 },
    Path::BoundedLoss,
];

impl Path {
    /// For tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::SenderAlone => "sender alone",
            Self::Forwarding => "forwarding",
            Self::Snat => "nft snat",
            Self::Nat { queues: 1 } => "nat run, 1 queue",
            Self::Nat { .. } => "nat run, 2 queues",
            Self::BoundedLoss => "2 q., bounded loss",
        }
    }

    /// Prepares the middle.
    pub(crate) fn enter(self, network: &Topology) -> Result<Entered<'_>, Failure> {
        let nat = match self {
            Self::SenderAlone => {
                network.cgn.run("nft", "add table netdev early")?;
                let chain = "{ type filter hook ingress device inside priority 0 ; }";
                network
                    .cgn
                    .run("nft", &format!("add chain netdev early in {chain}"))?;
                network
                    .cgn
                    .run("nft", "add rule netdev early in udp dport 9 counter drop")?;
                None
            }
            Self::Forwarding => {
                let back = format!("route add {INSIDE_PREFIX} via 192.0.2.1");
                network.outside.ip(&back)?;
                network.leave_routing_to_the_kernel()?;
                None
            }
            Self::Snat => {
                network.cgn.run("nft", "add table ip nat")?;
                let chain = "{ type nat hook postrouting priority 100 ; }";
                network
                    .cgn
                    .run("nft", &format!("add chain ip nat out {chain}"))?;
                // Ports belong to a transport, so the rule names them.
                let rule =
                    format!("oifname outside meta l4proto {{ tcp, udp }} snat to {KERNEL_POOL}");
                network
                    .cgn
                    .run("nft", &format!("add rule ip nat out {rule}"))?;
                network.leave_routing_to_the_kernel()?;
                None
            }
            Self::Nat { queues } => Some(start(network, queues, "")?),
            Self::BoundedLoss => Some(start(network, 2, "bounded_loss = \"1s\"\n")?),
        };
        Ok(Entered {
            path: self,
            network,
            nat,
        })
    }
}

/// A path that packets take until it is left.
#[derive(Debug)]
pub(crate) struct Entered<'network> {
    path: Path,
    network: &'network Topology,
    nat: Option<(Nat<'network>, TempDir)>,
}

impl Entered<'_> {
    /// The NAT's process, where it is one.
    pub(crate) fn process(&self) -> Option<u32> {
        self.nat.as_ref().map(|(nat, _)| nat.id())
    }

    /// Brings the middle back to nothing.
    pub(crate) fn leave(self) -> Result<(), Failure> {
        let network = self.network;
        match self.path {
            Path::SenderAlone => network
                .cgn
                .run("nft", "delete table netdev early")
                .map(drop),
            Path::Forwarding => {
                network.outside.ip(&format!("route del {INSIDE_PREFIX}"))?;
                network.leave_routing_to_the_nat()
            }
            Path::Snat => {
                network.cgn.run("nft", "delete table ip nat")?;
                network.leave_routing_to_the_nat()
            }
            Path::Nat { .. } | Path::BoundedLoss => match self.nat {
                Some((nat, _ledger)) => nat.stop(),
                None => Ok(()),
            },
        }
    }
}

/// Each time on a new ledger: an old one's blocks rest.
fn start<'network>(
    network: &'network Topology,
    queues: u16,
    more: &str,
) -> Result<(Nat<'network>, TempDir), Failure> {
    let folder = TempDir::new_in(network.folder()).map_err(|source| Failure::File {
        path: network.folder().to_path_buf(),
        source,
    })?;
    let configuration = Configuration {
        queues,
        pool: POOL,
        ledger: Some(folder.path().join("ledger")),
        more: more.to_owned(),
        ..Configuration::default()
    };
    Ok((Nat::start_with(network, &configuration)?, folder))
}
