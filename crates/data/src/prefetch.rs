//! Batches prepared ahead, on a separate thread over a bounded channel.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::{Batch, Error, Result};

/// The batches of an epoch. The iterator ends after the last batch or after the first error.
///
/// Dropping it early stops its thread.
pub struct Batches<B = Batch> {
    source: Source<B>,
    waited: Duration,
}

impl<B> std::fmt::Debug for Batches<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batches").field("waited", &self.waited).finish_non_exhaustive()
    }
}

enum Source<B> {
    /// Made on request.
    Direct(Box<dyn Iterator<Item = Result<B>> + Send>),
    /// Prepared ahead by a thread.
    Ahead { receiver: Option<Receiver<Result<B>>>, thread: Option<JoinHandle<()>>, left: usize },
}

impl<B: Send + 'static> Batches<B> {
    /// The `left` batches of `plan`, with `prefetch` of them prepared ahead.
    pub(crate) fn start(plan: impl Iterator<Item = Result<B>> + Send + 'static, left: usize, prefetch: usize) -> Self {
        let source = match prefetch == 0 || left == 0 {
            true => Source::Direct(Box::new(plan)),
            false => Self::spawn(plan, prefetch, left),
        };
        Self { source, waited: Duration::ZERO }
    }

    fn spawn(plan: impl Iterator<Item = Result<B>> + Send + 'static, prefetch: usize, left: usize) -> Source<B> {
        let (sender, receiver) = sync_channel(prefetch.min(left));
        let work = move || {
            for batch in plan {
                // The receiver was dropped: stop.
                if sender.send(batch).is_err() {
                    return;
                }
            }
        };
        // A thread that cannot be started drops `sender`, which the first `next` reports.
        let thread = std::thread::Builder::new().name("lookahead-loader".into()).spawn(work).ok();
        Source::Ahead { receiver: Some(receiver), thread, left }
    }
}

impl<B> Batches<B> {
    /// Total time that [`next`](Iterator::next) has waited for data.
    pub fn waited(&self) -> Duration {
        self.waited
    }
}

impl<B> Iterator for Batches<B> {
    type Item = Result<B>;

    fn next(&mut self) -> Option<Result<B>> {
        let start = Instant::now();
        let batch = match &mut self.source {
            Source::Direct(plan) => plan.next(),
            Source::Ahead { left: 0, .. } => None,
            Source::Ahead { receiver, thread, left } => {
                *left -= 1;
                let received = receiver.as_ref().and_then(|receiver| receiver.recv().ok());
                let batch = received.unwrap_or_else(|| Err(stopped(thread.take())));
                if batch.is_err() {
                    *left = 0;
                }
                Some(batch)
            }
        };
        self.waited += start.elapsed();
        batch
    }
}

fn stopped(thread: Option<JoinHandle<()>>) -> Error {
    let problem = match thread.map(JoinHandle::join) {
        None => "it could not be started".to_string(),
        Some(Ok(())) => "it ended early".to_string(),
        Some(Err(panic)) => {
            match panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref().copied()) {
                Some(message) => format!("it panicked: {message}"),
                None => "it panicked".to_string(),
            }
        }
    };
    Error::Loader { problem }
}

impl<B> Drop for Batches<B> {
    fn drop(&mut self) {
        if let Source::Ahead { receiver, thread, .. } = &mut self.source {
            drop(receiver.take());
            if let Some(thread) = thread.take() {
                // `next` has reported a panic, or the iterator was dropped before.
                let _ = thread.join();
            }
        }
    }
}
