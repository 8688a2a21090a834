//! Tomcat with its own server.xml in short.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use super::{Place, Surveyed, below, client};
use crate::Failure;
use crate::process::Running;

/// Tomcat 10.
#[derive(Debug)]
pub(super) struct Tomcat;

/// Debian's `CATALINA_HOME`, with what starts it.
const BOOTSTRAP: &str = "/usr/share/tomcat10/bin/bootstrap.jar";
const HOME: &str = "/usr/share/tomcat10";

impl Surveyed for Tomcat {
    fn name(&self) -> &'static str {
        "tomcat"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["java", BOOTSTRAP]
    }

    fn set_up(&self, place: &Place) -> Result<(), Failure> {
        let port = place.port;
        // One file for all days, so that its name is known.
        place.write(
            "conf/server.xml",
            &format!(
                r#"<?xml version="1.0" encoding="UTF-8"?>
<Server port="-1" shutdown="SHUTDOWN">
  <Service name="Catalina">
    <Connector port="{port}" protocol="HTTP/1.1"
               connectionTimeout="20000"
               redirectPort="8443" />
    <Engine name="Catalina" defaultHost="localhost">
      <Host name="localhost"  appBase="webapps"
            unpackWARs="true" autoDeploy="true">

        <Valve className="org.apache.catalina.valves.AccessLogValve" directory="logs"
               prefix="localhost_access_log" suffix=".txt" rotatable="false"
               pattern="%h %l %u %t &quot;%r&quot; %s %b" />

      </Host>
    </Engine>
  </Service>
</Server>
"#
            ),
        )?;
        for name in ["logs/none", "temp/none", "webapps/ROOT/index.html"] {
            place.write(name, "")?;
        }
        Ok(())
    }

    fn config(&self, place: &Place) -> PathBuf {
        place.folder.join("conf/server.xml")
    }

    fn log(&self, place: &Place) -> PathBuf {
        place.folder.join("logs/localhost_access_log.txt")
    }

    fn start(&self, place: &Place) -> Result<Running, Failure> {
        let base = place.folder.display();
        let mut command = Command::new("java");
        command
            .arg(format!("-Dcatalina.base={base}"))
            .arg(format!("-Dcatalina.home={HOME}"))
            .arg(format!("-Djava.io.tmpdir={}", below(place, "temp")))
            .arg("-cp")
            .arg(format!("{BOOTSTRAP}:{HOME}/bin/tomcat-juli.jar"))
            .args(["org.apache.catalina.startup.Bootstrap", "start"]);
        place.listening(&mut command)
    }

    fn visit(&self, place: &Place, from: SocketAddr) -> Result<(), Failure> {
        client::http(from, place.port)
    }

    /// Its check starts it as its own user: `fix` reads the XML again instead.
    fn mistake(&self) -> Option<&'static str> {
        None
    }
}
