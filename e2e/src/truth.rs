//! Who really was behind each line of a server's log, told by the line itself: every host asks for paths and
//! logs in as a user that are its own.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::client::Host;

/// The internal address behind each line (counted from 1) that names a remote endpoint.
pub type Truth = BTreeMap<u64, Ipv4Addr>;

/// Of an access log: the path starts with the host's name.
#[must_use]
pub fn of_access_log(log: &str, hosts: &[Host]) -> Truth {
    let behind = |line: &str| {
        let (_, path) = line.split_once("\"GET /")?;
        owner(path.split('/').next()?, hosts)
    };
    numbered(log)
        .filter_map(|(number, line)| Some((number, behind(line)?)))
        .collect()
}

/// Of sshd's log at `LogLevel VERBOSE`. A connection's first line has no user yet: its later ones, from the same
/// endpoint, tell.
#[must_use]
pub fn of_ssh_log(log: &str, hosts: &[Host]) -> Truth {
    let mut users = BTreeMap::new();
    let mut truth = Truth::new();
    let lines: Vec<(u64, &str)> = numbered(log).collect();
    for (number, line) in lines.into_iter().rev() {
        let Some(endpoint) = remote_endpoint(line) else {
            continue;
        };
        if let Some(host) = line.split_whitespace().find_map(|word| owner(word, hosts)) {
            users.insert(endpoint.clone(), host);
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

fn owner(name: &str, hosts: &[Host]) -> Option<Ipv4Addr> {
    hosts
        .iter()
        .find(|host| host.name == name)
        .map(|host| host.address)
}

fn numbered(log: &str) -> impl Iterator<Item = (u64, &str)> {
    (1..).zip(log.lines())
}
