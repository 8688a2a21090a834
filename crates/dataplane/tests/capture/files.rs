//! Captures of real applications, where the machine has them; and a second opinion on each.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use pcap_parser::{Block, PcapBlockOwned, PcapError, create_reader, traits::PcapNGPacketBlock};
use portledger_dataplane::capture::{Reader, open, walk};

/// The folder of captures: named by `PORTLEDGER_CAPTURES`, or beside the checkout.
fn captures() -> Option<Vec<PathBuf>> {
    let folder = env::var_os("PORTLEDGER_CAPTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/captures"),
        PathBuf::from,
    );
    let Ok(entries) = fs::read_dir(&folder) else {
        // Past the test harness, which would keep it to itself.
        let note = format!(
            "SKIPPED: no captures in {}; set PORTLEDGER_CAPTURES to a folder of pcap files\n",
            folder.display()
        );
        let _ = std::io::Write::write_all(&mut std::io::stderr(), note.as_bytes());
        return None;
    };
    let mut files: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|e| e == "pcap" || e == "pcapng")
        })
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} has no captures", folder.display());
    Some(files)
}

#[test]
fn every_capture_is_read_to_its_end() {
    let (mut frames, mut ipv4) = (0, 0);
    for path in captures().into_iter().flatten() {
        let file = fs::read(&path).unwrap();
        let walk = walk(&path.display().to_string(), file.as_slice());
        assert!(walk.broken.is_none(), "{:?}", walk.broken);
        assert!(walk.frames > 0, "{}", path.display());
        let reasons: Vec<_> = walk
            .not_ip
            .iter()
            .map(|(why, n)| format!("{n} {why}"))
            .collect();
        println!(
            "{}: {} packets, {} whole IPv4, {} cut; {}",
            path.file_name().unwrap_or_default().display(),
            walk.frames,
            walk.whole,
            walk.cut,
            reasons.join(", ")
        );
        frames += walk.frames;
        ipv4 += walk.whole + walk.cut;
    }
    println!("all: {frames} packets, {ipv4} IPv4");
}

/// Another library finds the same packets with the same bytes.
#[test]
fn another_library_reads_the_same() {
    for path in captures().into_iter().flatten() {
        let theirs = second_opinion(&path);
        let mut reader = open(&path).unwrap();
        let mut count = 0;
        while let Some(frame) = reader.next_frame().unwrap() {
            let (data, original_len) = &theirs[count];
            assert_eq!(
                (frame.data, frame.original_len),
                (data.as_slice(), *original_len)
            );
            count += 1;
        }
        assert_eq!(count, theirs.len(), "{}", path.display());
    }
}

/// Cut at every byte, a capture gives a prefix of its packets and at most one error.
#[test]
fn cut_anywhere_the_packets_before_stay() {
    // The shortest are enough: the work grows with the square.
    for path in captures().into_iter().flatten() {
        let file = fs::read(&path).unwrap();
        if file.len() > 3_000 {
            continue;
        }
        let mut before = 0;
        for cut in 0..=file.len() {
            let walk = walk("cut.pcap", &file[..cut]);
            assert!(walk.frames == before || walk.frames == before + 1);
            before = walk.frames;
        }
    }
}

/// Times as tshark prints them (`tshark -T fields -e frame.time_epoch -c 1`).
#[test]
fn times_are_those_other_tools_print() {
    for path in captures().into_iter().flatten() {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let Some((_, micros)) = FIRST_TIMES.iter().find(|(file, _)| *file == name) else {
            continue;
        };
        let mut reader: Reader<_> = open(&path).unwrap();
        let first = reader.next_frame().unwrap().unwrap();
        assert_eq!(first.at.as_micros(), *micros, "{name}");
    }
}

const FIRST_TIMES: &[(&str, i64)] = &[
    ("h323-overflow.pcap", 946_681_200_000_000),
    ("lol_wild_rift_udp.pcap", 1_710_911_302_293_916),
    ("rtp.pcapng", 1_332_741_131_936_370),
    ("rtsp.pcap", 1_627_567_277_506_127),
    ("ssh.pcap", 1_320_435_464_760_244),
    // In nanoseconds there: 1705442515.175582228.
    ("steam.pcapng", 1_705_442_515_175_582),
    ("whatsapp.pcap", 1_655_030_801_747_000),
];

fn second_opinion(path: &Path) -> Vec<(Vec<u8>, u32)> {
    let mut reader = create_reader(1 << 20, fs::File::open(path).unwrap()).unwrap();
    let mut packets = Vec::new();
    loop {
        match reader.next() {
            Ok((offset, block)) => {
                match block {
                    PcapBlockOwned::Legacy(p) => packets.push((p.data.to_vec(), p.origlen)),
                    PcapBlockOwned::NG(Block::EnhancedPacket(p)) => {
                        packets.push((p.packet_data().to_vec(), p.origlen));
                    }
                    PcapBlockOwned::NG(Block::SimplePacket(p)) => {
                        packets.push((p.packet_data().to_vec(), p.origlen));
                    }
                    _ => {}
                }
                reader.consume(offset);
            }
            Err(PcapError::Eof) => return packets,
            Err(PcapError::Incomplete(_)) => reader.refill().unwrap(),
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }
}
