//! The options of `portledger watch`, and of the commands that read what it writes.

use std::{
    net::{IpAddr, SocketAddr},
    num::{NonZeroU32, NonZeroU64},
    path::PathBuf,
    time::Duration,
};

use clap::{ArgGroup, Args};
use ipnet::IpNet;
use portledger_servers::connection_log::Ports;
use portledger_watch::{flood::Rest, output::Target};

use crate::config::parse_duration;

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("to").required(true))]
pub(crate) struct WatchArgs {
    /// The TCP ports of the servers, such as 80,443; without it, every one
    #[arg(long, value_name = "PORTS", value_parser = parse_ports, default_value = "all")]
    pub(crate) port: Ports,
    /// The UDP ports: 'all', or such as 443 for HTTP/3; a flow that was quiet for two minutes is
    /// another
    #[arg(long, value_name = "PORTS", value_parser = parse_ports, default_value = "none")]
    pub(crate) udp_port: Ports,
    /// Watch this interface only; without it, all
    #[arg(long, value_name = "NAME")]
    pub(crate) interface: Option<String>,
    /// The interface gets copies of what goes to other machines (a mirror port, beside a closed
    /// appliance): record that too
    #[arg(long, requires = "interface")]
    pub(crate) mirror: bool,
    /// Write the log to files in this folder
    #[arg(long, value_name = "DIR", group = "to")]
    pub(crate) dir: Option<PathBuf>,
    /// Write the log to files in the folder 'connections' of this ledger's
    #[arg(long, value_name = "DIR", group = "to")]
    pub(crate) ledger: Option<PathBuf>,
    /// Send each line as a message of RFC 5424: to a local socket such as /dev/log, or to
    /// udp:ADDRESS:PORT
    #[arg(long, value_name = "TARGET", group = "to", value_parser = parse_target)]
    pub(crate) syslog: Option<Target>,
    /// End a file when it has so many mebibytes
    #[arg(long, value_name = "N", default_value = "256")]
    pub(crate) rotate_mib: NonZeroU64,
    /// End a file when it is so old
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = parse_duration)]
    pub(crate) rotate_age: Duration,
    /// Delete ended files so many days after their last line; without it, never
    #[arg(long, value_name = "N", conflicts_with = "syslog")]
    pub(crate) keep_days: Option<NonZeroU32>,
    /// Of more connections a second than this the rest is a flood: 5000/s
    #[arg(long, value_name = "N/s", requires = "flood", value_parser = parse_rate)]
    pub(crate) flood_limit: Option<NonZeroU64>,
    /// What becomes of that rest: sample:16 keeps one source of 16, chosen by a hash that nobody
    /// foresees; aggregate counts it by source prefix and second. The log says what it left out
    #[arg(long, value_name = "sample:K|aggregate", requires = "flood_limit")]
    pub(crate) flood: Option<Rest>,
    /// Take the client from the PROXY protocol headers of these load balancers, and of no one else
    #[arg(long, value_name = "CIDR", value_delimiter = ',', value_parser = parse_net)]
    pub(crate) proxy_protocol_from: Vec<IpNet>,
}

/// Where a line's port may be found, where the line has none.
#[derive(Debug, Args)]
pub(crate) struct Joining {
    /// The connection log that 'portledger watch' wrote beside the server: its files, or their
    /// folder. A line without a port gets the port of the one connection that can have carried it;
    /// where that is not certain, all that can are listed and none is chosen
    #[arg(long, value_name = "PATH")]
    pub(crate) connections: Vec<PathBuf>,
    /// No connection to the server lasts longer: what its keep-alive settings say (nginx's
    /// keepalive_time is 1h). With too short a time the port may be a stranger's
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = parse_duration, requires = "connections")]
    pub(crate) longest_connection: Duration,
    /// How far the clocks of the server's log and of the connection log are apart, either way
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = parse_duration, requires = "connections")]
    pub(crate) connection_slack: Duration,
    /// The ports that the server listens at, for lines that do not say
    #[arg(
        long,
        value_name = "PORT",
        value_delimiter = ',',
        requires = "connections"
    )]
    pub(crate) server_port: Vec<u16>,
}

fn parse_ports(text: &str) -> Result<Ports, String> {
    let wrong = || format!("'{text}' is no list of ports; write 80,443 or all or none");
    match text {
        "all" => Ok(Ports::All),
        "none" => Ok(Ports::None),
        _ => {
            let port = |port: &str| port.parse().ok().filter(|port| *port != 0);
            let ports: Option<Vec<u16>> = text.split(',').map(port).collect();
            match ports {
                // What the kernel's filter has room for.
                Some(ports) if ports.len() > 1_000 => {
                    Err("these are more than 1000 ports; write all".to_owned())
                }
                Some(ports) => Ok(Ports::These(ports)),
                None => Err(wrong()),
            }
        }
    }
}

fn parse_target(text: &str) -> Result<Target, String> {
    if let Some(address) = text.strip_prefix("udp:") {
        return address.parse::<SocketAddr>().map(Target::Udp).map_err(|_| {
            format!("'{address}' is no address with a port; write udp:192.0.2.1:514")
        });
    }
    if text.starts_with('/') {
        return Ok(Target::Local(text.into()));
    }
    Err(format!(
        "'{text}' is no target; write /dev/log or udp:192.0.2.1:514"
    ))
}

fn parse_rate(text: &str) -> Result<NonZeroU64, String> {
    text.strip_suffix("/s")
        .unwrap_or(text)
        .parse()
        .map_err(|_| format!("'{text}' is no rate; write 5000/s"))
}

/// A network, or one address.
fn parse_net(text: &str) -> Result<IpNet, String> {
    let net = text.parse::<IpNet>().ok();
    net.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
        .map(|net| net.trunc())
        .ok_or_else(|| format!("'{text}' is no network; write 192.0.2.0/28 or 192.0.2.9"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_operators_write_is_read_and_slips_are_said() {
        assert_eq!(parse_ports("80,443"), Ok(Ports::These(vec![80, 443])));
        for slip in ["", "80,", "0", "65536", "80-90", "http"] {
            assert!(parse_ports(slip).unwrap_err().contains("no list of ports"));
        }
        assert_eq!(parse_rate("5000/s").map(NonZeroU64::get), Ok(5_000));
        assert_eq!(parse_rate("5000").map(NonZeroU64::get), Ok(5_000));
        assert!(parse_rate("0/s").is_err() && parse_rate("5k/s").is_err());
        let net = |text: &str| parse_net(text).map(|net| net.to_string());
        assert_eq!(net("192.0.2.9"), Ok("192.0.2.9/32".to_owned()));
        assert_eq!(net("192.0.2.9/28"), Ok("192.0.2.0/28".to_owned()));
        assert_eq!(net("2001:db8::/64"), Ok("2001:db8::/64".to_owned()));
        assert!(net("example.org").is_err());
        let udp = Target::Udp("192.0.2.1:514".parse().unwrap());
        assert_eq!(parse_target("udp:192.0.2.1:514"), Ok(udp));
        assert_eq!(
            parse_target("/dev/log"),
            Ok(Target::Local("/dev/log".into()))
        );
        assert!(parse_target("log").is_err() && parse_target("udp:log").is_err());
    }
}
