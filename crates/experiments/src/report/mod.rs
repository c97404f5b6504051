//! The report: run folders in, a page, tables and figures out.
//!
//! ```no_run
//! use lookahead_experiments::report::{Experiment, find, markdown, write_page};
//!
//! let mut left_out = Vec::new();
//! for found in find(&["runs".into()], &mut left_out) {
//!     let experiment = Experiment::read(&found);
//!     write_page(&experiment, &left_out, &found.folder.join("report.html"))?;
//!     println!("{}", markdown(&experiment));
//! }
//! # Ok::<(), lookahead_experiments::Error>(())
//! ```
//!
//! Reading never fails: a folder that is being written, half-written or damaged gives what it holds, and a [`LeftOut`]
//! says what it does not and why. Only finished runs count in tables and comparisons; the others are in the curves.
//!
//! # Why the charts are our own
//!
//! The page must be one file under two megabytes that works offline for fifty runs, on paper and in both themes, and
//! whose values a test can read. The chart libraries that would do (uPlot, 50 kB; Plotly, over 1 MB) bring canvas or
//! their own styling: canvas cannot be printed sharply, styled by the page's CSS or read from the DOM, and seed bands,
//! linked zoom and debiased smoothing would be written on top in any case. What is left of a library is two scales, ticks
//! and paths, some 300 lines; written here as SVG they follow the theme through CSS variables, print as vectors, are open
//! to a screen reader and to the browser test, and add no dependency to keep up to date. Thinning ([`Curve`]) is done
//! before, so that SVG's cost per point never shows: a page of fifty runs draws some hundred points a line.

mod compare;
mod data;
mod experiment;
mod figure;
mod find;
mod log;
mod page;
mod palette;
mod results;
mod run;
mod settings;
mod sums;
mod table;
mod thin;

use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::atomic;
use crate::error::{Error, Result};

pub use compare::{COMPARED, Comparison};
pub use experiment::{Experiment, METRICS, Metric, Row};
pub use figure::figures;
pub use find::{Found, find};
pub use log::{EpochPoint, Log, StepPoint};
pub(crate) use page::escaped;
pub use page::page;
pub use results::results;
pub use run::{Figures, Run, Status};
pub use table::{csv, markdown, markdown_differences, metrics_csv};
pub use thin::Curve;

/// Something the report does not hold, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The run, file or folder.
    pub what: String,
    /// The reason, a phrase.
    pub why: String,
}

impl LeftOut {
    /// `what` was left out because of `why`.
    pub fn new(what: impl fmt::Display, why: impl Into<String>) -> Self {
        Self { what: what.to_string(), why: why.into() }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

/// Writes the page of an experiment to `path`; the file is whole or not there.
///
/// # Errors
/// [`Error::Output`] when `path` cannot be written.
pub fn write_page(experiment: &Experiment, left_out: &[LeftOut], path: &Path) -> Result<()> {
    let text = page(experiment, left_out).map_err(std::io::Error::from).map_err(Error::output("write", path))?;
    atomic::write(path, text.as_bytes())
}
