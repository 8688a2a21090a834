//! Any bytes as a NAT's life: packets from both sides, in batches, and time between them.
//!
//! [`input`] takes the bytes apart, [`scene`] says under which configuration, [`build`] makes
//! packets of them, right ones and broken ones. What comes out is held against what [`packet`]
//! reads in it, [`held`] knows of the event log, and [`check`] knows of translation.
#![no_main]

mod build;
mod check;
mod held;
mod input;
mod packet;
mod scene;

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use portledger_model::Timestamp;
use portledger_nat::{EventNumber, Nat, Output, Past, Side};

use build::{Built, Known};
use check::Tally;
use held::Held;
use input::Input;
use scene::Scene;

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let mut life = Life::begin(Scene::new(&mut input));
    while let Some(choice) = input.next() {
        life.step(choice, &mut input);
    }
    life.end();
});

/// One NAT from its start to its last mapping's end.
struct Life {
    scene: Scene,
    nat: Nat,
    now: Timestamp,
    batch: Vec<Built>,
    side: Side,
    known: Vec<Known>,
    held: Held,
    tally: Tally,
}

/// From moments inside a second to beyond the longest timer.
const STEPS: [Duration; 8] = [
    Duration::from_micros(1),
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(30),
    Duration::from_secs(121),
    Duration::from_secs(301),
    Duration::from_secs(7_441),
];

impl Life {
    fn begin(scene: Scene) -> Self {
        let nat = Nat::new(scene.config(), [7; 32]).expect("the scene's configuration works");
        let mut life = Self {
            scene,
            nat,
            now: Timestamp::from_secs(1_793_534_400),
            batch: Vec::new(),
            side: Side::Inside,
            known: Vec::new(),
            held: Held::default(),
            tally: Tally::default(),
        };
        let mut output = Output::default();
        life.nat.start(life.now, Past::default(), &mut output);
        life.held.hear(&output.events);
        life
    }

    fn step(&mut self, choice: u8, input: &mut Input<'_>) {
        match choice & 0x07 {
            0 => {
                self.flush();
                self.pass(STEPS[usize::from(input.byte() & 0x07)]);
            }
            1 => {
                self.flush();
                self.nat.durable(EventNumber(self.held.told()));
            }
            _ => {
                let side = if choice & 0x08 == 0 {
                    Side::Inside
                } else {
                    Side::Outside
                };
                if side != self.side || self.scene.one_by_one {
                    self.flush();
                }
                self.side = side;
                self.batch.push(build::packet(side, input, &self.known));
            }
        }
    }

    fn flush(&mut self) {
        let mut output = Output::default();
        let mut after = self.batch.clone();
        let mut packets: Vec<_> = after.iter_mut().map(Built::as_packet).collect();
        self.nat
            .batch(self.now, self.side, &mut packets, &mut output);
        let verdicts: Vec<_> = packets.iter().map(|packet| packet.verdict).collect();

        self.held.hear(&output.events);
        self.tally.batch(self.nat.counters(), &verdicts, &output);
        let last = self.held.told();
        for emitted in &output.packets {
            check::emitted(&self.scene, emitted, last);
        }
        for ((before, after), &verdict) in self.batch.iter().zip(&after).zip(&verdicts) {
            let known = check::verdict(&self.scene, before, after, verdict, &self.held);
            self.known.extend(known);
        }
        if let ([before], [verdict]) = (&self.batch[..], &verdicts[..]) {
            check::pieces(before, *verdict, &output);
        }
        self.batch.clear();
    }

    fn pass(&mut self, step: Duration) {
        self.now = self.now.after(step);
        let mut output = Output::default();
        self.nat.advance(self.now, &mut output);
        self.held.hear(&output.events);
        self.tally.batch(self.nat.counters(), &[], &output);
        for emitted in &output.packets {
            check::emitted(&self.scene, emitted, self.held.told());
        }
    }

    /// Left alone for long enough, a NAT forgets everybody.
    fn end(mut self) {
        self.flush();
        self.pass(Duration::from_secs(8_000));
        self.pass(Duration::from_secs(1_000));
        self.tally.end(self.nat.counters(), self.scene.small_links);
        let size = self.nat.size();
        assert_eq!(size.fragment_bytes, 0);
        assert_eq!(size.further_sessions, 0);
        assert_eq!(size.mappings, scene::STATIC_MAPPINGS);
        self.held.assert_only_static();
    }
}
