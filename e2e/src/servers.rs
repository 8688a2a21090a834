//! Real servers in the outside namespace, each logging the source port, each with a configuration of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::Failure;
use crate::process::{Running, finish};
use crate::topology::Topology;

/// Every address a server listens at; the outside namespace has them all.
pub(crate) const ADDRESSES: [&str; 6] = [
    Nginx::ADDRESS,
    Apache::ADDRESS,
    SshServer::ADDRESS,
    StunServer::ADDRESS,
    StunServer::SECOND_ADDRESS,
    Iperf3::ADDRESS,
];

/// How long a server may take to listen.
const LIMIT: Duration = Duration::from_secs(20);

/// nginx, answering every path, and with files of the test's.
#[derive(Debug)]
pub struct Nginx {
    _running: Running,
    /// Its access log.
    pub log: PathBuf,
    /// What it serves below `/files/`.
    pub files: PathBuf,
}

impl Nginx {
    /// Where it listens, port 80.
    pub const ADDRESS: &str = "198.51.100.10";
    /// Its log format, for `portledger trace --format nginx:…`: `combined` with the port at the end.
    pub const FORMAT: &str = concat!(
        r#"$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "#,
        r#""$http_referer" "$http_user_agent" $remote_port"#
    );

    /// Starts it.
    ///
    /// # Errors
    /// When it does not come to listen.
    pub fn start(topology: &Topology) -> Result<Self, Failure> {
        let folder = make_folder(topology, "nginx")?;
        let (at, format) = (folder.display(), Self::FORMAT);
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("    {name}_temp_path {at}/{name};\n"))
            .concat();
        let configuration = format!(
            "daemon off;
worker_processes 1;
user root;
pid {at}/pid;
error_log {at}/error.log;
events {{ worker_connections 4096; }}
http {{
    log_format combined_port '{format}';
    access_log {at}/access.log combined_port;
{temporary}    server {{
        listen {address}:80 backlog=1024;
        location /files/ {{ root {at}; }}
        location / {{ return 200 \"ok\\n\"; }}
    }}
}}
",
            address = Self::ADDRESS,
        );
        let path = write(&folder, "nginx.conf", &configuration)?;
        let mut command = topology.outside.command("nginx");
        let running = listening(topology, command.arg("-c").arg(path), &folder, ("tcp", 80))?;
        Ok(Self {
            _running: running,
            log: folder.join("access.log"),
            files: folder.join("files"),
        })
    }
}

/// Apache httpd, answering every path.
#[derive(Debug)]
pub struct Apache {
    _running: Running,
    /// Its access log.
    pub log: PathBuf,
}

impl Apache {
    /// Where it listens, port 8080.
    pub const ADDRESS: &str = "198.51.100.11";
    /// Address and port, as clients name it.
    pub const AUTHORITY: &str = "198.51.100.11:8080";
    /// Its log format, for `portledger trace --format apache:…`: `combined` with the port at the end.
    pub const FORMAT: &str = r#"%h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i" %{remote}p"#;

    /// Starts it.
    ///
    /// # Errors
    /// When it does not come to listen.
    pub fn start(topology: &Topology) -> Result<Self, Failure> {
        let folder = make_folder(topology, "apache")?;
        write(&folder, "page", "ok\n")?;
        let modules: String = ["mpm_event", "authz_core", "alias"]
            .map(|name| {
                format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n")
            })
            .concat();
        let configuration = format!(
            "{modules}ServerName www.example.org
Listen {authority}
User www-data
Group www-data
DefaultRuntimeDir {at}
PidFile {at}/pid
Mutex file:{at} default
ErrorLog {at}/error.log
AliasMatch ^/ {at}/page
<Directory {at}>
    Require all granted
</Directory>
LogFormat \"{format}\" combined_port
CustomLog {at}/access.log combined_port
",
            authority = Self::AUTHORITY,
            at = folder.display(),
            format = Self::FORMAT.replace('"', "\\\""),
        );
        let path = write(&folder, "apache2.conf", &configuration)?;
        let mut command = topology.outside.command("apache2");
        command.arg("-f").arg(path).arg("-DFOREGROUND");
        let running = listening(topology, &mut command, &folder, ("tcp", 8080))?;
        Ok(Self {
            _running: running,
            log: folder.join("access.log"),
        })
    }
}

/// OpenSSH's server, with an account for each inside host, logging by way of a real syslog daemon.
#[derive(Debug)]
pub struct SshServer {
    _running: Running,
    /// What the syslog daemon wrote.
    pub log: PathBuf,
    /// The private key every account accepts.
    pub user_key: PathBuf,
}

impl SshServer {
    /// Where it listens, port 22.
    pub const ADDRESS: &str = "198.51.100.22";

    /// In a mount namespace of its own: a `/dev` where rsyslog makes `/dev/log`, a `/run` with sshd's folder, and
    /// the host's accounts with ours added. `$0` is the folder.
    const SCRIPT: &str = r#"
mkdir "$0/dev"
mount -t tmpfs -o mode=755 none "$0/dev"
for node in null zero full random urandom tty; do cp -a "/dev/$node" "$0/dev/"; done
mount --bind "$0/dev" /dev
mount -t tmpfs -o mode=755 none /run
mkdir -m 755 /run/sshd
mount --bind "$0/passwd" /etc/passwd
mount --bind "$0/shadow" /etc/shadow
rsyslogd -n -i NONE -f "$0/rsyslog.conf" &
while [ ! -S /dev/log ]; do sleep 0.05; done
exec /usr/sbin/sshd -D -f "$0/sshd_config"
"#;

    /// Starts it.
    ///
    /// # Errors
    /// When its keys cannot be made or it does not come to listen.
    pub fn start(topology: &Topology) -> Result<Self, Failure> {
        let folder = make_folder(topology, "ssh")?;
        let at = folder.display();
        let user_key = make_key(&folder, "user_key")?;
        let host_key = make_key(&folder, "host_key")?;
        let configuration = format!(
            "ListenAddress {address}
HostKey {host_key}
AuthorizedKeysFile {at}/user_key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PrintMotd no
MaxStartups 100
LogLevel VERBOSE
",
            address = Self::ADDRESS,
            host_key = host_key.display(),
        );
        write(&folder, "sshd_config", &configuration)?;
        let syslog = format!(
            "module(load=\"imuxsock\")\n*.* action(type=\"omfile\" file=\"{at}/auth.log\" \
             template=\"RSYSLOG_FileFormat\")\n"
        );
        write(&folder, "rsyslog.conf", &syslog)?;
        write_accounts(topology, &folder)?;
        let mut command = topology.outside.command("sh");
        command.args(["-ec", Self::SCRIPT]).arg(&folder);
        let running = listening(topology, &mut command, &folder, ("tcp", 22))?;
        Ok(Self {
            _running: running,
            log: folder.join("auth.log"),
            user_key,
        })
    }
}

/// coturn as an RFC 5780 STUN server: two addresses, two ports.
#[derive(Debug)]
pub struct StunServer {
    _running: Running,
}

impl StunServer {
    /// Its first address, port 3478.
    pub const ADDRESS: &str = "198.51.100.34";
    const SECOND_ADDRESS: &str = "198.51.100.35";

    /// Starts it.
    ///
    /// # Errors
    /// When it does not come to listen.
    pub fn start(topology: &Topology) -> Result<Self, Failure> {
        let folder = make_folder(topology, "stun")?;
        let mut command = topology.outside.command("turnserver");
        command.args([
            "-n",
            "--stun-only",
            "--no-auth",
            "--no-cli",
            "--no-tls",
            "--no-dtls",
        ]);
        command.args(["--listening-port", "3478", "--alt-listening-port", "3479"]);
        command.args([
            "--listening-ip",
            Self::ADDRESS,
            "--listening-ip",
            Self::SECOND_ADDRESS,
        ]);
        command.args(["--log-file", "stdout", "--relay-threads", "1", "--pidfile"]);
        command
            .arg(folder.join("pid"))
            .arg("--userdb")
            .arg(folder.join("userdb"));
        let running = listening(topology, &mut command, &folder, ("udp", 3479))?;
        Ok(Self { _running: running })
    }
}

/// iperf3's server.
#[derive(Debug)]
pub struct Iperf3 {
    running: Running,
}

impl Iperf3 {
    /// Where it listens, port 5201.
    pub const ADDRESS: &str = "198.51.100.40";

    /// Starts it.
    ///
    /// # Errors
    /// When it does not come to listen.
    pub fn start(topology: &Topology) -> Result<Self, Failure> {
        let folder = make_folder(topology, "iperf3")?;
        let mut command = topology.outside.command("iperf3");
        command.args(["--server", "--forceflush", "--bind", Self::ADDRESS]);
        Ok(Self {
            running: listening(topology, &mut command, &folder, ("tcp", 5201))?,
        })
    }

    /// What it said of its clients.
    #[must_use]
    pub fn log(&self) -> String {
        self.running.output()
    }
}

fn listening(
    topology: &Topology,
    command: &mut Command,
    folder: &Path,
    (transport, port): (&str, u16),
) -> Result<Running, Failure> {
    let mut running = Running::start(command, &folder.join("output"))?;
    let what = format!("listening at {transport} port {port}");
    running.until(&what, LIMIT, |_| topology.outside.listens(transport, port))?;
    Ok(running)
}

fn make_folder(topology: &Topology, name: &str) -> Result<PathBuf, Failure> {
    let folder = topology.folder().join(name);
    // Apache's workers are not root.
    let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o755));
    fs::create_dir(&folder)
        .and_then(|()| open(&folder))
        .and_then(|()| open(topology.folder()))
        .map_err(|source| Failure::File {
            path: folder.clone(),
            source,
        })?;
    Ok(folder)
}

fn write(folder: &Path, name: &str, text: &str) -> Result<PathBuf, Failure> {
    let path = folder.join(name);
    match fs::write(&path, text) {
        Ok(()) => Ok(path),
        Err(source) => Err(Failure::File { path, source }),
    }
}

fn make_key(folder: &Path, name: &str) -> Result<PathBuf, Failure> {
    let path = folder.join(name);
    let mut command = Command::new("ssh-keygen");
    command
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"])
        .arg(&path);
    finish(&mut command, LIMIT)?.succeeded()?;
    Ok(path)
}

/// The host's accounts and one for each inside host, whose name tells who logged in.
fn write_accounts(topology: &Topology, folder: &Path) -> Result<(), Failure> {
    for (file, fields) in [
        ("passwd", "x:64999:64999::/tmp:/bin/sh"),
        ("shadow", "*:19000::::::"),
    ] {
        let path = Path::new("/etc").join(file);
        let io = |source| Failure::File {
            path: path.clone(),
            source,
        };
        let mut accounts = fs::read_to_string(&path).map_err(io)?;
        for host in &topology.hosts {
            accounts.push_str(&format!("{}:{fields}\n", host.name));
        }
        write(folder, file, &accounts)?;
    }
    Ok(())
}
