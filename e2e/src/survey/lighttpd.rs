//! lighttpd with Debian's configuration in short, and the access log that `lighty-enable-mod accesslog` turns on.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use super::{Place, Surveyed, client};
use crate::Failure;
use crate::process::Running;

/// lighttpd.
#[derive(Debug)]
pub(super) struct Lighttpd;

impl Surveyed for Lighttpd {
    fn name(&self) -> &'static str {
        "lighttpd"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["lighttpd"]
    }

    fn set_up(&self, place: &Place) -> Result<(), Failure> {
        let (at, port) = (place.folder.display(), place.port);
        place.write(
            "lighttpd.conf",
            &format!(
                r#"server.modules = (
	"mod_access",
	"mod_alias",
)

server.document-root        = "{at}/html"
server.errorlog             = "{at}/error.log"
server.pid-file             = "{at}/pid"
server.port                 = {port}

index-file.names            = ( "index.php", "index.html" )
url.access-deny             = ( "~", ".inc" )

$SERVER["socket"] == "[::]:{port}" {{ }}
include "{at}/conf-enabled/*.conf"

server.modules += (
	"mod_staticfile",
)
"#
            ),
        )?;
        place.write(
            "conf-enabled/10-accesslog.conf",
            &format!(
                "server.modules += ( \"mod_accesslog\" )\n\naccesslog.filename = \"{at}/access.log\"\n"
            ),
        )?;
        place.write("html/index.html", "ok\n")?;
        Ok(())
    }

    fn config(&self, place: &Place) -> PathBuf {
        place.folder.join("lighttpd.conf")
    }

    fn log(&self, place: &Place) -> PathBuf {
        place.folder.join("access.log")
    }

    fn start(&self, place: &Place) -> Result<Running, Failure> {
        let mut command = Command::new("lighttpd");
        command.arg("-D").arg("-f").arg(self.config(place));
        place.listening(&mut command)
    }

    fn visit(&self, place: &Place, from: SocketAddr) -> Result<(), Failure> {
        client::http(from, place.port)
    }

    fn mistake(&self) -> Option<&'static str> {
        // Given twice in one scope.
        Some("server.port = 81")
    }
}
