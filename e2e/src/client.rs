//! An inside host and the real clients it runs.

use std::net::{IpAddr, Ipv4Addr};
use std::panic::resume_unwind;
use std::process::Command;
use std::time::Duration;

use crate::Failure;
use crate::namespace::Namespace;
use crate::process::{Finished, finish};
use crate::servers::SshServer;

/// How long one run of a client may take.
const LIMIT: Duration = Duration::from_secs(60);

/// What a host's own curl recorded of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The path asked for, which no other host and no other request uses.
    pub path: String,
    /// The host's end of the connection.
    pub local: (IpAddr, u16),
    /// The status of the answer; 0 when there was none.
    pub status: u16,
}

/// What a STUN client found of the NAT before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mapping {
    /// No translation at all.
    None,
    /// RFC 4787 §4.1: one external endpoint for all destinations.
    EndpointIndependent,
    /// Another external endpoint for another address, or address and port.
    EndpointDependent,
}

/// An inside host: one subscriber.
#[derive(Debug)]
pub struct Host {
    /// Unique within the topology; its user name at the SSH server and the start of its paths.
    pub name: String,
    /// Its internal address.
    pub address: IpAddr,
    /// What a ledger names where this host is meant: its address, or the network of its prefix.
    pub subscriber: IpAddr,
    pub(crate) namespace: Namespace,
}

impl Host {
    /// A command that will run on this host.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        self.namespace.command(program)
    }

    /// Where it lives.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// `requests` requests for `http://SERVER/HOST/ROUND/1` and on, each on a connection of its own.
    ///
    /// # Errors
    /// When curl cannot run or says what it should not. Requests that fail are in the record, with status 0.
    pub fn get(&self, server: &str, round: &str, requests: u32) -> Result<Vec<Request>, Failure> {
        self.curl(server, round, requests, &[])
    }

    /// As [`Host::get`], with at most `rate` requests a second.
    ///
    /// # Errors
    /// The same.
    pub fn get_at_rate(
        &self,
        server: &str,
        round: &str,
        requests: u32,
        rate: u32,
    ) -> Result<Vec<Request>, Failure> {
        self.curl(server, round, requests, &["--rate", &format!("{rate}/s")])
    }

    fn curl(
        &self,
        server: &str,
        round: &str,
        requests: u32,
        options: &[&str],
    ) -> Result<Vec<Request>, Failure> {
        let mut command = self.command("curl");
        command.args([
            "--silent",
            "--output",
            "/dev/null",
            "--connect-timeout",
            "3",
        ]);
        command.args(["--max-time", "5", "--header", "Connection: close"]);
        command.args([
            "--write-out",
            "%{local_ip} %{local_port} %{http_code} %{url}\\n",
        ]);
        command.args(options);
        command.arg(format!(
            "http://{server}/{}/{round}/[1-{requests}]",
            self.name
        ));
        // Its exit status tells of the last request only; the record tells of all.
        parse_requests(&finish(&mut command, LIMIT)?.stdout)
    }

    /// Logs in as the user of this host's name and runs `true`.
    ///
    /// # Errors
    /// When that fails.
    pub fn ssh(&self, server: &SshServer) -> Result<(), Failure> {
        self.ssh_to(server, SshServer::ADDRESS)
    }

    /// The same, by another name or address of the server.
    ///
    /// # Errors
    /// The same.
    pub fn ssh_to(&self, server: &SshServer, address: &str) -> Result<(), Failure> {
        let mut command = self.command("ssh");
        command.args([
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "ConnectTimeout=10",
        ]);
        command.args([
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "StrictHostKeyChecking=no",
        ]);
        command.arg("-i").arg(&server.user_key);
        command.arg(format!("{}@{address}", self.name)).arg("true");
        finish(&mut command, LIMIT)?.succeeded().map(drop)
    }

    /// Echo requests, all of which must be answered.
    ///
    /// # Errors
    /// When one is not.
    pub fn ping(&self, address: &str, count: u32) -> Result<(), Failure> {
        let count = count.to_string();
        let mut command = self.command("ping");
        command.args(["-n", "-i", "0.2", "-W", "3", "-c", &count, address]);
        let finished = finish(&mut command, LIMIT)?.succeeded()?;
        // ping calls it a success when one of them was answered.
        if finished.stdout.contains(" 0% packet loss") {
            Ok(())
        } else {
            Err(finished.into_failure())
        }
    }

    /// Runs iperf3 for two seconds; gives what arrived at the far end, in bits a second.
    ///
    /// # Errors
    /// When iperf3 fails or its report has no such figure.
    pub fn iperf3(&self, server: &str, options: &[&str]) -> Result<f64, Failure> {
        let mut command = self.command("iperf3");
        command.args([
            "--json",
            "--time",
            "2",
            "--connect-timeout",
            "3000",
            "--client",
            server,
        ]);
        let finished = finish(command.args(options), LIMIT)?.succeeded()?;
        received(&finished).ok_or_else(|| finished.into_failure())
    }

    /// What an RFC 5780 client says of the mapping before this host.
    ///
    /// # Errors
    /// When the client fails or says nothing known.
    pub fn stun_mapping(&self, server: &str) -> Result<Mapping, Failure> {
        let mut command = self.command("turnutils_natdiscovery");
        let finished = finish(command.args(["-m", server]), LIMIT)?.succeeded()?;
        let verdicts = [
            (
                "NAT with Endpoint Independent Mapping",
                Mapping::EndpointIndependent,
            ),
            (
                "NAT with Address Dependent Mapping",
                Mapping::EndpointDependent,
            ),
            (
                "NAT with Address and Port Dependent Mapping",
                Mapping::EndpointDependent,
            ),
            ("No NAT", Mapping::None),
        ];
        let found = verdicts
            .iter()
            .find(|(text, _)| finished.stdout.contains(text));
        found
            .map(|(_, mapping)| *mapping)
            .ok_or_else(|| finished.into_failure())
    }
}

/// Runs `work` on all hosts at the same time.
///
/// # Errors
/// The first of theirs.
pub fn at_once(
    hosts: &[Host],
    work: impl Fn(&Host) -> Result<Vec<Request>, Failure> + Sync,
) -> Result<Vec<Request>, Failure> {
    let work = &work;
    let parts = std::thread::scope(|scope| {
        let running: Vec<_> = hosts
            .iter()
            .map(|host| scope.spawn(move || work(host)))
            .collect();
        let parts = running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|cause| resume_unwind(cause)));
        parts.collect::<Result<Vec<_>, _>>()
    })?;
    Ok(parts.concat())
}

fn parse_requests(text: &str) -> Result<Vec<Request>, Failure> {
    text.lines()
        .map(|line| {
            parse_request(line).ok_or_else(|| Failure::Unexpected {
                what: "curl's record of a request".to_owned(),
                text: line.to_owned(),
            })
        })
        .collect()
}

fn parse_request(line: &str) -> Option<Request> {
    let mut words = line.split(' ');
    // Without a connection curl leaves the address empty.
    let address = words
        .next()
        .map(|word| word.parse().unwrap_or(Ipv4Addr::UNSPECIFIED.into()))?;
    let port = words.next()?.parse().ok()?;
    let status = words.next()?.parse().ok()?;
    let (_, rest) = words.next()?.split_once("://")?;
    let path = rest.get(rest.find('/')?..)?.to_owned();
    Some(Request {
        path,
        local: (address, port),
        status,
    })
}

fn received(finished: &Finished) -> Option<f64> {
    let report: serde_json::Value = serde_json::from_str(&finished.stdout).ok()?;
    // TCP reports the receiver's sum apart, UDP the one sum with its losses.
    let end = report.get("end")?;
    let sum = end.get("sum_received").or_else(|| end.get("sum"))?;
    let bits = sum.get("bits_per_second")?.as_f64()?;
    let lost = sum
        .get("lost_percent")
        .and_then(serde_json::Value::as_f64)
        .unwrap_or(0.0);
    Some(bits * (100.0 - lost) / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_with_and_without_a_connection_are_read() {
        let text = "100.64.0.10 40000 200 http://198.51.100.10/host0/a/1\n 0 000 http://198.51.100.10/host0/a/2\n";
        let requests = parse_requests(text).unwrap();
        assert_eq!(requests[0].path, "/host0/a/1");
        assert_eq!(
            requests[0].local,
            (Ipv4Addr::new(100, 64, 0, 10).into(), 40000)
        );
        assert_eq!(
            (requests[1].path.as_str(), requests[1].status),
            ("/host0/a/2", 0)
        );
        assert!(parse_requests("curl: (7) no").is_err());
    }
}
