//! Options of the server operator's half: `audit`, `fix`, `guide`.

use std::path::PathBuf;

use clap::Args;
use portledger_audit::Maturity;

/// Which servers.
#[derive(Debug, Args)]
pub(crate) struct Servers {
    /// Their main configuration files, or folders with such; without any, those that are where
    /// distributions put them
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Only this kind of server: nginx, apache, postfix…; 'portledger guide' lists them
    #[arg(long, value_name = "NAME")]
    pub(crate) server: Option<String>,
    /// Look below this folder as if it were '/': an image or a mounted disk, of which nothing is
    /// started
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    #[command(flatten)]
    pub(crate) servers: Servers,
    /// Fail where a server is below this: possible, feasible, default, manageable or accessible
    #[arg(long, value_name = "MATURITY")]
    pub(crate) require: Option<Maturity>,
    /// Print JSON: one object a server
    #[arg(long)]
    pub(crate) json: bool,
    /// Print SARIF, for continuous integration and editors
    #[arg(long, conflicts_with = "json")]
    pub(crate) sarif: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FixArgs {
    #[command(flatten)]
    pub(crate) servers: Servers,
    /// Write a second log with the port beside the one that is there, which nothing that reads the
    /// old one can notice
    #[arg(long)]
    pub(crate) parallel: bool,
    /// Make the change: after a backup, checked by the server itself, and undone if that fails
    #[arg(long, conflicts_with = "root")]
    pub(crate) apply: bool,
    /// Where the files go as they were before
    #[arg(long, value_name = "DIR", default_value = "/var/backups/portledger")]
    pub(crate) backups: PathBuf,
    /// Apply it also where the server has no check of its own, or its program is not here
    #[arg(long, requires = "apply")]
    pub(crate) unchecked: bool,
    /// Print JSON: one object a server
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct GuideArgs {
    /// The server; without one, those that are known are listed
    #[arg(value_name = "SERVER")]
    pub(crate) server: Option<String>,
}
