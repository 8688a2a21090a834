//! How far reading has come, on standard error, where that is a terminal.

use std::{
    io::{self, IsTerminal as _, Read},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

use super::{Pass, packed::Bytes};

/// How much of a total that is known, or how much only.
const BAR: &str = "{spinner} {bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left {msg}";
const COUNT: &str = "{spinner} {bytes}, {bytes_per_sec} {msg}";

/// How often it is drawn.
const TICK: Duration = Duration::from_millis(200);

/// How many bytes have been read, of how many where all are files.
pub(crate) struct Progress {
    bar: ProgressBar,
    total: Option<u64>,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            bar: ProgressBar::hidden(),
            total: Some(0),
        }
    }
}

impl Progress {
    /// There are so many bytes more to read; `None` where nobody knows.
    pub(crate) fn expect(&mut self, bytes: Option<u64>) {
        self.total = self.total.zip(bytes).map(|(total, more)| total + more);
        self.bar = match self.total {
            _ if !io::stderr().is_terminal() => ProgressBar::hidden(),
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::new_spinner(),
        };
        let style = if self.total.is_some() { BAR } else { COUNT };
        if let Ok(style) = ProgressStyle::with_template(style) {
            self.bar.set_style(style);
        }
    }

    /// Counts what is read from `input`.
    pub(super) fn of(&self, input: impl Read + 'static) -> Bytes {
        Box::new(self.bar.wrap_read(input))
    }

    /// Another pass begins. Answers on a terminal are progress enough.
    pub(super) fn begin(&self, pass: Pass) {
        if pass.last && io::stdout().is_terminal() {
            self.bar.finish_and_clear();
            return;
        }
        self.bar.reset();
        self.bar.set_message(pass.why);
        self.bar.enable_steady_tick(TICK);
    }

    /// Reading begins, once.
    pub(crate) fn start(&self) {
        self.bar.enable_steady_tick(TICK);
    }

    pub(crate) fn done(&self) {
        self.bar.finish_and_clear();
    }
}
