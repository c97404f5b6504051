//! A part of a grid in which all values occur equally often.

use std::collections::{HashMap, HashSet};

use super::draws::{MOST_DRAWS, coordinate};

/// Different points from which each requested one is chosen.
const CHOICE: usize = 8;

/// Up to `trials` different points of a grid with `counts[axis]` values on each axis; a point is the position of its
/// value on each axis.
///
/// The values of an axis occur equally often or, if `trials` cannot be divided by their number, differ by one; the
/// pairs of values of two axes do so if the choice allows it. A value that was tried more often than others would look
/// better than they do, since its best trial would be the best of more.
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
    level(counts, &mut chosen);
    chosen
}

/// Exchanges points for others until the values of each axis occur equally often, or differ by one.
///
/// On each exchange, the point gets its axis's rarest value instead of the commonest and keeps its other values, so the
/// sum of the squared occurrences falls, and this ends. There is always such a point: those with the commonest value
/// are more than those with the rarest, so not all of them have their twin there.
fn level(counts: &[usize], chosen: &mut [Vec<usize>]) {
    let mut taken: HashSet<Vec<usize>> = chosen.iter().cloned().collect();
    for (axis, &count) in counts.iter().enumerate() {
        let mut occurs = vec![0usize; count];
        chosen.iter().for_each(|point| occurs[point[axis]] += 1);
        // The first of those that occur equally often.
        while let Some(common) = (0..count).rev().max_by_key(|&value| occurs[value])
            && let Some(rare) = (0..count).min_by_key(|&value| occurs[value])
            && occurs[common] > occurs[rare] + 1
        {
            let twin = |point: &[usize]| -> Vec<usize> {
                point.iter().enumerate().map(|(at, &value)| if at == axis { rare } else { value }).collect()
            };
            let is_free = |point: &&mut Vec<usize>| point[axis] == common && !taken.contains(&twin(point));
            let Some(point) = chosen.iter_mut().find(is_free) else { break };
            let new = twin(point);
            taken.remove(point);
            taken.insert(new.clone());
            *point = new;
            (occurs[common], occurs[rare]) = (occurs[common] - 1, occurs[rare] + 1);
        }
    }
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

    /// Where choosing one point after the other runs out of points with the values that are missing.
    #[test]
    fn values_that_were_chosen_too_often_are_exchanged() {
        for (counts, trials, axis, wanted) in [
            (vec![4, 4], 8, 1, vec![2; 4]),
            (vec![6, 4], 12, 0, vec![2; 6]),
            (vec![3, 3, 3], 12, 2, vec![4; 3]),
            (vec![10, 2], 14, 0, vec![1, 1, 1, 1, 1, 1, 2, 2, 2, 2]),
            (vec![5, 4], 6, 0, vec![1, 1, 1, 1, 2]),
        ] {
            assert_eq!(occurrences(&balanced(&counts, trials), &[axis], counts[axis]), wanted, "{counts:?}, {trials}");
        }
    }

    #[test]
    fn the_values_of_an_axis_differ_by_one_at_most() {
        for first in 1..6 {
            for second in 1..6 {
                for third in 1..4 {
                    let counts = [first, second, third];
                    for trials in 1..first * second * third {
                        let points = balanced(&counts, trials);
                        assert_eq!(points.iter().collect::<HashSet<_>>().len(), trials, "{counts:?}");
                        for axis in 0..3 {
                            let found = occurrences(&points, &[axis], counts[axis]);
                            assert!(found[counts[axis] - 1] - found[0] <= 1, "{counts:?}, {trials}: {found:?}");
                        }
                    }
                }
            }
        }
    }

    /// One less than all: there is nothing to choose from.
    #[test]
    fn almost_the_whole_grid_is_drawn() {
        for (counts, trials) in [(vec![6, 2, 2], 23), (vec![7, 3], 20), (vec![2, 2, 2, 2], 15)] {
            assert_eq!(balanced(&counts, trials).iter().collect::<HashSet<_>>().len(), trials, "{counts:?}");
        }
    }
}
