//! The points of a row in the space of its axes.

use std::collections::{BTreeMap, HashSet};

use toml::Value;

use super::axis::Axis;
use super::balance::balanced;
use super::draws::{MOST_AXES, MOST_DRAWS, coordinate};
use super::error::StudyError;
use super::file::{RowFile, StudyFile};

/// The points of a row: its full grid, or `trials` points of it or of its ranges.
pub(super) fn points(file: &StudyFile, row: &RowFile) -> Result<Vec<BTreeMap<String, Value>>, StudyError> {
    // The row's axes come first, so that rows with the same axes get the same values.
    let axes: Vec<(&String, &Axis)> = row.axes.iter().chain(&file.axes).collect();
    let wrong = |reason: String| StudyError::Trials { row: row.name().to_owned(), reason };
    if axes.len() > MOST_AXES {
        return Err(wrong(format!("it has {} axes, but at most {MOST_AXES} are supported", axes.len())));
    }
    let product: Option<usize> = axes.iter().try_fold(1usize, |product, (_, axis)| product.checked_mul(axis.count()?));
    let points = match (product, file.trials) {
        (None, None) => return Err(wrong("it has a range; set `trials`, the number of settings per row".to_owned())),
        (Some(product), Some(trials)) if product < trials => {
            return Err(wrong(format!("its lists have only {product} combinations, but `trials` is {trials}")));
        }
        (Some(product), Some(trials)) if product > trials => {
            let counts: Vec<usize> = axes.iter().filter_map(|(_, axis)| axis.count()).collect();
            balanced(&counts, trials).iter().map(|positions| at(&axes, positions)).collect()
        }
        (Some(product), _) => (0..product).map(|number| at(&axes, &grid_point(&axes, number))).collect(),
        (None, Some(trials)) => drawn(&axes, trials),
    };
    match file.trials.filter(|trials| points.len() < *trials) {
        None => Ok(points),
        Some(trials) => {
            Err(wrong(format!("only {} different settings could be drawn, but `trials` is {trials}", points.len())))
        }
    }
}

/// Up to `trials` different points, drawn from axes of which at least one is a range.
fn drawn(axes: &[(&String, &Axis)], trials: usize) -> Vec<BTreeMap<String, Value>> {
    let mut seen = HashSet::new();
    let draw = |number: usize| -> Option<BTreeMap<String, Value>> {
        let value = |(at, (key, axis)): (usize, &(&String, &Axis))| {
            axis.draw(coordinate(number, at)).map(|value| ((*key).clone(), value))
        };
        axes.iter().enumerate().map(value).collect()
    };
    let draws = (0..trials.saturating_mul(MOST_DRAWS)).filter_map(draw);
    draws.filter(|point| seen.insert(format!("{point:?}"))).take(trials).collect()
}

/// Point `number` of the product of the lists; the last axis varies fastest.
fn grid_point(axes: &[(&String, &Axis)], mut number: usize) -> Vec<usize> {
    let mut positions = vec![0; axes.len()];
    for (position, (_, axis)) in positions.iter_mut().zip(axes).rev() {
        let count = axis.count().unwrap_or(1);
        *position = number % count;
        number /= count;
    }
    positions
}

/// The values at these positions of the lists.
fn at(axes: &[(&String, &Axis)], positions: &[usize]) -> BTreeMap<String, Value> {
    let value = |((key, axis), position): (&(&String, &Axis), &usize)| Some(((*key).clone(), axis.value(*position)?));
    axes.iter().zip(positions).filter_map(value).collect()
}
