//! Classic pcap: golden bytes by hand, broken files, and both ways with the writer.

use portledger_dataplane::capture::{
    CaptureError, LinkType, Problem, Resolution, WriteError, Writer,
};
use portledger_model::Timestamp;
use proptest::prelude::*;

use super::{Kept, read, read_whole};

/// 2026-11-01T12:00:00Z, 123456 µs (or 123456789 ns), 3 of 5 bytes captured.
const LITTLE: &[u8] = &[
    0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 101, 0, 0, 0,
    0xc0, 0x29, 0xe7, 0x6a, 0x40, 0xe2, 0x01, 0x00, 3, 0, 0, 0, 5, 0, 0, 0, 0xaa, 0xbb, 0xcc,
];
const BIG: &[u8] = &[
    0xa1, 0xb2, 0xc3, 0xd4, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 101,
    0x6a, 0xe7, 0x29, 0xc0, 0x00, 0x01, 0xe2, 0x40, 0, 0, 0, 3, 0, 0, 0, 5, 0xaa, 0xbb, 0xcc,
];
const SECONDS: i64 = 0x6ae7_29c0;

fn golden() -> Vec<Kept> {
    vec![Kept {
        micros: SECONDS * 1_000_000 + 123_456,
        timed: true,
        link: LinkType::RAW,
        data: vec![0xaa, 0xbb, 0xcc],
        original_len: 5,
    }]
}

/// `bytes` with `new` at `at`.
fn changed(bytes: &[u8], at: usize, new: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at..at + new.len()].copy_from_slice(new);
    bytes
}

#[test]
fn both_byte_orders() {
    assert_eq!(read_whole(LITTLE), golden());
    assert_eq!(read_whole(BIG), golden());
}

#[test]
fn nanoseconds_are_cut_to_microseconds() {
    let nanos = 123_456_789_u32;
    let little = changed(LITTLE, 0, &[0x4d, 0x3c, 0xb2, 0xa1]);
    let little = changed(&little, 28, &nanos.to_le_bytes());
    assert_eq!(read_whole(&little), golden());
    let big = changed(BIG, 0, &[0xa1, 0xb2, 0x3c, 0x4d]);
    let big = changed(&big, 28, &nanos.to_be_bytes());
    assert_eq!(read_whole(&big), golden());
}

#[test]
fn the_modified_format_has_longer_records() {
    for (bytes, magic) in [
        (LITTLE, [0x34, 0xcd, 0xb2, 0xa1]),
        (BIG, [0xa1, 0xb2, 0xcd, 0x34]),
    ] {
        let mut bytes = changed(bytes, 0, &magic);
        bytes.splice(40..40, [1, 0, 0, 0, 8, 0, 4, 0]);
        assert_eq!(read_whole(&bytes), golden());
    }
}

#[test]
fn a_frame_check_sequence_in_the_link_type_is_no_other_link() {
    let bytes = changed(LITTLE, 20, &[101, 0, 0, 0x24]);
    assert_eq!(read_whole(&bytes), golden());
}

#[test]
fn lengths_the_old_way_round() {
    // A writer of 2.3 that had them as they are now.
    assert_eq!(read_whole(&changed(LITTLE, 6, &[3])), golden());
    for minor in [2, 3] {
        let bytes = changed(LITTLE, 6, &[minor]);
        let bytes = changed(&bytes, 32, &[5, 0, 0, 0, 3]);
        assert_eq!(read_whole(&bytes), golden(), "version 2.{minor}");
    }
}

#[test]
fn a_capture_of_nothing_is_whole() {
    assert_eq!(read_whole(&LITTLE[..24]), []);
}

fn error(bytes: &[u8]) -> CaptureError {
    read(bytes).1.expect("an error")
}

#[test]
fn what_is_no_capture_is_told_apart() {
    assert!(matches!(error(b"").problem, Problem::Empty));
    insta::assert_snapshot!(error(&[0x1f, 0x8b, 8, 0]), @"test.pcap: not a pcap or pcapng capture, it is compressed: unpack it with gunzip first");
    insta::assert_snapshot!(error(b"snoop\0\0\0"), @"test.pcap: not a pcap or pcapng capture, it is a snoop capture: convert it with editcap -F pcap first");
    insta::assert_snapshot!(error(b"hello"), @"test.pcap: not a pcap or pcapng capture, it begins with the bytes 68 65 6c 6c: check that this is the right file");
    insta::assert_snapshot!(error(b"hi"), @"test.pcap: the file ends inside the file header that begins here (bytes missing: 2); copy or capture it again if the rest matters");
    insta::assert_snapshot!(error(&LITTLE[..20]), @"test.pcap: the file ends inside the file header that begins here (bytes missing: 4); copy or capture it again if the rest matters");
    insta::assert_snapshot!(error(&changed(LITTLE, 4, &[3])), @"test.pcap: pcap version 3.4 is not known; convert it with editcap -F pcap");
}

#[test]
fn a_packet_before_the_break_is_not_lost() {
    let second = [LITTLE, &LITTLE[24..]].concat();
    let (frames, error) = read(&second[..second.len() - 1]);
    assert_eq!(frames, golden());
    insta::assert_snapshot!(error.unwrap(), @"test.pcap: packet 1 is good, then at byte 43: the file ends inside the packet record that begins here (bytes missing: 1); copy or capture it again if the rest matters");

    let (frames, error) = read(&[LITTLE, &[0; 15]].concat());
    assert_eq!(frames, golden());
    insta::assert_snapshot!(error.unwrap(), @"test.pcap: packet 1 is good, then at byte 43: the file ends inside the packet record that begins here (bytes missing: 1); copy or capture it again if the rest matters");
}

#[test]
fn an_absurd_length_is_refused_unread() {
    let bytes = changed(&[LITTLE, &LITTLE[24..]].concat(), 43 + 8, &[0xff; 4]);
    let (frames, error) = read(&bytes);
    assert_eq!(frames, golden());
    insta::assert_snapshot!(error.unwrap(), @"test.pcap: packet 1 is good, then at byte 43: a packet claims 4294967295 bytes, more than the 262144 any capture takes; the file is damaged here, copy or capture it again if the rest matters");
}

#[test]
fn what_the_format_cannot_hold_is_refused() {
    let mut writer = Writer::new(Vec::new()).unwrap();
    let early = writer.write(Timestamp::from_micros(-1), &[]);
    assert!(matches!(early, Err(WriteError::Time(_))));
    let late = writer.write(Timestamp::from_secs(1 << 32), &[]);
    assert!(matches!(late, Err(WriteError::Time(_))));
    let long = writer.write(Timestamp::EPOCH, &vec![0; 262_145]);
    assert!(matches!(long, Err(WriteError::TooLong(262_145))));
    // None of them left a trace.
    assert_eq!(read_whole(&writer.finish().unwrap()), []);
}

#[test]
fn a_full_disk_is_said() {
    let mut room = [0; 30];
    let mut writer = Writer::new(room.as_mut_slice()).unwrap();
    let full = writer.write(Timestamp::EPOCH, &[1, 2, 3]);
    assert!(matches!(full, Err(WriteError::Io(_))));
}

#[test]
fn the_longest_packet_goes_both_ways() {
    let mut writer = Writer::new(Vec::new()).unwrap();
    let packet = vec![7; 262_144];
    writer.write(Timestamp::EPOCH, &packet).unwrap();
    let frames = read_whole(&writer.finish().unwrap());
    assert_eq!(frames[0].data, packet);
}

fn kept() -> impl Strategy<Value = Kept> {
    let micros = 0_i64..(1 << 32) * 1_000_000;
    let data = prop::collection::vec(any::<u8>(), 0..2_000);
    (micros, data, 0_u32..100_000).prop_map(|(micros, data, missing)| Kept {
        micros,
        timed: true,
        link: LinkType::RAW,
        original_len: data.len() as u32 + missing,
        data,
    })
}

proptest! {
    /// What was written comes back: times, bytes and original lengths.
    #[test]
    fn both_ways(
        mut frames in prop::collection::vec(kept(), 0..60),
        nanoseconds: bool,
        link in prop_oneof![Just(LinkType::RAW), Just(LinkType::ETHERNET), any::<u16>().prop_map(LinkType)],
    ) {
        let resolution = if nanoseconds { Resolution::Nanoseconds } else { Resolution::Microseconds };
        let mut writer = Writer::with(Vec::new(), link, resolution).unwrap();
        for frame in &mut frames {
            frame.link = link;
            let at = Timestamp::from_micros(frame.micros);
            let missing = frame.original_len - frame.data.len() as u32;
            writer.write_cut(at, &frame.data, missing).unwrap();
        }
        prop_assert_eq!(read_whole(&writer.finish().unwrap()), frames);
    }

    /// Cut anywhere, a file gives all the packets that are whole and one error, or none at a seam.
    #[test]
    fn cut_anywhere(frames in prop::collection::vec(kept(), 1..6), cut in any::<prop::sample::Index>()) {
        let mut writer = Writer::new(Vec::new()).unwrap();
        let mut ends = vec![24];
        for frame in &frames {
            writer.write(Timestamp::from_micros(frame.micros), &frame.data).unwrap();
            ends.push(ends[ends.len() - 1] + 16 + frame.data.len());
        }
        let file = writer.finish().unwrap();
        let cut = 24 + cut.index(file.len() - 23);
        let (read, error) = read(&file[..cut]);
        let whole = ends.iter().filter(|&&end| end <= cut).count() - 1;
        prop_assert_eq!(read.len(), whole);
        match error {
            None => prop_assert_eq!(cut, ends[whole]),
            Some(error) => {
                prop_assert_eq!(error.offset, ends[whole] as u64);
                prop_assert_eq!(error.packets, whole as u64);
            }
        }
    }
}
