//! Statistics for comparisons after tuning: expected best trial, probability of improvement, several comparisons at
//! once.

/// Expected best of k trials, drawn from `values` without replacement, for k from 1 to their number: entry k - 1.
///
/// Larger is better: negate losses. Give diverged trials the worst possible value.
///
/// ```
/// use lookahead_runs::expected_best;
/// // One of 1, 2, 6: 3 on average. Two of them: 2, 6 or 6.
/// assert_eq!(expected_best(&[6.0, 1.0, 2.0]), [3.0, 14.0 / 3.0, 6.0]);
/// ```
pub fn expected_best(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    let expected = |k: usize| {
        // The i-th smallest, from 1, is the best of k with probability C(i - 1, k - 1) / C(n, k); from the largest
        // down.
        let mut probability = k as f64 / n as f64;
        let mut sum = 0.0;
        for i in (k..=n).rev() {
            sum += probability * sorted[i - 1];
            if i > k {
                probability *= (i - k) as f64 / (i - 1) as f64;
            }
        }
        sum
    };
    (1..=n).map(expected).collect()
}

/// Probability of improvement: the probability that a run of ours is better than a run of theirs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Improvement {
    /// Fraction of all pairs (our run, their run) in which ours is larger, 0 to 1; ties count half.
    pub chance: f64,
    /// Lower end of the 95 % interval: percentiles of 2,000 bootstrap samples, always the same ones.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// Number of bootstrap samples per interval.
const SAMPLES: usize = 2_000;

impl Improvement {
    /// Compares `ours` with `theirs`, where larger is better; `None` if either is empty.
    ///
    /// ```
    /// use lookahead_runs::Improvement;
    /// let found = Improvement::of(&[3.0, 5.0], &[1.0, 4.0]).unwrap();
    /// assert_eq!(found.chance, 0.75); // 3 > 1, 3 < 4, 5 > 1, 5 > 4
    /// assert_eq!((found.low, found.high), (0.0, 1.0));
    /// ```
    pub fn of(ours: &[f64], theirs: &[f64]) -> Option<Self> {
        if ours.is_empty() || theirs.is_empty() {
            return None;
        }
        let mut draws = Draws(0x5EED);
        let mut sample =
            |values: &[f64]| -> Vec<f64> { (0..values.len()).map(|_| values[draws.below(values.len())]).collect() };
        let mut chances: Vec<f64> = (0..SAMPLES).map(|_| chance(&sample(ours), &sample(theirs))).collect();
        chances.sort_by(f64::total_cmp);
        let at = |share: f64| chances[(share * (SAMPLES - 1) as f64).round() as usize];
        Some(Self { chance: chance(ours, theirs), low: at(0.025), high: at(0.975) })
    }
}

fn chance(ours: &[f64], theirs: &[f64]) -> f64 {
    let won = |our: &f64, their: &f64| if our > their { 1.0 } else { f64::from(u8::from(our == their)) * 0.5 };
    let sum: f64 = ours.iter().map(|our| theirs.iter().map(|their| won(our, their)).sum::<f64>()).sum();
    sum / (ours.len() * theirs.len()) as f64
}

/// SplitMix64: random integers for resampling.
struct Draws(u64);

impl Draws {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((u128::from(z ^ (z >> 31)) * count as u128) >> 64) as usize
    }
}

/// The p values `p` of several comparisons, corrected by Holm's method (1979), in the same order. Compare each with
/// 0.05 as if it were the only one.
///
/// ```
/// use lookahead_runs::holm;
/// assert_eq!(holm(&[0.01, 0.04, 0.03]), [0.03, 0.06, 0.06]);
/// ```
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let (mut corrected, mut largest) = (vec![0.0; p.len()], 0.0f64);
    for (rank, &at) in order.iter().enumerate() {
        largest = largest.max((p[at] * (p.len() - rank) as f64).min(1.0));
        corrected[at] = largest;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against the average over all subsets.
    #[test]
    fn the_best_of_k_is_the_average_over_all_choices() {
        let values = [3.0, -1.0, 4.0, 1.0, 5.0, 4.0];
        let found = expected_best(&values);
        for k in 1..=values.len() {
            let (mut sum, mut count) = (0.0, 0.0);
            for set in 0u32..1 << values.len() {
                if set.count_ones() as usize == k {
                    let chosen = (0..values.len()).filter(|bit| set >> bit & 1 == 1).map(|bit| values[bit]);
                    sum += chosen.fold(f64::NEG_INFINITY, f64::max);
                    count += 1.0;
                }
            }
            assert!((found[k - 1] - sum / count).abs() < 1e-12, "{k}: {found:?}");
        }
        assert!(expected_best(&[]).is_empty());
    }

    #[test]
    fn chances_know_certainty_and_ties() {
        let sure = Improvement::of(&[2.0, 3.0, 4.0], &[1.0, 0.0]).unwrap();
        assert_eq!((sure.chance, sure.low, sure.high), (1.0, 1.0, 1.0));
        assert_eq!(Improvement::of(&[1.0], &[1.0]).unwrap().chance, 0.5);
        assert_eq!(Improvement::of(&[], &[1.0]), None);
        // A loss that diverged is worse than any.
        assert_eq!(Improvement::of(&[f64::NEG_INFINITY], &[0.0]).unwrap().chance, 0.0);
    }

    #[test]
    fn holm_never_orders_anew_and_never_passes_one() {
        assert_eq!(holm(&[0.5, 0.9]), [1.0, 1.0]);
        assert_eq!(holm(&[0.02, 0.02]), [0.04, 0.04]);
        assert!(holm(&[]).is_empty());
    }
}
