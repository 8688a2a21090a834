//! nginx with Debian's configuration.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use super::{Place, Surveyed, below, client};
use crate::Failure;
use crate::process::Running;

/// nginx.
#[derive(Debug)]
pub(super) struct Nginx;

impl Surveyed for Nginx {
    fn name(&self) -> &'static str {
        "nginx"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["nginx"]
    }

    fn set_up(&self, place: &Place) -> Result<(), Failure> {
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("\t{name}_temp_path {};\n", below(place, name)))
            .concat();
        let log = below(place, "log");
        let main = format!(
            "user nobody nogroup;\nworker_processes 1;\npid {pid};\nerror_log {log}/error.log;\nevents {{ worker_connections 768; }}\n\nhttp {{\n\tsendfile on;\n\ttcp_nopush on;\n\taccess_log {log}/access.log;\n{temporary}\tinclude {sites}/*;\n}}\n",
            pid = below(place, "pid"),
            sites = below(place, "sites-enabled"),
        );
        place.write("nginx.conf", &main)?;
        place.write("log/none", "")?;
        let port = place.port;
        place.write(
            "sites-enabled/default",
            &format!("server {{\n\tlisten {port} default_server;\n\tlisten [::]:{port} default_server;\n\troot /usr/share/nginx/html;\n\tserver_name _;\n}}\n"),
        )?;
        Ok(())
    }

    fn config(&self, place: &Place) -> PathBuf {
        place.folder.join("nginx.conf")
    }

    fn log(&self, place: &Place) -> PathBuf {
        place.folder.join("log/access.log")
    }

    fn start(&self, place: &Place) -> Result<Running, Failure> {
        let mut command = Command::new("nginx");
        command
            .arg("-c")
            .arg(self.config(place))
            .args(["-g", "daemon off;"]);
        place.listening(&mut command)
    }

    fn visit(&self, place: &Place, from: SocketAddr) -> Result<(), Failure> {
        client::http(from, place.port)
    }

    fn mistake(&self) -> Option<&'static str> {
        Some("no_such_directive on;")
    }
}
