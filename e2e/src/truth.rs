//! Who really was behind each line of a server's log, told by the line itself: every host asks for paths and
//! logs in as a user that are its own.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use crate::Failure;
use crate::client::Request;
use crate::topology::Topology;

/// The subscriber behind each line (counted from 1) that names a remote endpoint.
pub type Truth = BTreeMap<u64, IpAddr>;

/// The hosts' names and subscribers: [`crate::topology::Topology::names`].
pub type Names = BTreeMap<String, IpAddr>;

/// Of an access log: the path starts with the host's name.
#[must_use]
pub fn of_access_log(log: &str, names: &Names) -> Truth {
    let behind = |line: &str| {
        let (_, path) = line.split_once("\"GET /")?;
        names.get(path.split('/').next()?).copied()
    };
    numbered(log)
        .filter_map(|(number, line)| Some((number, behind(line)?)))
        .collect()
}

/// The truth of an access log, each line of it held against what the host itself recorded of that request.
///
/// # Errors
/// When a line is of no request that a host has recorded, or of another host's.
pub fn of_recorded_access_log(
    log: &str,
    network: &Topology,
    requests: &[Request],
) -> Result<Truth, Failure> {
    let behind = of_access_log(log, &network.names());
    let addresses: BTreeMap<IpAddr, IpAddr> = network
        .hosts
        .iter()
        .map(|host| (host.subscriber, host.address))
        .collect();
    let recorded: BTreeMap<&str, &Request> = requests
        .iter()
        .map(|request| (request.path.as_str(), request))
        .collect();
    for (number, line) in (1..).zip(log.lines()) {
        let path = line
            .split('"')
            .nth(1)
            .and_then(|request| request.split(' ').nth(1));
        let request = path.and_then(|path| recorded.get(path));
        let address = behind.get(&number).and_then(|host| addresses.get(host));
        // A request whose answer was lost has no connection in curl's record.
        let is_its_own =
            request.is_some_and(|request| Some(&request.local.0) == address || request.status == 0);
        if !is_its_own {
            return Err(Failure::Unexpected {
                what: format!("a line of no request that its host recorded, {request:?}"),
                text: line.to_owned(),
            });
        }
    }
    Ok(behind)
}

/// Of sshd's log at `LogLevel VERBOSE`. A connection's first line has no user yet: its later ones, from the same
/// endpoint, tell.
#[must_use]
pub fn of_ssh_log(log: &str, names: &Names) -> Truth {
    let mut users = BTreeMap::new();
    let mut truth = Truth::new();
    let lines: Vec<(u64, &str)> = numbered(log).collect();
    for (number, line) in lines.into_iter().rev() {
        let Some(endpoint) = remote_endpoint(line) else {
            continue;
        };
        if let Some(host) = line.split_whitespace().find_map(|word| names.get(word)) {
            users.insert(endpoint.clone(), *host);
        }
        if let Some(host) = users.get(&endpoint) {
            truth.insert(number, *host);
        }
        if line.contains("Connection from ") {
            // What stands above is of an earlier connection that had the same port.
            users.remove(&endpoint);
        }
    }
    truth
}

/// `ADDRESS port NUMBER`, in that form, the first of the line.
fn remote_endpoint(line: &str) -> Option<(String, String)> {
    let (before, after) = line.split_once(" port ")?;
    let address = before.rsplit(' ').next()?;
    let digits = after
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(after.len());
    let port = after.get(..digits).filter(|digits| !digits.is_empty())?;
    address.parse::<Ipv4Addr>().ok()?;
    Some((address.to_owned(), port.to_owned()))
}

fn numbered(log: &str) -> impl Iterator<Item = (u64, &str)> {
    (1..).zip(log.lines())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: IpAddr = IpAddr::V4(Ipv4Addr::new(100, 64, 0, 10));
    const SECOND: IpAddr = IpAddr::V4(Ipv4Addr::new(100, 64, 0, 11));

    fn names() -> Names {
        Names::from([("host0".to_owned(), FIRST), ("host1".to_owned(), SECOND)])
    }

    #[test]
    fn the_path_tells_who_asked() {
        let log = r#"203.0.113.1 - - [21/Nov/2026:11:00:00 +0000] "GET /host1/a/7 HTTP/1.1" 200 3 "-" "curl" 40000
203.0.113.1 - - [21/Nov/2026:11:00:00 +0000] "GET /favicon.ico HTTP/1.1" 200 3 "-" "-" 40001
"#;
        assert_eq!(of_access_log(log, &names()), Truth::from([(1, SECOND)]));
    }

    #[test]
    fn a_connection_is_its_users_until_its_port_connects_again() {
        let log = "Connection from 203.0.113.1 port 40000 on 198.51.100.22 port 22 rdomain \"\"
Accepted publickey for host0 from 203.0.113.1 port 40000 ssh2: ED25519 SHA256:x
Received disconnect from 203.0.113.1 port 40000:11: disconnected by user
Disconnected from user host0 203.0.113.1 port 40000
Server listening on 198.51.100.22 port 22.
Connection from 203.0.113.1 port 40000 on 198.51.100.22 port 22 rdomain \"\"
Connection closed by 203.0.113.1 port 40000
Connection from 203.0.113.1 port 40000 on 198.51.100.22 port 22 rdomain \"\"
Accepted publickey for host1 from 203.0.113.1 port 40000 ssh2: ED25519 SHA256:y";
        let expected = [
            (1, FIRST),
            (2, FIRST),
            (3, FIRST),
            (4, FIRST),
            (8, SECOND),
            (9, SECOND),
        ];
        assert_eq!(of_ssh_log(log, &names()), Truth::from(expected));
    }
}
