//! The threads that wait for the network, so that callers need not be asynchronous.

use std::{io, sync::mpsc};

use thiserror::Error;
use tokio::runtime::{Builder, Runtime};

/// Few: they only wait and move bytes.
const THREADS: usize = 2;

/// A small runtime. It can be used and dropped anywhere, also inside another runtime: tasks are
/// sent to it, and the caller's thread waits on a channel.
pub(super) struct Worker(Option<Runtime>);

impl Worker {
    pub(super) fn start() -> io::Result<Self> {
        Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("portledger-store")
            .enable_all()
            .build()
            .map(|runtime| Self(Some(runtime)))
    }

    /// Starts `task`.
    pub(super) fn run<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Pending<T> {
        let (sender, receiver) = mpsc::sync_channel(1);
        if let Some(runtime) = &self.0 {
            runtime.spawn(async move {
                // Whoever waited may have given up.
                let _ = sender.send(task.await);
            });
        }
        Pending(receiver)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Waiting here would panic inside another runtime.
            runtime.shutdown_background();
        }
    }
}

/// A task under way.
pub(super) struct Pending<T>(mpsc::Receiver<T>);

impl<T> Pending<T> {
    /// Waits for the end of the task.
    pub(super) fn wait(self) -> Result<T, Gone> {
        self.0.recv().map_err(|_| Gone)
    }
}

/// The task ended without a result: something in it panicked, and took only the task along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the answer could not be worked with")]
pub(super) struct Gone;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_can_be_used_and_dropped_inside_another_runtime() {
        let outer = Builder::new_current_thread().build().unwrap();
        outer.block_on(async {
            let worker = Worker::start().unwrap();
            assert_eq!(worker.run(async { 7 }).wait(), Ok(7));
        });
    }

    #[test]
    fn a_panic_in_a_task_stays_there() {
        let worker = Worker::start().unwrap();
        let panicking = worker.run(async {
            assert_eq!(std::hint::black_box(1), 2, "expected by this test");
        });
        assert_eq!(panicking.wait(), Err(Gone));
        assert_eq!(worker.run(async { 7 }).wait(), Ok(7));
    }
}
