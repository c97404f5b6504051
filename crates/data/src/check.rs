//! Finds the images of a data set that cannot be read.

use rayon::prelude::*;

use crate::report::{Report, tell};
use crate::{Dataset, Error, Result};

/// Images read in parallel between two reports.
const GROUP: usize = 256;

/// Reads every sample of `dataset` and calls `broken` with the error of each one that cannot be read, in order. `report` receives the
/// number of samples read.
///
/// ```
/// use std::ops::ControlFlow;
/// use lookahead_data::{Shapes, ShapesConfig, check};
///
/// let shapes = Shapes::draw(&ShapesConfig { train: 10, valid: 1, ..ShapesConfig::default() })?;
/// let mut count = 0;
/// check(shapes.train.as_ref(), &mut |_| count += 1, &mut |_, _| ControlFlow::Continue(()))?;
/// assert_eq!(count, 0);
/// # Ok::<(), lookahead_data::Error>(())
/// ```
///
/// # Errors
/// [`Error::Stopped`] if `report` asked to stop.
#[doc(alias = "verify")]
pub fn check(dataset: &dyn Dataset, broken: &mut dyn FnMut(Error), report: &mut Report<'_>) -> Result<()> {
    for start in (0..dataset.len()).step_by(GROUP) {
        let end = dataset.len().min(start + GROUP);
        let errors: Vec<Option<Error>> = (start..end).into_par_iter().map(|index| dataset.get(index).err()).collect();
        errors.into_iter().flatten().for_each(&mut *broken);
        tell(report, end, Some(dataset.len()))?;
    }
    Ok(())
}
