//! Allocations as a large NAT would log them: the same for the same seed, in order of closing.
//!
//! A million subscribers whose activity is lognormal open ten blocks a day on average, most in
//! the evening, and hold them for an hour or two. Blocks of 256 ports on a pool of 8,192 addresses
//! are drawn at random among those at rest for the guard time, and a subscriber who holds one
//! already gets the next on the same address (RFC 6888 REQ-2). Fewer allocations than a day of
//! that size are a day of fewer subscribers on a smaller pool.
//!
//! Only `std` is needed, so that another bench can include the file by its path. Memory is that
//! of the open blocks and the pool, whatever the number of allocations.

use std::collections::VecDeque;

/// One closed allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generated {
    /// The external address, as its 32 bits.
    pub external: u32,
    /// The block's first port.
    pub first: u16,
    /// The block's last port.
    pub last: u16,
    /// Who held it, from 0.
    pub subscriber: u32,
    /// The device that handed it out, 0 to 7.
    pub device: u8,
    /// When it was handed out, in milliseconds since the Unix epoch.
    pub from_ms: i64,
    /// When it was given back, in milliseconds since the Unix epoch.
    pub to_ms: i64,
}

/// The first instant at which an allocation is reported closed: 2026-11-01T05:00:00Z, the trough,
/// where a ledger's day is cut.
pub const START_MS: i64 = 1_793_509_200_000;
/// How long a block rests before it is handed out again.
pub const GUARD_MS: i64 = 300_000;

const BLOCKS: u64 = 252;
const BLOCK_PORTS: u16 = 256;
const LOWEST_PORT: u16 = 1_024;
/// 198.18.0.0, of the block for benchmarks (RFC 2544).
const LOWEST_ADDRESS: u32 = 0xc612_0000;
const DEVICES: u64 = 8;
const PER_DAY: u64 = 10;
const DAY_MS: i64 = 86_400_000;
const WARM_UP_MS: i64 = DAY_MS / 2;
const MEDIAN_HOLD_MS: f64 = 66.0 * 60_000.0;
const SIGMA_HOLD: f64 = 1.09;
const SHORTEST_HOLD_MS: i64 = 120_000;
const LONGEST_HOLD_MS: i64 = 2 * DAY_MS;

/// How many subscribers `allocations` are generated for, numbered from 0.
pub fn subscribers(allocations: u64) -> u64 {
    (allocations / PER_DAY).clamp(1_000, 1_000_000)
}

/// Calls `each` with `allocations` allocations in order of closing.
pub fn generate(allocations: u64, seed: u64, mut each: impl FnMut(Generated)) {
    let subscribers = subscribers(allocations);
    let mut random = Random(seed);
    let activity = Alias::new(&mut random, subscribers);
    let mut pool = Pool::new(subscribers);
    let mut open = Open::new(START_MS - WARM_UP_MS);
    let mut holds = vec![(0_u32, 0_u32); subscribers as usize];
    let per_ms = (subscribers * PER_DAY) as f64 / DAY_MS as f64;
    let (mut left, mut next) = (allocations, (START_MS - WARM_UP_MS) as f64);

    // A hold lasts longer than a second, so whatever closes within one was opened before it.
    for second in (START_MS - WARM_UP_MS) / 1_000.. {
        for closed in open.take(second) {
            pool.rest(closed);
            holds[closed.subscriber as usize].0 -= 1;
            if closed.to_ms >= START_MS {
                if left == 0 {
                    return;
                }
                left -= 1;
                each(closed);
            }
        }
        while (next as i64) < (second + 1) * 1_000 {
            let now = next as i64;
            next += -random.unit().ln() / (per_ms * diurnal(now));
            let subscriber = activity.draw(&mut random);
            let held = &mut holds[subscriber as usize];
            let device = u64::from(subscriber) * DEVICES / subscribers;
            pool.wake(now);
            let paired = (held.0 > 0).then_some(held.1);
            let Some((address, block)) = pool.draw(&mut random, device, paired) else {
                continue;
            };
            held.0 += 1;
            held.1 = address;
            let hold = (MEDIAN_HOLD_MS * (SIGMA_HOLD * random.normal()).exp()) as i64;
            let first = LOWEST_PORT + block * BLOCK_PORTS;
            open.put(Generated {
                external: LOWEST_ADDRESS + address,
                first,
                last: first + (BLOCK_PORTS - 1),
                subscriber,
                device: device as u8,
                from_ms: now,
                to_ms: now + hold.clamp(SHORTEST_HOLD_MS, LONGEST_HOLD_MS),
            });
        }
    }
}

/// How many times the mean rate is asked for at `ms`: least at 04:30, most at 21:00 UTC.
fn diurnal(ms: i64) -> f64 {
    let hours = (ms.rem_euclid(DAY_MS) as f64 / 3_600_000.0 - 4.5).rem_euclid(24.0);
    let phase = if hours < 16.5 {
        hours / 16.5
    } else {
        1.0 - (hours - 16.5) / 7.5
    };
    0.27 + 1.46 * (0.5 - 0.5 * (phase * std::f64::consts::PI).cos())
}

/// Open allocations by the second in which they close: a wheel longer than the longest hold.
struct Open {
    wheel: Vec<Vec<Generated>>,
    start: i64,
}

impl Open {
    fn new(start_ms: i64) -> Self {
        let seconds = (LONGEST_HOLD_MS / 1_000 + 2) as usize;
        Self {
            wheel: vec![Vec::new(); seconds],
            start: start_ms / 1_000,
        }
    }

    fn slot(&self, second: i64) -> usize {
        (second - self.start) as usize % self.wheel.len()
    }

    fn put(&mut self, one: Generated) {
        let slot = self.slot(one.to_ms / 1_000);
        self.wheel[slot].push(one);
    }

    fn take(&mut self, second: i64) -> Vec<Generated> {
        let slot = self.slot(second);
        let mut closed = std::mem::take(&mut self.wheel[slot]);
        closed.sort_by_key(|one| one.to_ms);
        closed
    }
}

/// The blocks of each address that are free and rested, and those that still rest.
struct Pool {
    free: Vec<Vec<u8>>,
    resting: VecDeque<(i64, u32, u8)>,
    per_device: u64,
}

impl Pool {
    fn new(subscribers: u64) -> Self {
        let per_device = (subscribers * 8_192 / 1_000_000).div_ceil(DEVICES).max(2);
        let all: Vec<u8> = (0..BLOCKS as u8).collect();
        Self {
            free: vec![all; (per_device * DEVICES) as usize],
            resting: VecDeque::new(),
            per_device,
        }
    }

    fn rest(&mut self, closed: Generated) {
        let block = (closed.first - LOWEST_PORT) / BLOCK_PORTS;
        let address = closed.external - LOWEST_ADDRESS;
        let rested = closed.to_ms + GUARD_MS;
        self.resting.push_back((rested, address, block as u8));
    }

    fn wake(&mut self, now: i64) {
        while let Some(&(rested, address, block)) = self.resting.front() {
            if rested > now {
                break;
            }
            self.resting.pop_front();
            self.free[address as usize].push(block);
        }
    }

    /// A rested block: of the `paired` address where it has one, else any of the device's.
    fn draw(
        &mut self,
        random: &mut Random,
        device: u64,
        paired: Option<u32>,
    ) -> Option<(u32, u16)> {
        if let Some(address) = paired
            && let Some(block) = self.of_address(random, address)
        {
            return Some((address, block));
        }
        let lowest = device * self.per_device;
        // Drawing a place among all blocks and keeping it where it is free is uniform over the free.
        for _ in 0..64 {
            let address = lowest + random.below(self.per_device);
            if random.below(BLOCKS) < self.free[address as usize].len() as u64 {
                let address = address as u32;
                return Some((address, self.of_address(random, address)?));
            }
        }
        let mut addresses = lowest..lowest + self.per_device;
        let address = addresses.find(|&address| !self.free[address as usize].is_empty())? as u32;
        Some((address, self.of_address(random, address)?))
    }

    fn of_address(&mut self, random: &mut Random, address: u32) -> Option<u16> {
        let free = &mut self.free[address as usize];
        if free.is_empty() {
            return None;
        }
        let at = random.below(free.len() as u64) as usize;
        Some(free.swap_remove(at).into())
    }
}

/// Draws subscribers by their activity in constant time (Walker's alias method).
struct Alias(Vec<(f64, u32)>);

impl Alias {
    fn new(random: &mut Random, subscribers: u64) -> Self {
        let weights: Vec<f64> = (0..subscribers).map(|_| random.normal().exp()).collect();
        let mean = weights.iter().sum::<f64>() / subscribers as f64;
        let mut table: Vec<(f64, u32)> = weights.iter().map(|weight| (weight / mean, 0)).collect();
        let (mut small, mut large): (Vec<u32>, Vec<u32>) =
            (0..subscribers as u32).partition(|&at| table[at as usize].0 < 1.0);
        while let (Some(&low), Some(&high)) = (small.last(), large.last()) {
            small.pop();
            table[low as usize].1 = high;
            table[high as usize].0 -= 1.0 - table[low as usize].0;
            if table[high as usize].0 < 1.0 {
                large.pop();
                small.push(high);
            }
        }
        for at in small.into_iter().chain(large) {
            table[at as usize].0 = 1.0;
        }
        Self(table)
    }

    fn draw(&self, random: &mut Random) -> u32 {
        let at = random.below(self.0.len() as u64) as u32;
        let (own, other) = self.0[at as usize];
        if random.unit() <= own { at } else { other }
    }
}

/// SplitMix64: small, fast, and the same everywhere.
pub struct Random(pub u64);

impl Random {
    /// Any number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let n = self.0;
        let n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        n ^ n >> 31
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// A number above 0, up to 1.
    pub fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// A draw from the standard normal distribution (Box and Muller).
    pub fn normal(&mut self) -> f64 {
        let angle = self.unit() * std::f64::consts::TAU;
        (-2.0 * self.unit().ln()).sqrt() * angle.cos()
    }
}
