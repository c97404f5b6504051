//! A part of a grid in which all values occur equally often.

use std::collections::{HashMap, HashSet};

use super::draws::{MOST_DRAWS, coordinate};

/// Different points from which each requested one is chosen.
const CHOICE: usize = 8;

/// Up to `trials` different points of a grid with `counts[axis]` values on each axis; a point is the position of its
/// value on each axis.
///
/// Each value occurs equally often, as far as `trials` can be divided by their number, and so does each pair of values
/// of two axes if the choice allows it. A value that was tried more often than others would look better than they do,
/// since its best trial would be the best of more.
pub(super) fn balanced(counts: &[usize], trials: usize) -> Vec<Vec<usize>> {
    let mut left = draws(counts, trials);
    let mut tally = Tally { counts, trials, taken: HashMap::new() };
    let mut chosen = Vec::with_capacity(trials);
    for equal in [Equal::Pairs, Equal::Values, Equal::Nothing] {
        left.retain(|point| {
            let is_chosen = chosen.len() < trials && tally.has_room(point, equal);
            if is_chosen {
                tally.take(point);
                chosen.push(point.clone());
            }
            !is_chosen
        });
    }
    chosen
}

/// Different points, spread over the grid.
fn draws(counts: &[usize], trials: usize) -> Vec<Vec<usize>> {
    let grid = counts.iter().fold(1usize, |grid, count| grid.saturating_mul(*count));
    let draw = |number: usize| -> Vec<usize> {
        counts.iter().enumerate().map(|(axis, count)| (coordinate(number, axis) * *count as f64) as usize).collect()
    };
    let mut seen = HashSet::new();
    let new = (0..trials.saturating_mul(MOST_DRAWS)).map(draw).filter(|point| seen.insert(point.clone()));
    new.take(grid.min(trials.saturating_mul(CHOICE))).collect()
}

/// What must occur equally often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Equal {
    /// The values of each axis, and the pairs of values of two axes.
    Pairs,
    /// The values of each axis.
    Values,
    Nothing,
}

/// A value: its axis, and its position there.
type Value = (usize, usize);

/// How often each value and each pair of values was taken.
#[derive(Debug)]
struct Tally<'a> {
    counts: &'a [usize],
    trials: usize,
    /// By pair; a value is its own partner.
    taken: HashMap<[Value; 2], usize>,
}

impl Tally<'_> {
    /// Whether no value and no pair of `point` has its share already.
    fn has_room(&self, point: &[usize], equal: Equal) -> bool {
        pairs(point).all(|pair| {
            let [(one, _), (other, _)] = pair;
            let kinds = if one == other { self.counts[one] } else { self.counts[one] * self.counts[other] };
            let is_free = equal == Equal::Nothing || equal == Equal::Values && one != other;
            is_free || self.taken.get(&pair).copied().unwrap_or(0) < self.trials.div_ceil(kinds)
        })
    }

    fn take(&mut self, point: &[usize]) {
        pairs(point).for_each(|pair| *self.taken.entry(pair).or_default() += 1);
    }
}

/// The values of a point, each with itself and with those of the axes after its own.
fn pairs(point: &[usize]) -> impl Iterator<Item = [Value; 2]> {
    let value = |axis: usize| (axis, point[axis]);
    (0..point.len()).flat_map(move |one| (one..point.len()).map(move |other| [value(one), value(other)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often each value of an axis, or each pair of values of two, occurs.
    fn occurrences(points: &[Vec<usize>], axes: &[usize], kinds: usize) -> Vec<usize> {
        let mut found: HashMap<Vec<usize>, usize> = HashMap::new();
        for point in points {
            *found.entry(axes.iter().map(|&axis| point[axis]).collect()).or_default() += 1;
        }
        let mut counts: Vec<usize> = found.into_values().collect();
        counts.resize(kinds, 0);
        counts.sort_unstable();
        counts
    }

    /// Six rates, two step sizes and two periods in twelve trials: each rate twice, with both step sizes.
    #[test]
    fn half_of_a_grid_has_each_value_equally_often() {
        let points = balanced(&[6, 2, 2], 12);
        assert_eq!(points.iter().collect::<HashSet<_>>().len(), 12);
        assert_eq!(occurrences(&points, &[0], 6), [2; 6]);
        assert_eq!(occurrences(&points, &[1], 2), [6; 2]);
        assert_eq!(occurrences(&points, &[2], 2), [6; 2]);
        assert_eq!(occurrences(&points, &[0, 1], 12), [1; 12]);
        assert_eq!(occurrences(&points, &[1, 2], 4), [3; 4]);
    }

    #[test]
    fn what_cannot_be_divided_differs_by_one() {
        assert_eq!(occurrences(&balanced(&[3, 2], 5), &[0], 3), [1, 2, 2]);
        assert_eq!(occurrences(&balanced(&[3, 2], 5), &[1], 2), [2, 3]);
        // One axis alone: spread over it.
        assert_eq!(occurrences(&balanced(&[10], 4), &[0], 10), [0, 0, 0, 0, 0, 0, 1, 1, 1, 1]);
    }

    /// One less than all: nothing can be chosen, so the shares cannot be kept.
    #[test]
    fn almost_the_whole_grid_is_drawn() {
        for (counts, trials) in [(vec![6, 2, 2], 23), (vec![7, 3], 20), (vec![2, 2, 2, 2], 15)] {
            assert_eq!(balanced(&counts, trials).iter().collect::<HashSet<_>>().len(), trials, "{counts:?}");
        }
    }
}
