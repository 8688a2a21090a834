//! Exporters that are not ours: nfdump's replay, softflowd, and pmacct's probe.

use std::fs;
use std::path::Path;
use std::process::Command;

use portledger_e2e::process::finish;
use portledger_e2e::{Failure, prerequisite};

use crate::blocks::{EXTERNAL, HOLDINGS, Told};
use crate::flows::netflow9;
use crate::peers::{LIMIT, Nfcapd};
use crate::serving::Serving;

/// 1.7.1 plays the flow and leaves out what it kept of the translation: its records name addresses, and it must not
/// be taken for a NAT's word on who had which. A version that plays all of it has to be right.
#[test]
fn what_nfdump_plays_again_is_understood_and_names_nobody_wrongly() -> Result<(), Failure> {
    if !prerequisite::met_with_portledger(&["nfcapd", "nfreplay"])? {
        return Ok(());
    }
    let told = Told::new();
    let mut nfcapd = Nfcapd::start(&told)?;
    told.send(netflow9(nfcapd.port))?;
    nfcapd.stop()?;
    let mut serving = Serving::start()?;
    let mut files = fs::read_dir(&nfcapd.folder).unwrap();
    let file = files.next().unwrap().unwrap().path();
    let mut command = Command::new("nfreplay");
    command.args(["-H", "127.0.0.1", "-p", &serving.ports[0].to_string()]);
    command.args(["-v", "9", "-r"]).arg(file);
    finish(&mut command, LIMIT)?.succeeded()?;
    serving.until("messages", 1)?;
    let (asked, device) = serving.stop()?;
    assert_eq!(
        (&device["rejected"], &device["missing"]),
        (&0.into(), &0.into())
    );
    let plays_blocks = device["events"] != 0;
    for holding in HOLDINGS {
        let at = told.time(holding.from + 30);
        let (verdict, named) = asked.who(EXTERNAL, holding.first, at)?;
        match plays_blocks {
            true => assert_eq!(named, [holding.host]),
            false => assert_eq!((verdict.as_str(), named), ("unknown", Vec::new())),
        }
    }
    Ok(())
}

#[test]
fn flows_without_translations_are_understood_and_tell_of_nobody() -> Result<(), Failure> {
    if !prerequisite::met_with_portledger(&["softflowd", "pmacctd"])? {
        return Ok(());
    }
    let folder = tempfile::TempDir::with_prefix("portledger-e2e-").unwrap();
    let capture = folder.path().join("packets.pcap");
    write_packets(&capture);
    for version in ["9", "10"] {
        for exporter in [softflowd, pmacctd] {
            let mut serving = Serving::start()?;
            let mut command = exporter(folder.path(), &capture, serving.ports[0], version);
            finish(&mut command, LIMIT)?.succeeded()?;
            serving.until("messages", 1)?;
            let (asked, device) = serving.stop()?;
            for figure in ["events", "rejected", "missing", "gaps", "unkept"] {
                assert_eq!(device[figure], 0, "{device}\n{}", asked.rejects());
            }
        }
    }
    Ok(())
}

fn softflowd(folder: &Path, capture: &Path, to: u16, version: &str) -> Command {
    let mut command = Command::new("softflowd");
    command.args(["-d", "-n", &format!("127.0.0.1:{to}"), "-v", version]);
    command.arg("-r").arg(capture);
    command.arg("-p").arg(folder.join("softflowd.pid"));
    command.args(["-c", "none"]);
    command
}

fn pmacctd(folder: &Path, capture: &Path, to: u16, version: &str) -> Command {
    let file = folder.join("pmacctd.conf");
    let configuration = format!(
        "daemonize: false\n\
         pcap_savefile: {}\n\
         plugins: nfprobe\n\
         aggregate: src_host, dst_host, src_port, dst_port, proto\n\
         nfprobe_receiver: 127.0.0.1:{to}\n\
         nfprobe_version: {version}\n",
        capture.display()
    );
    fs::write(&file, configuration).unwrap();
    let mut command = Command::new("pmacctd");
    command.arg("-f").arg(file);
    command
}

/// Three conversations over UDP, as a classic capture of raw IP packets (LINKTYPE_RAW, 101).
fn write_packets(path: &Path) {
    let header: [u32; 6] = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 101];
    let mut file: Vec<u8> = header.into_iter().flat_map(u32::to_le_bytes).collect();
    for number in 0..30_u8 {
        let (secs, tenths) = (u32::from(number / 10), u32::from(number % 10));
        // RFC 791 §3.1 and RFC 768: 20, 8 and 4 bytes.
        let header: [u32; 4] = [1_790_000_000 + secs, tenths * 100_000, 32, 32];
        file.extend(header.into_iter().flat_map(u32::to_le_bytes));
        file.extend([0x45, 0, 0, 32, 0, number, 0, 0, 64, 17, 0, 0]);
        file.extend([100, 64, 0, number % 3]);
        file.extend([198, 51, 100, 10]);
        file.extend([0x9c, 0x40, 0, 53, 0, 12, 0, 0]);
        file.extend(*b"ping");
    }
    fs::write(path, file).unwrap();
}
