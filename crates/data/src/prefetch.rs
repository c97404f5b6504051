//! Batches made ahead, on a thread of their own over a bounded channel.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::loader::Plan;
use crate::{Batch, Error, Result};

/// The batches of an epoch: an iterator that ends after the last one or after the first error.
///
/// Dropping it early stops its thread.
#[derive(Debug)]
pub struct Batches {
    source: Source,
    waited: Duration,
}

#[derive(Debug)]
enum Source {
    /// Made when asked for.
    Direct(Plan),
    /// Made ahead by a thread.
    Ahead { receiver: Option<Receiver<Result<Batch>>>, thread: Option<JoinHandle<()>>, left: usize },
}

impl Batches {
    /// The batches of `plan`, so many of them ahead.
    pub(crate) fn start(plan: Plan, prefetch: usize) -> Self {
        let left = plan.left();
        let source = if prefetch == 0 || left == 0 { Source::Direct(plan) } else { Self::spawn(plan, prefetch, left) };
        Self { source, waited: Duration::ZERO }
    }

    fn spawn(plan: Plan, prefetch: usize, left: usize) -> Source {
        let (sender, receiver) = sync_channel(prefetch);
        let work = move || {
            for batch in plan {
                // The other side is gone: nobody wants the rest.
                if sender.send(batch).is_err() {
                    return;
                }
            }
        };
        // A thread that cannot be started drops `sender`, which the first `next` reports.
        let thread = std::thread::Builder::new().name("lookahead-loader".into()).spawn(work).ok();
        Source::Ahead { receiver: Some(receiver), thread, left }
    }

    /// Time that [`next`](Iterator::next) has waited for data so far.
    pub fn waited(&self) -> Duration {
        self.waited
    }
}

impl Iterator for Batches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Result<Batch>> {
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

impl Drop for Batches {
    fn drop(&mut self) {
        if let Source::Ahead { receiver, thread, .. } = &mut self.source {
            drop(receiver.take());
            if let Some(thread) = thread.take() {
                // Its panic, if any, was reported by `next` or is of no more interest.
                let _ = thread.join();
            }
        }
    }
}
