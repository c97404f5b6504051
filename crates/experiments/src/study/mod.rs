//! Studies: comparisons of rows over their settings and seeds.
//!
//! A [`StudyFile`] describes a study; [`Study`] expands it into cells. A cell is a run: a configuration, a seed, and a
//! folder named after its coordinates.

mod axis;
mod balance;
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
