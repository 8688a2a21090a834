//! Apache httpd with Debian's configuration in short: its log formats, one virtual host.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use super::{Place, Surveyed, client};
use crate::Failure;
use crate::process::Running;

/// Apache httpd.
#[derive(Debug)]
pub(super) struct Apache;

impl Surveyed for Apache {
    fn name(&self) -> &'static str {
        "apache"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["apache2"]
    }

    fn set_up(&self, place: &Place) -> Result<(), Failure> {
        let (at, port) = (place.folder.display(), place.port);
        let modules: String = ["mpm_event", "authz_core", "alias"]
            .map(|name| {
                format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n")
            })
            .concat();
        let main = format!(
            r#"DefaultRuntimeDir {at}
PidFile {at}/pid
Mutex file:{at} default
Timeout 300
KeepAlive On
User www-data
Group www-data
HostnameLookups Off
ErrorLog {at}/error.log
LogLevel warn
{modules}ServerName www.example.org
Listen {port}
<Directory {at}>
	Require all granted
</Directory>
AliasMatch ^/ {at}/page
LogFormat "%v:%p %h %l %u %t \"%r\" %>s %O \"%{{Referer}}i\" \"%{{User-Agent}}i\"" vhost_combined
LogFormat "%h %l %u %t \"%r\" %>s %O \"%{{Referer}}i\" \"%{{User-Agent}}i\"" combined
LogFormat "%h %l %u %t \"%r\" %>s %O" common
LogFormat "%{{Referer}}i -> %U" referer
LogFormat "%{{User-agent}}i" agent
IncludeOptional {at}/sites-enabled/*.conf
"#
        );
        place.write("apache2.conf", &main)?;
        place.write("page", "ok\n")?;
        place.write(
            "sites-enabled/000-default.conf",
            &format!(
                "<VirtualHost *:{port}>\n\tServerAdmin webmaster@localhost\n\tDocumentRoot {at}\n\tErrorLog {at}/error.log\n\tCustomLog {at}/access.log combined\n</VirtualHost>\n"
            ),
        )?;
        Ok(())
    }

    fn config(&self, place: &Place) -> PathBuf {
        place.folder.join("apache2.conf")
    }

    fn log(&self, place: &Place) -> PathBuf {
        place.folder.join("access.log")
    }

    fn start(&self, place: &Place) -> Result<Running, Failure> {
        let mut command = Command::new("apache2");
        command
            .arg("-f")
            .arg(self.config(place))
            .arg("-DFOREGROUND");
        place.listening(&mut command)
    }

    fn visit(&self, place: &Place, from: SocketAddr) -> Result<(), Failure> {
        client::http(from, place.port)
    }

    fn mistake(&self) -> Option<&'static str> {
        Some("NoSuchDirective on")
    }
}
