//! Progress of long tasks, and stopping them.

use std::ops::ControlFlow;

use crate::{Error, Result};

/// A progress callback. It receives the number of images done, and the total if known. Return [`ControlFlow::Break`] to stop the task with
/// [`Error::Stopped`].
///
/// ```
/// use std::ops::ControlFlow;
///
/// let mut last = 0;
/// let mut report = |done: usize, _total: Option<usize>| {
///     last = done;
///     ControlFlow::Continue(())
/// };
/// let report: &mut lookahead_data::Report<'_> = &mut report;
/// ```
pub type Report<'a> = dyn FnMut(usize, Option<usize>) -> ControlFlow<()> + 'a;

/// Ignores progress and never stops.
pub(crate) fn quiet(_done: usize, _total: Option<usize>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Reports progress; [`Error::Stopped`] if the callback asked to stop.
pub(crate) fn tell(report: &mut Report<'_>, done: usize, total: Option<usize>) -> Result<()> {
    match report(done, total) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Error::Stopped { done, total: total.unwrap_or(done) }),
    }
}
