//! From when to when the log is complete, and for which ports.

use portledger_model::{Span, Timestamp, Transport};
use portledger_servers::connection_log::{Ports, Watched};

/// The times that marks vouch for.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    spans: Vec<(Span, Watched)>,
    /// What goes on in the file that is read: from when, and up to when it is known to be whole.
    open: Option<(Span, Watched)>,
}

impl Coverage {
    /// A file vouches for itself only: another between two may be missing.
    pub(super) fn file(&mut self) {
        self.end_of_file();
    }

    pub(super) fn begins(&mut self, at: Timestamp, watched: Watched) {
        // Where the mark before was no stop, the watcher was killed.
        self.end_of_file();
        self.open = Some((Span::new(at, at), watched));
    }

    pub(super) fn complete(&mut self, at: Timestamp) {
        if let Some((span, _)) = &mut self.open {
            span.to = span.to.max(at);
        }
    }

    pub(super) fn stop(&mut self, at: Timestamp) {
        self.complete(at);
        self.end_of_file();
    }

    pub(super) fn end_of_file(&mut self) {
        self.spans
            .extend(self.open.take().filter(|(span, _)| !span.is_empty()));
    }

    /// Whether each instant of the window is vouched for, for these ports of the transport; of
    /// both transports where it is not known.
    pub(super) fn covers(&self, window: Span, transport: Option<Transport>, ports: &Ports) -> bool {
        let mut spans: Vec<Span> = self
            .spans
            .iter()
            .filter(|(span, watched)| {
                span.overlaps(window)
                    && match transport {
                        Some(Transport::Udp) => includes(&watched.udp, ports),
                        Some(_) => includes(&watched.tcp, ports),
                        None => includes(&watched.tcp, ports) && includes(&watched.udp, ports),
                    }
            })
            .map(|(span, _)| *span)
            .collect();
        spans.sort_unstable_by_key(|span| span.from);
        let mut covered = window.from;
        for span in spans {
            if span.from > covered {
                return false;
            }
            covered = covered.max(span.to);
        }
        covered >= window.to
    }
}

fn includes(watched: &Ports, ports: &Ports) -> bool {
    match ports {
        Ports::None => true,
        Ports::All => *watched == Ports::All,
        Ports::These(ports) => ports.iter().all(|port| watched.contains(*port)),
    }
}
