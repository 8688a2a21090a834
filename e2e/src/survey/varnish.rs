//! Varnish with no backend, and varnishncsa as its unit, and what overrides that, say.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::{Place, Surveyed, client};
use crate::Failure;
use crate::process::Running;

/// Varnish.
#[derive(Debug)]
pub(super) struct Varnish;

/// Starts both, as systemd would start the logger: the last command there is, with each `%%` one. The logger is a
/// moment behind. `$0` is the folder.
const SCRIPT: &str = r#"
setpriv --pdeathsig KILL varnishd -F -j none -n "$0/n" -a "127.0.0.1:$1" -a "[::1]:$1" -b none -s malloc,16m &
while [ ! -e "$0/n/_.vsm_child/_.index" ]; do sleep 0.05; done
command=$(cat "$0/varnishncsa.service" "$0"/varnishncsa.service.d/*.conf 2>/dev/null |
    sed -n 's/^ExecStart=\(.\)/\1/p' | tail -n 1 | sed 's/%%/%/g')
eval "setpriv --pdeathsig KILL $command &"
logger=$!
trap 'sleep 1; kill $logger' TERM
wait $logger || wait $logger || true
"#;

impl Surveyed for Varnish {
    fn name(&self) -> &'static str {
        "varnish"
    }

    fn programs(&self) -> &'static [&'static str] {
        &["varnishd", "varnishncsa", "systemd-analyze", "setpriv"]
    }

    fn set_up(&self, place: &Place) -> Result<(), Failure> {
        let at = place.folder.display();
        place.write(
            "varnishncsa.service",
            &format!(
                "[Unit]\nDescription=Varnish HTTP accelerator log daemon\n\n[Service]\nExecStart=/usr/bin/varnishncsa -a -n {at}/n -w {at}/varnishncsa.log -P {at}/pid\n"
            ),
        )?;
        Ok(())
    }

    fn config(&self, place: &Place) -> PathBuf {
        place.folder.join("varnishncsa.service")
    }

    fn log(&self, place: &Place) -> PathBuf {
        place.folder.join("varnishncsa.log")
    }

    fn start(&self, place: &Place) -> Result<Running, Failure> {
        let folder = |name: &str| place.folder.join(name);
        // The other run's would be taken for this one's.
        let _ = fs::remove_dir_all(folder("n"));
        let _ = fs::remove_file(folder("pid"));
        let mut command = Command::new("bash");
        command
            .args(["-ec", SCRIPT])
            .arg(&place.folder)
            .arg(place.port.to_string());
        let mut running = place.listening(&mut command)?;
        // It writes its number once it reads what varnishd logs.
        running.until("varnishncsa reads", Duration::from_secs(20), |_| {
            Ok(folder("pid").exists())
        })?;
        std::thread::sleep(Duration::from_millis(500));
        Ok(running)
    }

    fn visit(&self, place: &Place, from: SocketAddr) -> Result<(), Failure> {
        client::http(from, place.port)
    }

    fn mistake(&self) -> Option<&'static str> {
        Some("ExecStartPre=/no/such/program")
    }
}
