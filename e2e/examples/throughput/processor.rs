//! The processor time of the whole packet path.
//!
//! It is what the scheduler counts for the flood's sender, for every thread of the NAT, and for the kernel's
//! `ksoftirqd` threads, in nanoseconds. Linux works on a packet in the context of whoever sent it or of
//! `ksoftirqd`, so that is all of the path; what else runs on the machine does not count, though it disturbs the
//! caches. Kernels that keep interrupts' time apart (`CONFIG_IRQ_TIME_ACCOUNTING`) get that time added, which
//! there is the whole machine's.

use std::fs;
use std::path::Path;
use std::process::Command;

/// What to watch.
#[derive(Debug)]
pub(crate) struct Processor {
    kernel: Vec<u32>,
    interrupts_apart: bool,
}

impl Processor {
    /// Looks up the kernel's threads and how this kernel counts.
    pub(crate) fn new() -> Self {
        Self {
            kernel: kernel_threads(),
            interrupts_apart: interrupts_apart(),
        }
    }

    /// The time used so far, in nanoseconds; `nat` is the NAT's process where it runs.
    pub(crate) fn used(&self, nat: Option<u32>) -> f64 {
        let processes = self.kernel.iter().copied().chain(nat);
        let threads: f64 = processes.map(used_by).sum();
        threads
            + if self.interrupts_apart {
                interrupts()
            } else {
                0.0
            }
    }
}

/// The time the calling process's first thread has used, in nanoseconds.
pub(crate) fn used_by_this_thread() -> f64 {
    schedstat(Path::new("/proc/thread-self/schedstat"))
}

fn used_by(process: u32) -> f64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else {
        return 0.0;
    };
    threads
        .flatten()
        .map(|thread| schedstat(&thread.path().join("schedstat")))
        .sum()
}

fn schedstat(path: &Path) -> f64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let used = text.split_whitespace().next();
    used.and_then(|used| used.parse().ok()).unwrap_or_default()
}

fn kernel_threads() -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter(|process| {
            fs::read_to_string(process.path().join("comm"))
                .is_ok_and(|name| name.starts_with("ksoftirqd/"))
        })
        .filter_map(|process| process.file_name().to_str()?.parse().ok())
        .collect()
}

/// The columns `irq` and `softirq` of /proc/stat's first line, in units of 10 ms.
fn interrupts() -> f64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let columns = text.lines().next().unwrap_or_default().split_whitespace();
    columns
        .skip(6)
        .take(2)
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum::<f64>()
        * 1e7
}

fn interrupts_apart() -> bool {
    let script = "zcat /proc/config.gz 2>/dev/null || cat \"/boot/config-$(uname -r)\" 2>/dev/null";
    Command::new("sh")
        .args(["-c", script])
        .output()
        .is_ok_and(|found| {
            String::from_utf8_lossy(&found.stdout).contains("CONFIG_IRQ_TIME_ACCOUNTING=y")
        })
}
