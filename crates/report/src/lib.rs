#![doc = include_str!("../README.md")]
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
#![forbid(unsafe_code)]

mod about;
mod cells;
pub mod chart;
#[cfg(feature = "cli")]
pub mod command;
mod compare;
pub mod console;
mod csv;
mod data;
mod document;
mod escape;
mod figure;
mod find;
mod findings;
mod markdown;
mod metric;
mod number;
mod page;
mod palette;
mod reference;
mod report;
mod row;
mod scored;
mod settings;
mod study;
mod sums;
mod target;
#[cfg(test)]
mod testing;
mod text;
mod thin;
mod words;

use std::fmt;
use std::path::Path;

use lookahead_runs::{Error, atomic};
use serde::Serialize;

pub use cells::paragraphs;
pub use compare::{Comparison, differences};
pub use csv::{csv, metrics_csv};
pub use document::results;
pub use escape::escaped;
pub use figure::figures;
pub use find::{Found, find};
pub use markdown::{markdown, markdown_differences};
pub use metric::{Metric, compared, metrics};
pub use number::{clock, interval, signed};
pub use page::page;
pub use reference::{Reference, Source, references};
pub use report::Report;
pub use row::Row;
pub use study::{FinalFigures, FinalRun, StudyReport, StudyRow, Trial, study_markdown, study_page};
pub use target::TimeToTarget;
pub use text::text;
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

/// Writes the [`page`] of an experiment to `path`; the file is whole or not there.
///
/// # Errors
/// [`Error::Output`] when `path` cannot be written.
pub fn write_page(report: &Report, left_out: &[LeftOut], path: &Path) -> lookahead_runs::Result<()> {
    let text = page(report, left_out).map_err(std::io::Error::from).map_err(Error::output("write", path))?;
    atomic::write(path, text.as_bytes())
}
