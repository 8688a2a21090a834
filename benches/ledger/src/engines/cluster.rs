//! A PostgreSQL cluster of its own: made, started and stopped by this program, reached by a socket
//! in its own folder.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use postgres::{Client, Config, NoTls};

use crate::{disk, error::Error};

/// What is set, beside PostgreSQL's defaults.
const SETTINGS: &str = "
listen_addresses = ''
shared_buffers = 4GB
effective_cache_size = 12GB
maintenance_work_mem = 1GB
work_mem = 256MB
max_wal_size = 8GB
checkpoint_timeout = 30min
# No replica is fed: a load into a table of the same transaction is then not logged.
wal_level = minimal
max_wal_senders = 0
# The disk is no spinning one.
random_page_cost = 1.1
# Statements are few and known; compiling them costs more than they do.
jit = off
";

/// The account that runs it when this program runs as root, whom PostgreSQL refuses.
const ACCOUNT: &str = "postgres";

/// Longest path of a socket that Linux takes (`sun_path`, unix(7)), its name taken off.
const LONGEST_FOLDER: usize = 107 - "/.s.PGSQL.5432".len();

/// A cluster in a folder. Stops when it is dropped.
pub struct Cluster {
    folder: PathBuf,
    programs: PathBuf,
    running: bool,
}

impl Cluster {
    /// Makes a new cluster in `folder`, where nothing may be, with the programs (`initdb`,
    /// `pg_ctl`) of the folder `programs`.
    ///
    /// # Errors
    /// When the path is too long for a socket, or `initdb` fails.
    pub fn create(folder: &Path, programs: &Path) -> Result<Self, Error> {
        if folder.as_os_str().len() > LONGEST_FOLDER {
            return Err(Error::Other(format!(
                "{} is too long a path for PostgreSQL's socket: give a --folder of fewer letters",
                folder.display()
            )));
        }
        let mut made = Command::new("install");
        made.args(["-d", "-m", "700"]);
        if is_root() {
            made.args(["-o", ACCOUNT, "-g", ACCOUNT]);
        }
        run(made.arg(folder))?;
        let cluster = Self {
            folder: folder.to_owned(),
            programs: programs.to_owned(),
            running: false,
        };
        let mut init = cluster.program("initdb");
        init.args(["--auth=trust", "--username=postgres", "--locale=C"]);
        run(init.args(["--encoding=UTF8", "-D"]).arg(folder))?;
        let settings = folder.join("postgresql.auto.conf");
        let text = format!(
            "{SETTINGS}unix_socket_directories = '{}'\n",
            folder.display()
        );
        fs::write(&settings, text).map_err(Error::file("write", &settings))?;
        Ok(cluster)
    }

    /// Starts it and connects.
    ///
    /// # Errors
    /// When it does not start or does not let us in.
    pub fn start(&mut self) -> Result<Client, Error> {
        let mut start = self.program("pg_ctl");
        start.args(["-w", "-t", "300", "-l"]);
        start.arg(self.folder.join("server.log"));
        start.arg("-D").arg(&self.folder).arg("start");
        run(&mut start)?;
        self.running = true;
        let mut config = Config::new();
        config.host_path(&self.folder).user(ACCOUNT);
        let client = config.dbname(ACCOUNT).connect(NoTls);
        client.map_err(Error::postgres("connecting"))
    }

    /// Stops it, if it runs.
    ///
    /// # Errors
    /// When `pg_ctl` fails.
    pub fn stop(&mut self) -> Result<(), Error> {
        if !self.running {
            return Ok(());
        }
        let mut stop = self.program("pg_ctl");
        stop.args(["-w", "-t", "300", "-m", "fast", "-D"]);
        run(stop.arg(&self.folder).arg("stop"))?;
        self.running = false;
        Ok(())
    }

    /// Bytes of the folder that are no tables and no indexes: the log of writes is as long as it
    /// was let, and the rest is what an empty cluster has.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn bytes_apart(&self) -> Result<u64, Error> {
        Ok(disk::bytes(&self.folder)? - disk::bytes(&self.folder.join("base"))?)
    }

    /// Memory of its processes, what they share counted once, as the kernel tells it (proc(5)).
    pub fn memory(&self) -> Option<u64> {
        let pid_file = fs::read_to_string(self.folder.join("postmaster.pid")).ok()?;
        let postmaster: u32 = pid_file.lines().next()?.trim().parse().ok()?;
        let processes = fs::read_dir("/proc").ok()?.flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let ours = pids.filter(|&pid| {
            let parent = || field(&format!("/proc/{pid}/status"), "PPid:");
            pid == postmaster || parent() == Some(postmaster.into())
        });
        let kibibytes = ours.filter_map(|pid| field(&format!("/proc/{pid}/smaps_rollup"), "Pss:"));
        Some(kibibytes.sum::<u64>() * 1_024)
    }

    fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", ACCOUNT, "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        // Where the account may not be, PostgreSQL's programs complain.
        command.current_dir("/");
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(failed) = self.stop() {
            eprintln!("{failed}");
        }
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The number behind `name` in a file of lines such as `Pss:   123 kB`.
fn field(file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn run(command: &mut Command) -> Result<(), Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    // `pg_ctl start` leaves a server that keeps what it inherits: pipes would never end.
    let log = std::env::temp_dir().join(format!("portledger-bench-{}", std::process::id()));
    let out = fs::File::create(&log).map_err(Error::file("create", &log))?;
    let err = out.try_clone().map_err(Error::file("open", &log))?;
    let status = command.stdout(out).stderr(err).status();
    let said = fs::read_to_string(&log).unwrap_or_default();
    let _ = fs::remove_file(&log);
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Error::Program {
            program: format!("{program} ({status})"),
            said,
        }),
        Err(failed) => Err(Error::Program {
            program,
            said: failed.to_string(),
        }),
    }
}
