//! Studies: which settings of which rows are tried, and with which seeds.
//!
//! A file says it ([`StudyFile`]); [`Study`] makes the cells of it. A cell is a run: its configuration, its seed, and a folder whose name spells
//! its coordinates.

mod axis;
mod draws;
mod error;
mod expand;
mod file;
mod patch;
mod points;

pub use axis::{Axis, Range, Scale};
pub use error::StudyError;
pub use expand::{Setting, Study};
pub use file::{RowFile, SlurmFile, StudyFile};
