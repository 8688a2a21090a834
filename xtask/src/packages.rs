//! The Debian packages the tests need, and installing those that are missing.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::command;

/// A program the tests start, and the package it comes in.
const NEEDED: &[(&str, &str)] = &[
    ("analog", "analog"),
    ("apache2", "apache2"),
    ("/usr/lib/cgi-bin/awstats.pl", "awstats"),
    // libFuzzer is C++.
    ("c++", "g++"),
    ("caddy", "caddy"),
    ("conntrack", "conntrack"),
    ("curl", "curl"),
    ("dig", "bind9-dnsutils"),
    ("dnsmasq", "dnsmasq-base"),
    ("dovecot", "dovecot-imapd"),
    ("ethtool", "ethtool"),
    ("fail2ban-regex", "fail2ban"),
    ("goaccess", "goaccess"),
    ("haproxy", "haproxy"),
    ("ip", "iproute2"),
    ("iperf3", "iperf3"),
    ("java", "default-jre-headless"),
    ("lighttpd", "lighttpd"),
    ("mariadbd", "mariadb-server-core"),
    ("memcached", "memcached"),
    ("mosquitto", "mosquitto"),
    ("named", "bind9"),
    ("ncat", "ncat"),
    ("nfacctd", "pmacct"),
    ("nfcapd", "nfdump"),
    ("nft", "nftables"),
    ("nginx", "nginx-light"),
    ("ping", "iputils-ping"),
    ("postfix", "postfix"),
    (POSTGRESQL, "postgresql-15"),
    ("proftpd", "proftpd-core"),
    ("python3", "python3-venv"),
    ("radclient", "freeradius-utils"),
    ("redis-server", "redis-server"),
    ("rsyslogd", "rsyslog"),
    (RSYSLOG_TLS, "rsyslog-openssl"),
    ("setcap", "libcap2-bin"),
    ("slapd", "slapd"),
    ("softflowd", "softflowd"),
    ("squid", "squid"),
    ("ssh", "openssh-client"),
    ("sshd", "openssh-server"),
    ("sysctl", "procps"),
    ("systemd-analyze", "systemd"),
    ("tayga", "tayga"),
    ("tcpdump", "tcpdump"),
    (TOMCAT, "tomcat10-common"),
    ("tshark", "tshark"),
    ("turnserver", "coturn"),
    ("turnutils_natdiscovery", "coturn"),
    ("unshare", "util-linux"),
    ("varnishd", "varnish"),
];

/// What starts Tomcat, without the package that would run it as a service.
const TOMCAT: &str = "/usr/share/tomcat10/bin/bootstrap.jar";

/// Debian keeps PostgreSQL's versions apart, and out of the path.
const POSTGRESQL: &str = "/usr/lib/postgresql/15/bin/postgres";

/// rsyslog's driver for TLS, where Debian's amd64 and arm64 have it.
#[cfg(target_arch = "aarch64")]
const RSYSLOG_TLS: &str = "/usr/lib/aarch64-linux-gnu/rsyslog/lmnsd_ossl.so";
#[cfg(not(target_arch = "aarch64"))]
const RSYSLOG_TLS: &str = "/usr/lib/x86_64-linux-gnu/rsyslog/lmnsd_ossl.so";

/// A program whose package Debian does not install beside another that the tests need (each is the system's logger, or
/// its mail server, or its FTP server): it is unpacked into `TARGET/peers`, where the tests look too, and what it
/// needs is installed. A program elsewhere than in `usr/sbin` is named by its path from there.
struct Beside {
    program: &'static str,
    package: &'static str,
    needs: &'static [&'static str],
}

const UNPACKED: &[Beside] = &[
    Beside {
        program: "../lib/cyrus/bin/master",
        package: "cyrus-common",
        needs: &[
            "libclamav12",
            "libical3",
            "libicu72",
            "libjansson4",
            "libldap-2.5-0",
            "libpcre3",
            "libpq5",
            "libsasl2-modules",
            "libsqlite3-0",
            "libwrap0",
            "libxapian30",
            "libxml2",
            "libzephyr4",
        ],
    },
    Beside {
        program: "../lib/cyrus/bin/imapd",
        package: "cyrus-imapd",
        needs: &["libsasl2-modules-db", "sasl2-bin"],
    },
    Beside {
        program: "syslog-ng",
        package: "syslog-ng-core",
        needs: &["libivykis0", "libnet1", "libpcre3", "libwrap0"],
    },
    Beside {
        program: "exim4",
        package: "exim4-daemon-light",
        needs: &["libdb5.3", "libgnutls-dane0", "libidn12", "libnsl2"],
    },
    Beside {
        program: "update-exim4.conf",
        package: "exim4-config",
        needs: &[],
    },
    Beside {
        program: "../libexec/sendmail/sendmail",
        package: "sendmail-bin",
        needs: &[
            "libdb5.3",
            "libldap-2.5-0",
            "liblockfile1",
            "libnsl2",
            "libsasl2-2",
            "libwrap0",
        ],
    },
    Beside {
        program: "../share/sendmail/cf/m4/cf.m4",
        package: "sendmail-cf",
        needs: &["m4"],
    },
    Beside {
        program: "pure-ftpd",
        package: "pure-ftpd",
        needs: &["libsodium23", "libcap2"],
    },
    Beside {
        program: "vsftpd",
        package: "vsftpd",
        needs: &["libwrap0"],
    },
];

/// Asked by Debian's maintainer scripts before they start a service; 101 means "do not".
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs, with `apt-get`, the packages of programs that are not there. No service is started.
pub(crate) fn install_missing() -> Result<(), String> {
    let peers = command::target_directory()?.join("peers");
    let is_there = |beside: &&Beside| {
        command::is_installed(beside.program)
            || peers.join("usr/sbin").join(beside.program).is_file()
    };
    let unpacked: Vec<&Beside> = UNPACKED.iter().filter(|beside| !is_there(beside)).collect();
    let mut missing = packages_missing(command::is_installed);
    missing.extend(unpacked.iter().flat_map(|beside| beside.needs));
    if missing.is_empty() {
        println!("all {} programs are there", NEEDED.len() + UNPACKED.len());
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
    for beside in unpacked {
        unpack(beside.package, &peers)?;
    }
    let still = packages_missing(command::is_installed);
    if still.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "installed, but their programs are not found: {still:?}"
        ))
    }
}

/// Unpacks a package into a folder, without what it would do to the system at its installation.
fn unpack(package: &str, into: &Path) -> Result<(), String> {
    let fresh = into.join("packages").join(package);
    let io = |error| format!("{}: {error}", fresh.display());
    fs::create_dir_all(&fresh).map_err(io)?;
    command::run(
        apt_get()
            .args(["-qq", "download", package])
            .current_dir(&fresh),
    )?;
    let files = fs::read_dir(&fresh).map_err(io)?;
    let files = files.collect::<Result<Vec<_>, _>>().map_err(io)?;
    for file in files {
        let mut dpkg = Command::new("dpkg-deb");
        command::run(dpkg.arg("-x").arg(file.path()).arg(into))?;
    }
    fs::remove_dir_all(&fresh).map_err(io)
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
