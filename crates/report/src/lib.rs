#![doc = include_str!("../README.md")]
//!
//! # Where things are
//!
//! * reading: [`find`], [`Found`], [`Report`], [`Row`], [`LeftOut`]
//! * figures: [`Metric`], [`metrics`], [`compared`]; [`differences`], [`Comparison`]; [`TimeToTarget`]; published ones: [`references`],
//!   [`Reference`], [`Source`]
//! * the page: [`page`], [`write_page`]; tables: [`text`], [`markdown`], [`markdown_differences`], [`results`], [`results_in`], [`csv`], [`metrics_csv`];
//!   SVG: [`figures`], [`chart`], [`Curve`]
//! * tuning studies: [`StudyReport`], [`StudyRow`], [`Trial`], [`FinalRun`], [`FinalFigures`]; [`study_page`], [`study_markdown`]
//! * writing: [`console`], [`paragraphs`], [`escaped`], [`signed`], [`interval`], [`clock`], [`counted`], [`median`]
#![cfg_attr(feature = "cli", doc = "* the program: [`command`]")]
//!
//! # Why there is no chart library
//!
//! The page must be one file under two megabytes that works offline with fifty runs, prints well, has a light and a
//! dark theme, and has values that a test can read. Suitable libraries (uPlot, 50 kB; Plotly, over 1 MB) use canvas or
//! their own styling. Canvas cannot be printed sharply, styled by the page's CSS or read from the DOM, and seed bands,
//! linked zoom and debiased smoothing would have to be added to any of them.
//!
//! What remains of a library is two scales, ticks and paths: about 300 lines. Written here as SVG, the charts follow
//! the theme through CSS variables, print as vectors, are readable by screen readers and by the browser test, and add
//! no dependency. Curves are thinned first ([`Curve`]), so the cost of SVG per point does not matter: a page of fifty
//! runs draws a few hundred points per line.
#![forbid(unsafe_code)]

mod about;
mod cells;
pub mod chart;
#[cfg(feature = "cli")]
pub mod command;
mod compare;
mod conditions;
pub mod console;
mod copies;
mod csv;
mod data;
mod document;
mod escape;
mod figure;
#[cfg(feature = "cli")]
mod file_name;
mod find;
mod findings;
mod markdown;
mod metric;
mod number;
mod page;
mod palette;
mod pool;
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
mod unpaired;
mod words;

use std::fmt;
use std::path::Path;

use lookahead_runs::{Error, atomic};
use serde::Serialize;

pub use cells::paragraphs;
pub use compare::{Comparison, differences};
pub use csv::{csv, metrics_csv};
pub use document::{results, results_in};
pub use escape::escaped;
pub use figure::figures;
pub use find::{Found, find};
pub use markdown::{markdown, markdown_differences};
pub use metric::{Metric, compared, metrics};
pub use number::{clock, counted, interval, median, signed};
pub use page::page;
pub use reference::{Reference, Source, references};
pub use report::Report;
pub use row::Row;
pub use study::{FinalFigures, FinalRun, StudyReport, StudyRow, Trial, study_markdown, study_page};
pub use target::TimeToTarget;
pub use text::text;
pub use thin::Curve;

/// An item that the report leaves out, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The run, file or folder.
    pub what: String,
    /// The reason, as a phrase.
    pub why: String,
}

impl LeftOut {
    /// `what` was left out for the reason `why`.
    pub fn new(what: impl fmt::Display, why: impl Into<String>) -> Self {
        Self { what: what.to_string(), why: why.into() }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

/// Writes the [`page`] of an experiment to `path`, atomically.
///
/// # Errors
/// [`Error::Output`] if `path` cannot be written.
pub fn write_page(report: &Report, left_out: &[LeftOut], path: &Path) -> lookahead_runs::Result<()> {
    let text = page(report, left_out).map_err(std::io::Error::from).map_err(Error::output("write", path))?;
    atomic::write(path, text.as_bytes())
}
