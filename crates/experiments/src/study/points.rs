//! The points of a row in the space of its axes.

use std::collections::{BTreeMap, HashSet};

use toml::Value;

use super::axis::Axis;
use super::draws::{MOST_AXES, coordinate};
use super::error::StudyError;
use super::file::{RowFile, StudyFile};

/// The points of a row: its full grid, or `trials` points drawn from its axes.
pub(super) fn points(file: &StudyFile, row: &RowFile) -> Result<Vec<BTreeMap<String, Value>>, StudyError> {
    // The row's axes come first, so that rows with the same axes get the same values.
    let axes: Vec<(&String, &Axis)> = row.axes.iter().chain(&file.axes).collect();
    let wrong = |reason: String| StudyError::Trials { row: row.name().to_owned(), reason };
    if axes.len() > MOST_AXES {
        return Err(wrong(format!("it has {} axes, but at most {MOST_AXES} are supported", axes.len())));
    }
    let product: Option<usize> = axes.iter().try_fold(1usize, |product, (_, axis)| product.checked_mul(axis.count()?));
    let all = match (product, file.trials) {
        (None, None) => return Err(wrong("it has a range; set `trials`, the number of settings per row".to_owned())),
        (Some(product), None) => return Ok((0..product).map(|number| grid_point(&axes, number)).collect()),
        (Some(product), Some(trials)) if product == trials => {
            return Ok((0..product).map(|number| grid_point(&axes, number)).collect());
        }
        (Some(product), Some(trials)) if product < trials => {
            return Err(wrong(format!("its lists have only {product} combinations, but `trials` is {trials}")));
        }
        (_, Some(trials)) => trials,
    };
    let (mut points, mut seen) = (Vec::with_capacity(all), HashSet::new());
    for number in 0..all.saturating_mul(MOST_DRAWS) {
        let drawn = axes
            .iter()
            .enumerate()
            .map(|(at, (key, axis))| axis.draw(coordinate(number, at)).map(|value| ((*key).clone(), value)));
        let point: Option<BTreeMap<String, Value>> = drawn.collect();
        if let Some(point) = point.filter(|point| seen.insert(format!("{point:?}"))) {
            points.push(point);
        }
        if points.len() == all {
            return Ok(points);
        }
    }
    Err(wrong(format!("only {} different settings could be drawn, but `trials` is {all}", points.len())))
}

/// Draws per requested setting, since some draws repeat others.
const MOST_DRAWS: usize = 100;

/// Point `number` of the product of the lists; the last axis varies fastest.
fn grid_point(axes: &[(&String, &Axis)], mut number: usize) -> BTreeMap<String, Value> {
    let mut point = BTreeMap::new();
    for (key, axis) in axes.iter().rev() {
        let count = axis.count().unwrap_or(1);
        point.extend(axis.value(number % count).map(|value| ((*key).clone(), value)));
        number /= count;
    }
    point
}
