//! Progress of long work: a bar on a terminal, a line every ten seconds elsewhere.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use super::Progress;

/// The pause between two lines in a log.
const PAUSE: Duration = Duration::from_secs(10);

/// Progress of listing, reading or decoding files.
#[derive(Debug)]
pub(crate) struct Counting<'a> {
    progress: &'a Progress,
    bar: ProgressBar,
    what: String,
    said: Instant,
}

impl<'a> Counting<'a> {
    /// `what` names the work, such as `decoding photos/train`.
    pub(crate) fn new(progress: &'a Progress, what: String) -> Self {
        let bar = progress.images();
        bar.set_message(what.clone());
        Self { progress, bar, what, said: Instant::now() }
    }

    /// Reports that `done` of `total` files are done. Never asks to stop.
    pub(crate) fn at(&mut self, done: usize, total: Option<usize>) -> ControlFlow<()> {
        self.bar.set_length(total.unwrap_or(done) as u64);
        self.bar.set_position(done as u64);
        if self.bar.is_hidden() && self.said.elapsed() > PAUSE {
            self.said = Instant::now();
            let of = total.map(|total| format!(" of {total}")).unwrap_or_default();
            self.progress.note(&format!("{}: {done}{of}", self.what));
        }
        ControlFlow::Continue(())
    }
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
