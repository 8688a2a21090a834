//! Any bytes as syslog: as a message, as a stream in two pieces and in one, as our own events.
#![no_main]

use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;
use portledger_model::{Device, Timestamp};
use portledger_wire::{
    json_lines,
    syslog::{
        Clock, Export, Form, Frame, Frames, Framing, Message, Sequence, TimeQuality, read_event,
    },
};

const LIMIT: usize = 64;

fuzz_target!(|bytes: &[u8]| {
    for line in bytes.split(|&byte| byte == b'\n') {
        message(line);
        if let Ok(event) = json_lines::read(line) {
            assert_eq!(
                json_lines::read(json_lines::write(&event).as_bytes()),
                Ok(event)
            );
        }
    }
    let half = bytes.len() / 2;
    for framing in [Framing::Told, Framing::OctetCounting, Framing::Delimited] {
        let (first, second) = bytes.split_at(half);
        assert_eq!(
            frames(framing, &[bytes]),
            frames(framing, &[first, second]),
            "the same messages in whatever pieces"
        );
    }
});

fn message(line: &[u8]) {
    let message = Message::parse(line);
    assert!(message.body.len() <= line.len());
    let clock = Clock::new(Timestamp::from_secs(1_800_000_000)).in_zone(TimeZone::UTC);
    if let Some(time) = message.time {
        let _ = time.instant(&clock);
    }
    for (_, parameters) in message.elements.iter() {
        for (_, value) in parameters {
            assert!(value.unescaped().len() <= value.raw().len());
        }
    }
    if let Ok(event) = read_event(&message) {
        let device = Device::new("fuzzed").expect("a name");
        let mut written = Vec::new();
        Export::new(device, TimeQuality::UNSAID).write(
            &event,
            event.at.timestamp(),
            Sequence::FIRST,
            &mut written,
        );
        let again = Message::parse(&written);
        assert_eq!(again.form, Form::Rfc5424);
        assert_eq!(read_event(&again), Ok(event), "what we write we read");
    }
}

fn frames(framing: Framing, pieces: &[&[u8]]) -> Vec<(u8, Vec<u8>, u64)> {
    let mut frames = Frames::new(framing, LIMIT);
    let mut told = Vec::new();
    let mut keep = |frame: Frame<'_>| {
        told.push(match frame {
            Frame::Message(text) => {
                assert!(text.len() <= LIMIT);
                (0, text.to_vec(), 0)
            }
            Frame::Overlong { bytes } => (1, Vec::new(), bytes),
            Frame::Unframed { bytes } => (2, Vec::new(), bytes),
            Frame::Unfinished(text) => (3, text.to_vec(), 0),
        });
    };
    for piece in pieces {
        frames.push(piece, &mut keep);
    }
    frames.finish(&mut keep);
    told
}
