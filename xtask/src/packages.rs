//! The Debian packages the tests need, and installing those that are missing.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::command;

/// A program the tests start, and the package it comes in.
const NEEDED: &[(&str, &str)] = &[
    ("apache2", "apache2"),
    // libFuzzer is C++.
    ("c++", "g++"),
    ("conntrack", "conntrack"),
    ("curl", "curl"),
    ("dig", "bind9-dnsutils"),
    ("dnsmasq", "dnsmasq-base"),
    ("ethtool", "ethtool"),
    ("ip", "iproute2"),
    ("iperf3", "iperf3"),
    ("ncat", "ncat"),
    ("nfacctd", "pmacct"),
    ("nfcapd", "nfdump"),
    ("nft", "nftables"),
    ("nginx", "nginx-light"),
    ("ping", "iputils-ping"),
    ("python3", "python3-venv"),
    ("radclient", "freeradius-utils"),
    ("rsyslogd", "rsyslog"),
    ("setcap", "libcap2-bin"),
    ("softflowd", "softflowd"),
    ("ssh", "openssh-client"),
    ("sshd", "openssh-server"),
    ("sysctl", "procps"),
    ("tcpdump", "tcpdump"),
    ("tshark", "tshark"),
    ("turnserver", "coturn"),
    ("turnutils_natdiscovery", "coturn"),
];

/// Asked by Debian's maintainer scripts before they start a service; 101 means "do not".
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs, with `apt-get`, the packages of programs that are not there. No service is started.
pub(crate) fn install_missing() -> Result<(), String> {
    let missing = packages_missing(command::is_installed);
    if missing.is_empty() {
        println!("all {} programs are there", NEEDED.len());
        return Ok(());
    }
    let list = missing.iter().copied().collect::<Vec<_>>().join(" ");
    if !command::is_installed("apt-get") {
        return Err(format!("install these (Debian's names): {list}"));
    }
    let _policy = NoAutostart::begin().map_err(|error| {
        format!("cannot write {POLICY}: {error}; run as root, or: apt-get install {list}")
    })?;
    command::run(apt_get().args(["-qq", "update"]))?;
    command::run(
        apt_get()
            .args(["-qq", "install", "--no-install-recommends"])
            .args(&missing),
    )?;
    let still = packages_missing(command::is_installed);
    if still.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "installed, but their programs are not found: {still:?}"
        ))
    }
}

fn packages_missing(is_installed: impl Fn(&str) -> bool) -> BTreeSet<&'static str> {
    let missing = NEEDED.iter().filter(|(program, _)| !is_installed(program));
    missing.map(|(_, package)| *package).collect()
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.arg("-y").env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// While it lives, installing a package starts no service. A policy that was there before is left alone.
struct NoAutostart {
    written: bool,
}

impl NoAutostart {
    fn begin() -> std::io::Result<Self> {
        match fs::File::create_new(POLICY) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Self { written: false }),
            Err(error) => Err(error),
            Ok(_) => {
                let policy = Self { written: true };
                fs::write(POLICY, "#!/bin/sh\nexit 101\n")?;
                fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755))?;
                Ok(policy)
            }
        }
    }
}

impl Drop for NoAutostart {
    fn drop(&mut self) {
        if self.written
            && let Err(error) = fs::remove_file(POLICY)
        {
            eprintln!("xtask: remove {POLICY} by hand: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_packages_of_missing_programs_are_named_and_each_once() {
        assert!(packages_missing(|_| true).is_empty());
        let missing = packages_missing(|program| !program.starts_with("turn"));
        assert_eq!(missing.into_iter().collect::<Vec<_>>(), ["coturn"]);
    }
}
