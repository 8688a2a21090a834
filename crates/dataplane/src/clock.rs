//! The time the engine is given: UTC that never goes back and runs at about the rate of real time.
//!
//! Records of who held a port are worth what their times are worth, and timers must not fire
//! because an administrator set the clock. So the system's clock is followed, but smoothly: small
//! differences are worked off slowly; a step is reported, then followed at once if forwards, and
//! by running at half speed if backwards, which errs on the side of longer timers.

use std::time::Duration;

use portledger_model::Timestamp;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// How far the system's clock may be from ours before it counts as stepped.
const STEP: Duration = Duration::from_secs(1);
/// The most a small difference changes our rate, in parts per million: what NTP also allows.
const SLEW_PPM: i128 = 500;
/// While the system's clock is behind after a step back, our rate in parts per million.
const BEHIND_PPM: i128 = 500_000;
const MILLION: i128 = 1_000_000;

/// A clock for one thread. Copies begin alike and stay within microseconds of each other; each
/// reports a step by itself.
#[derive(Debug, Clone)]
pub struct Clock {
    steady: Duration,
    /// What was last handed out, in nanoseconds since the Unix epoch.
    now: i128,
    /// Correction not yet a whole nanosecond, in millionths of one.
    rest: i128,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Following,
    /// After a step back: the system's clock less the steady one, as last reported.
    Waiting {
        offset: i128,
    },
}

/// Both clocks of the system, read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Since the machine started, sleep included: nobody sets it.
    pub steady: Duration,
    /// What the system holds to be UTC.
    pub system: Timestamp,
}

/// What a reading says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick {
    /// The time: never earlier than the last one.
    pub now: Timestamp,
    /// The system's clock was set since the last reading. Reported once.
    pub step: Option<Step>,
}

/// The system's clock was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It was put forward by so much; our time went with it, unless it was ahead already.
    Forward(Duration),
    /// It was put back by so much; our time runs at half speed until they agree, so records made
    /// for twice as long bear times that are ahead of the system's.
    Back(Duration),
}

impl Clock {
    /// A clock that agrees with the system's at this reading.
    pub fn new(first: Reading) -> Self {
        Self {
            steady: first.steady,
            now: nanos(first.system),
            rest: 0,
            state: State::Following,
        }
    }

    /// A clock that agrees with the system's now.
    pub fn start() -> Self {
        Self::new(Reading::now())
    }

    /// The time now, by the system's clocks.
    pub fn now(&mut self) -> Tick {
        self.advance(Reading::now())
    }

    /// The time at `reading`.
    pub fn advance(&mut self, reading: Reading) -> Tick {
        let elapsed = span_nanos(reading.steady.saturating_sub(self.steady));
        self.steady = self.steady.max(reading.steady);
        let system = nanos(reading.system);
        let offset = system - span_nanos(reading.steady);
        let step = self.step(system - (self.now + elapsed), offset);
        let error = system - (self.now + elapsed);
        self.now += match self.state {
            State::Waiting { .. } if error < 0 => {
                elapsed - self.share(elapsed, MILLION - BEHIND_PPM).min(-error)
            }
            _ => {
                self.state = State::Following;
                match step {
                    Some(Step::Forward(_)) => elapsed + error,
                    _ => {
                        let most = self.share(elapsed, SLEW_PPM);
                        elapsed + error.clamp(-most, most)
                    }
                }
            }
        };
        Tick {
            now: Timestamp::from_micros(clamp(self.now.div_euclid(1_000))),
            step,
        }
    }

    /// How far our time is ahead of the system's, at `reading`: what is left to work off.
    pub fn ahead(&self, reading: Reading) -> Duration {
        let elapsed = span_nanos(reading.steady.saturating_sub(self.steady));
        let ahead = self.now + elapsed - nanos(reading.system);
        Duration::from_nanos(u64::try_from(ahead.max(0)).unwrap_or(u64::MAX))
    }

    /// Whether the system's clock was set, given how far it is ahead of ours and of the steady one.
    fn step(&mut self, error: i128, offset: i128) -> Option<Step> {
        let by = match self.state {
            State::Following => error,
            // The difference itself is known; only a change of it is news.
            State::Waiting { offset: known } => offset - known,
        };
        if by.unsigned_abs() <= STEP.as_nanos() {
            return None;
        }
        let size = Duration::from_nanos(u64::try_from(by.unsigned_abs()).unwrap_or(u64::MAX));
        self.state = State::Waiting { offset };
        Some(if by > 0 {
            Step::Forward(size)
        } else {
            Step::Back(size)
        })
    }

    /// `ppm` millionths of `elapsed` in whole nanoseconds; the fraction is kept for the next, so
    /// that short and frequent readings add up.
    fn share(&mut self, elapsed: i128, ppm: i128) -> i128 {
        let share = elapsed * ppm + self.rest;
        self.rest = share.rem_euclid(MILLION);
        share.div_euclid(MILLION)
    }
}

impl Reading {
    /// The longest the clocks may take to be read for them to count as read together.
    const TOGETHER: Duration = Duration::from_millis(1);

    /// Reads the clocks of the system.
    pub fn now() -> Self {
        // Read one after the other: were the thread held up in between, it would look as if the
        // system's clock had been set.
        let mut before = steady();
        loop {
            let system = system();
            let after = steady();
            if after.saturating_sub(before) <= Self::TOGETHER {
                return Self {
                    steady: after,
                    system,
                };
            }
            before = after;
        }
    }
}

fn steady() -> Duration {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::Boottime);
    let nanos = u32::try_from(tv_nsec).unwrap_or_default();
    Duration::new(u64::try_from(tv_sec).unwrap_or_default(), nanos)
}

fn system() -> Timestamp {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::Realtime);
    Timestamp::from_micros(
        tv_sec
            .saturating_mul(1_000_000)
            .saturating_add(tv_nsec / 1_000),
    )
}

fn nanos(at: Timestamp) -> i128 {
    i128::from(at.as_micros()) * 1_000
}

fn span_nanos(span: Duration) -> i128 {
    i128::try_from(span.as_nanos()).unwrap_or(i128::MAX)
}

fn clamp(micros: i128) -> i64 {
    i64::try_from(micros).unwrap_or(if micros < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: i64 = 1_790_000_000_000_000;

    fn reading(steady_micros: i64, system_micros: i64) -> Reading {
        Reading {
            steady: Duration::from_micros(steady_micros.unsigned_abs()),
            system: Timestamp::from_micros(START + system_micros),
        }
    }

    /// A clock and a machine whose clocks run true until told otherwise.
    struct Bench {
        clock: Clock,
        steady: i64,
        system: i64,
    }

    impl Bench {
        fn new() -> Self {
            Self {
                clock: Clock::new(reading(0, 0)),
                steady: 0,
                system: 0,
            }
        }

        /// Our time in microseconds since the start, and the step, after `micros`.
        fn run(&mut self, micros: i64) -> (i64, Option<Step>) {
            self.steady += micros;
            self.system += micros;
            let tick = self.clock.advance(reading(self.steady, self.system));
            (tick.now.as_micros() - START, tick.step)
        }
    }

    #[test]
    fn a_small_difference_is_worked_off_at_500_parts_per_million() {
        let mut bench = Bench::new();
        bench.system += 1_000;
        // Short readings, each less than a nanosecond of correction, add up all the same.
        for _ in 0..1_000_000 {
            assert_eq!(bench.run(1).1, None);
        }
        let (now, _) = bench.run(1);
        assert!((500..=501).contains(&(now - bench.steady)), "{now}");
        assert_eq!(bench.run(10_000_000).0, bench.system);
    }

    #[test]
    fn a_leap_second_is_smeared() {
        let mut bench = Bench::new();
        bench.system -= 1_000_000;
        assert_eq!(bench.run(0), (0, None));
        assert_eq!(bench.run(1_000_000), (999_500, None));
        assert_eq!(bench.run(1_999_000_000).0, bench.system);
    }

    #[test]
    fn a_step_forward_is_reported_once_and_followed() {
        let mut bench = Bench::new();
        bench.system += 3_600_000_000;
        let step = Some(Step::Forward(Duration::from_secs(3_600)));
        assert_eq!(bench.run(10), (bench.system, step));
        assert_eq!(bench.run(10), (bench.system, None));
    }

    #[test]
    fn a_step_back_is_reported_once_and_waited_out_at_half_speed() {
        let mut bench = Bench::new();
        bench.system -= 60_000_000;
        let step = Some(Step::Back(Duration::from_secs(60)));
        assert_eq!(bench.run(0), (0, step));
        assert_eq!(bench.run(10_000_000), (5_000_000, None));
        let ahead = bench.clock.ahead(reading(bench.steady, bench.system));
        assert_eq!(ahead, Duration::from_secs(55));
        assert_eq!(bench.run(110_000_000), (bench.system, None));
        assert_eq!(bench.run(1_000), (bench.system, None));
    }

    #[test]
    fn steps_while_waiting_are_reported_by_their_own_size() {
        let mut bench = Bench::new();
        bench.system -= 60_000_000;
        bench.run(0);
        bench.system += 20_000_000;
        let forward = |seconds| Some(Step::Forward(Duration::from_secs(seconds)));
        // Still ahead of the system's clock: no reason to jump.
        assert_eq!(bench.run(2_000_000), (1_000_000, forward(20)));
        bench.system -= 5_000_000;
        let back = Some(Step::Back(Duration::from_secs(5)));
        assert_eq!(bench.run(0), (1_000_000, back));
        bench.system += 3_600_000_000;
        assert_eq!(bench.run(0), (bench.system, forward(3_600)));
    }

    #[test]
    fn a_machine_that_slept_has_not_stepped() {
        let mut bench = Bench::new();
        assert_eq!(bench.run(36_000_000_000), (36_000_000_000, None));
    }

    #[test]
    fn the_systems_clocks_agree_with_it() {
        let mut clock = Clock::start();
        let mut last = Timestamp::MIN;
        for _ in 0..1_000 {
            let tick = clock.now();
            assert!(tick.now >= last);
            last = tick.now;
        }
        let system = system();
        let apart = system.since(last).max(last.since(system));
        assert!(apart < STEP, "{apart:?}");
    }

    proptest! {
        #[test]
        fn it_never_goes_back_and_converges(
            moves in prop::collection::vec((0_i64..100_000_000, prop::option::weighted(0.2, -100_000_000_i64..100_000_000)), 1..60),
        ) {
            let mut bench = Bench::new();
            let mut last = 0;
            for (elapsed, set) in moves {
                bench.system += set.unwrap_or(0);
                let (now, step) = bench.run(elapsed);
                prop_assert!(now >= last);
                if let Some(Step::Forward(_)) = step {
                    prop_assert!(now >= bench.system);
                } else {
                    // Rate: between half and 500 ppm fast, a microsecond for rounding.
                    prop_assert!(now - last >= elapsed / 2 - 1);
                    prop_assert!(now - last <= elapsed + elapsed / 2_000 + 1);
                }
                last = now;
            }
            // Half speed for what may be minutes ahead, then 500 ppm for what is within a second.
            for _ in 0..3 {
                bench.run(100_000_000 * 60 * 2);
            }
            prop_assert_eq!(bench.run(0), (bench.system, None));
        }

        #[test]
        fn arbitrary_readings_never_panic_or_go_back(
            first: (u64, i64),
            readings in prop::collection::vec((any::<u64>(), any::<i64>()), 0..20),
        ) {
            let reading = |(steady, system)| Reading {
                steady: Duration::from_secs(steady),
                system: Timestamp::from_micros(system),
            };
            let mut clock = Clock::new(reading(first));
            let mut last = Timestamp::MIN;
            for next in readings {
                let tick = clock.advance(reading(next));
                prop_assert!(tick.now >= last);
                last = tick.now;
            }
        }
    }
}
