//! pcapng: golden bytes by hand, for what captures of it have been seen to do and worse.

use portledger_dataplane::capture::{CaptureError, LinkType, Problem, walk};
use proptest::prelude::*;

use super::{Kept, read, read_whole};

/// A section header, a raw IP interface that counts microseconds, a packet of 3 out of 5 bytes at
/// 2026-11-01T12:00:00.123456Z with a comment, all as a little-endian machine writes it.
const LITTLE: &[u8] = &[
    0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 28, 0, 0, 0, // section header
    1, 0, 0, 0, 20, 0, 0, 0, 101, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, // interface
    6, 0, 0, 0, 48, 0, 0, 0, 0, 0, 0, 0, 0x35, 0x5f, 0x06, 0x00, 0x40, 0xd2, 0xcf, 0xc4, 3, 0, 0,
    0, 5, 0, 0, 0, 0xaa, 0xbb, 0xcc, 0, 1, 0, 2, 0, b'h', b'i', 0, 0, 0, 0, 0, 0, 48, 0, 0, 0,
];
const MICROS: u64 = 1_793_534_400_123_456;

fn golden(micros: i64) -> Kept {
    Kept {
        micros,
        timed: true,
        link: LinkType::RAW,
        data: vec![0xaa, 0xbb, 0xcc],
        original_len: 5,
    }
}

/// Builds blocks in one byte order.
#[derive(Clone, Copy)]
struct Build {
    big: bool,
}

const SMALL: Build = Build { big: false };
const BIG: Build = Build { big: true };

impl Build {
    fn n16(self, value: u16) -> Vec<u8> {
        let bytes = value.to_le_bytes();
        self.ordered(bytes.to_vec())
    }

    fn n32(self, value: u32) -> Vec<u8> {
        self.ordered(value.to_le_bytes().to_vec())
    }

    fn n64(self, value: i64) -> Vec<u8> {
        self.ordered(value.to_le_bytes().to_vec())
    }

    fn ordered(self, mut little: Vec<u8>) -> Vec<u8> {
        if self.big {
            little.reverse();
        }
        little
    }

    fn block(self, kind: u32, body: &[&[u8]]) -> Vec<u8> {
        let body = body.concat();
        let padding = vec![0; body.len().next_multiple_of(4) - body.len()];
        let length = self.n32((12 + body.len() + padding.len()) as u32);
        [self.n32(kind), length.clone(), body, padding, length].concat()
    }

    fn section(self) -> Vec<u8> {
        let (mark, version) = (self.n32(0x1a2b_3c4d), [self.n16(1), self.n16(0)].concat());
        self.block(0x0a0d_0d0a, &[&mark, &version, &self.n64(-1)])
    }

    fn interface(self, link: u16, snap: u32, options: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let mut all = Vec::new();
        for (code, value) in options {
            all.extend(self.n16(*code));
            all.extend(self.n16(value.len() as u16));
            all.extend(value);
            all.resize(all.len().next_multiple_of(4), 0);
        }
        let head = [self.n16(link), self.n16(0), self.n32(snap)].concat();
        self.block(1, &[&head, &all])
    }

    fn packet(self, interface: u32, ticks: u64) -> Vec<u8> {
        self.packet_claiming(interface, ticks, 3)
    }

    fn packet_claiming(self, interface: u32, ticks: u64, captured: u32) -> Vec<u8> {
        let time = [self.n32((ticks >> 32) as u32), self.n32(ticks as u32)].concat();
        let head = [self.n32(interface), time, self.n32(captured), self.n32(5)].concat();
        self.block(6, &[&head, &[0xaa, 0xbb, 0xcc]])
    }

    /// A section with one raw IP interface.
    fn start(self) -> Vec<u8> {
        [self.section(), self.interface(101, 0, &[])].concat()
    }
}

#[test]
fn hand_written_bytes_and_built_ones() {
    assert_eq!(read_whole(LITTLE), [golden(MICROS as i64)]);
    for build in [SMALL, BIG] {
        let file = [build.start(), build.packet(0, MICROS)].concat();
        assert_eq!(read_whole(&file), [golden(MICROS as i64)]);
    }
    // The builder is held to the bytes above but for the comment.
    assert_eq!(SMALL.start(), LITTLE[..48]);
}

#[test]
fn each_section_has_its_own_order_and_interfaces() {
    let file = [
        SMALL.start(),
        SMALL.packet(0, MICROS),
        BIG.section(),
        BIG.interface(1, 0, &[]),
        BIG.interface(276, 0, &[]),
        BIG.packet(1, MICROS + 1),
        BIG.packet(0, MICROS + 2),
    ]
    .concat();
    let links: Vec<_> = read_whole(&file)
        .into_iter()
        .map(|f| (f.link.0, f.micros))
        .collect();
    let at = MICROS as i64;
    assert_eq!(links, [(101, at), (276, at + 1), (1, at + 2)]);

    // An interface of the section before is not one of this.
    let file = [SMALL.start(), BIG.section(), BIG.packet(0, MICROS)].concat();
    let error = read(&file).1.expect("an error");
    insta::assert_snapshot!(error, @"test.pcap: before the first packet, at byte 76: a packet names interface 0, but this section describes 0; without the description its link type and clock are unknown, join the files with mergecap instead of cutting blocks");
}

fn time(build: Build, options: &[(u16, Vec<u8>)], ticks: u64) -> i64 {
    let file = [
        build.section(),
        build.interface(101, 0, options),
        build.packet(0, ticks),
    ]
    .concat();
    read_whole(&file)[0].micros
}

#[test]
fn clocks_of_every_resolution() {
    const RESOLUTION: u16 = 9;
    let at = |resolution, ticks| time(SMALL, &[(RESOLUTION, vec![resolution])], ticks);
    assert_eq!(at(6, MICROS), MICROS as i64);
    assert_eq!(at(9, MICROS * 1_000 + 999), MICROS as i64);
    assert_eq!(at(3, 1_793_534_400_123), 1_793_534_400_123_000);
    assert_eq!(at(0, 1_793_534_400), 1_793_534_400_000_000);
    // Powers of two: a second and a half in units of 1/1024 s, and of 2^-32 s.
    assert_eq!(at(0x80 | 10, 1_536), 1_500_000);
    assert_eq!(at(0x80 | 32, 3 << 31), 1_500_000);
    // Finer than any tick that could be counted.
    assert_eq!(at(127, u64::MAX), 0);
}

#[test]
fn a_clock_with_an_offset() {
    const OFFSET: u16 = 14;
    for build in [SMALL, BIG] {
        let at = |seconds| {
            time(
                build,
                &[(2, b"eth0".to_vec()), (OFFSET, build.n64(seconds))],
                7,
            )
        };
        assert_eq!(at(1_793_534_400), 1_793_534_400_000_007);
        assert_eq!(at(-1), -999_993);
        assert_eq!(at(i64::MIN), i64::MIN + 7);
    }
}

#[test]
fn a_clock_that_cannot_be_read_is_an_error() {
    for options in [
        vec![(9, vec![6, 6])],
        vec![(14, vec![0; 4])],
        vec![(14, vec![])],
    ] {
        let file = [SMALL.section(), SMALL.interface(101, 0, &options)].concat();
        let problem = read(&file).1.expect("an error").problem;
        assert!(matches!(problem, Problem::Options));
    }
    // An option that goes on behind its block.
    let file = [
        SMALL.section(),
        SMALL.block(1, &[&[101, 0, 0, 0, 0, 0, 0, 0, 9, 0, 200, 0]]),
    ]
    .concat();
    let problem = read(&file).1.expect("an error").problem;
    assert!(matches!(problem, Problem::Options));
    // Behind the end of options there may be anything.
    let file = [
        SMALL.start(),
        SMALL.block(1, &[&[101, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 200, 0]]),
    ];
    assert_eq!(read_whole(&file.concat()), []);
}

#[test]
fn a_simple_packet_has_no_time_of_its_own() {
    let simple = |original: u32, data: &[u8]| SMALL.block(3, &[&SMALL.n32(original), data]);
    let file = [
        SMALL.section(),
        SMALL.interface(101, 6, &[]),
        simple(3, &[1, 2, 3]),
        SMALL.packet(0, MICROS),
        simple(4, &[1, 2, 3, 4]),
        simple(9, &[1, 2, 3, 4, 5, 6, 0, 0]),
        simple(u32::MAX, &[1, 2, 3, 4]),
    ]
    .concat();
    let frames: Vec<_> = read_whole(&file)
        .into_iter()
        .map(|frame| {
            (
                frame.timed,
                frame.micros,
                frame.data.len(),
                frame.original_len,
            )
        })
        .collect();
    let at = MICROS as i64;
    // The padding is left out by the original length, then by the snap length, then by the block.
    assert_eq!(
        frames,
        [
            (false, 0, 3, 3),
            (true, at, 3, 5),
            (false, at, 4, 4),
            (false, at, 6, 9),
            (false, at, 4, u32::MAX)
        ]
    );
}

#[test]
fn an_obsolete_packet_block() {
    for build in [SMALL, BIG] {
        let head = [
            build.n16(1),
            build.n16(77), // drops
            build.n32((MICROS >> 32) as u32),
            build.n32(MICROS as u32),
            build.n32(3),
            build.n32(5),
        ]
        .concat();
        let packet = build.block(2, &[&head, &[0xaa, 0xbb, 0xcc]]);
        let file = [
            build.section(),
            build.interface(1, 0, &[]),
            build.interface(101, 0, &[]),
            packet,
        ];
        assert_eq!(read_whole(&file.concat()), [golden(MICROS as i64)]);
    }
}

#[test]
fn blocks_of_other_kinds_are_passed_over() {
    let statistics = SMALL.block(5, &[&[0; 12]]);
    let custom = SMALL.block(0xbad, &[&[1, 2, 3, 4], &[0xff; 100]]);
    // Longer than the reader's window.
    let huge = SMALL.block(0x7777, &[&vec![0x0a; 1_000_000]]);
    let empty = SMALL.block(0x7778, &[]);
    let file = [
        SMALL.section(),
        custom,
        SMALL.interface(101, 0, &[]),
        huge,
        SMALL.packet(0, MICROS),
        empty,
        SMALL.packet(0, MICROS + 1),
        statistics,
    ]
    .concat();
    let at = MICROS as i64;
    assert_eq!(read_whole(&file), [golden(at), golden(at + 1)]);
}

fn after_one(rest: &[u8]) -> CaptureError {
    let (frames, error) = read(&[LITTLE, rest].concat());
    assert_eq!(frames, [golden(MICROS as i64)]);
    error.expect("an error")
}

#[test]
fn broken_blocks_end_the_capture_where_they_stand() {
    let packet = SMALL.packet(0, MICROS);
    // Cut inside the packet, and inside a block that is none.
    insta::assert_snapshot!(after_one(&packet[..30]), @"test.pcap: packet 1 is good, then at byte 96: the file ends inside the block that begins here (bytes missing: 1); copy or capture it again if the rest matters");
    insta::assert_snapshot!(after_one(&[9, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1]), @"test.pcap: packet 1 is good, then at byte 96: the file ends inside the block that begins here (bytes missing: 4294967282); copy or capture it again if the rest matters");
    insta::assert_snapshot!(after_one(&[9, 0, 0]), @"test.pcap: packet 1 is good, then at byte 96: the file ends inside the block that begins here (bytes missing: 5); copy or capture it again if the rest matters");
    // Lengths that would stand still, that differ, that are too short for their kind.
    insta::assert_snapshot!(after_one(&[9, 0, 0, 0, 11, 0, 0, 0, 0, 0, 0, 0]), @"test.pcap: packet 1 is good, then at byte 96: a block of type 0x00000009 claims 11 bytes; the file is damaged here, copy or capture it again if the rest matters");
    insta::assert_snapshot!(after_one(&[9, 0, 0, 0, 0, 0, 0, 0]), @"test.pcap: packet 1 is good, then at byte 96: a block of type 0x00000009 claims 0 bytes; the file is damaged here, copy or capture it again if the rest matters");
    insta::assert_snapshot!(after_one(&[9, 0, 0, 0, 12, 0, 0, 0, 16, 0, 0, 0]), @"test.pcap: packet 1 is good, then at byte 96: a block begins by saying it has 12 bytes and ends by saying 16; the file is damaged here, copy or capture it again if the rest matters");
    insta::assert_snapshot!(after_one(&SMALL.block(6, &[&[0; 16]])), @"test.pcap: packet 1 is good, then at byte 96: a block of type 0x00000006 claims 28 bytes; the file is damaged here, copy or capture it again if the rest matters");
    // More data than the block has, more than any packet has.
    insta::assert_snapshot!(after_one(&SMALL.packet_claiming(0, 0, 5)), @"test.pcap: packet 1 is good, then at byte 96: a block of type 0x00000006 claims 36 bytes; the file is damaged here, copy or capture it again if the rest matters");
    insta::assert_snapshot!(after_one(&SMALL.packet_claiming(0, 0, u32::MAX)), @"test.pcap: packet 1 is good, then at byte 96: a packet claims 4294967295 bytes, more than the 262144 any capture takes; the file is damaged here, copy or capture it again if the rest matters");
    insta::assert_snapshot!(after_one(&SMALL.packet(1, 0)), @"test.pcap: packet 1 is good, then at byte 96: a packet names interface 1, but this section describes 1; without the description its link type and clock are unknown, join the files with mergecap instead of cutting blocks");
    // Sections of no byte order, and of another version.
    let mut section = SMALL.section();
    section[14] = 2; // 1.2, which is read as 1.0.
    assert_eq!(read_whole(&[LITTLE, &section].concat()).len(), 1);
    section[14] = 3;
    insta::assert_snapshot!(after_one(&section), @"test.pcap: packet 1 is good, then at byte 96: pcapng version 1.3 is not known; convert it with editcap -F pcap");
    let mut section = SMALL.section();
    section[8] = 0;
    insta::assert_snapshot!(after_one(&section), @"test.pcap: packet 1 is good, then at byte 96: a section begins with the byte order mark 0x1a2b3c00, which is none; the file is damaged here, copy or capture it again if the rest matters");
    let mut section = SMALL.section();
    section[12] = 2;
    insta::assert_snapshot!(after_one(&section), @"test.pcap: packet 1 is good, then at byte 96: pcapng version 2.0 is not known; convert it with editcap -F pcap");
}

#[test]
fn a_packet_whose_block_breaks_behind_it_is_not_lost() {
    let (frames, error) = read(&LITTLE[..LITTLE.len() - 4]);
    assert_eq!(frames, [golden(MICROS as i64)]);
    let error = error.expect("an error");
    assert_eq!((error.packets, error.offset), (1, 48));
}

#[test]
fn a_flood_of_interfaces_is_refused() {
    let interface = SMALL.interface(101, 0, &[]);
    let file = [SMALL.section(), interface.repeat(65_537)].concat();
    let problem = read(&file).1.expect("an error").problem;
    assert!(matches!(problem, Problem::TooManyInterfaces(65_536)));
}

/// Files that begin well, with blocks good and bad, bytes changed and the end cut off.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let block = (
        0_u32..8,
        prop::collection::vec(any::<u8>(), 0..64),
        any::<bool>(),
    );
    let change = (any::<prop::sample::Index>(), any::<u8>());
    (
        any::<bool>(),
        prop::collection::vec(block, 0..8),
        prop::collection::vec(change, 0..6),
        any::<prop::sample::Index>(),
    )
        .prop_map(|(big, blocks, changes, cut)| {
            let build = Build { big };
            let mut file = [build.start(), build.packet(0, MICROS)].concat();
            for (kind, body, packet) in blocks {
                file.extend(match packet {
                    true => build.packet(kind % 2, 5),
                    false => build.block(kind, &[&body]),
                });
            }
            for (at, value) in changes {
                let at = at.index(file.len());
                file[at] = value;
            }
            file.truncate(cut.index(file.len() + 1));
            file
        })
}

proptest! {
    #[test]
    fn hostile_bytes_neither_panic_nor_hang(bytes in hostile()) {
        let walk = walk("hostile.pcapng", bytes.as_slice());
        prop_assert!(walk.frames <= bytes.len() as u64 / 12);
        prop_assert_eq!(walk.whole + walk.cut + walk.not_ip.values().sum::<u64>(), walk.frames);
        if let Some(error) = walk.broken {
            prop_assert!(error.offset <= bytes.len() as u64);
            prop_assert_eq!(error.packets, walk.frames);
        }
    }
}
