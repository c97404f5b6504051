//! Means, standard deviations, and differences paired by seed.

use serde::{Deserialize, Serialize};

/// Mean and sample standard deviation over seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Arithmetic mean.
    pub mean: f64,
    /// Sample standard deviation (divisor n - 1); `None` for a single value.
    pub std: Option<f64>,
}

impl Spread {
    /// Mean and sample standard deviation of `values`; `None` if there are none.
    ///
    /// ```
    /// use lookahead_runs::Spread;
    /// assert_eq!(Spread::of(&[1.0, 2.0, 3.0]), Some(Spread { mean: 2.0, std: Some(1.0) }));
    /// assert_eq!(Spread::of(&[4.0]), Some(Spread { mean: 4.0, std: None }));
    /// assert_eq!(Spread::of(&[]), None);
    /// ```
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let std = (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt());
        Some(Self { mean, std })
    }
}

/// Maximum spread of differences caused by rounding, relative to the values: the relative error of each value is up to
/// 1.1e-16.
const ROUNDING: f64 = 16.0 * f64::EPSILON;

/// A difference between two optimizers, paired by seed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PairedDifference {
    /// Number of pairs, at least 2.
    pub pairs: usize,
    /// Mean of the differences.
    pub mean: f64,
    /// Lower end of the 95 % confidence interval (Student's t).
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// Effect size: mean over standard deviation of the differences (Cohen's d of paired samples).
    pub effect_size: f64,
}

impl PairedDifference {
    /// The difference ours - theirs over `(ours, theirs)` pairs.
    ///
    /// `None` if the noise cannot be estimated: with fewer than two pairs, if all differences are equal up to rounding,
    /// or if a value is not finite.
    ///
    /// ```
    /// use lookahead_runs::PairedDifference;
    /// let difference = PairedDifference::of(&[(3.0, 1.0), (4.0, 3.0), (5.0, 2.0)]).unwrap();
    /// assert_eq!(difference.mean, 2.0);
    /// assert_eq!(difference.effect_size, 2.0);
    /// // t(2) at 97.5 % is 4.3027, the standard error 1/sqrt(3): 2 +- 2.484.
    /// assert!(!difference.is_distinguishable());
    /// assert_eq!(PairedDifference::of(&[(3.0, 1.0), (4.0, 2.0)]), None);
    /// ```
    pub fn of(pairs: &[(f64, f64)]) -> Option<Self> {
        let differences: Vec<f64> = pairs.iter().map(|(ours, theirs)| ours - theirs).collect();
        if differences.len() < 2 {
            return None;
        }
        let Spread { mean, std } = Spread::of(&differences)?;
        let largest = pairs.iter().fold(0f64, |largest, (ours, theirs)| largest.max(ours.abs()).max(theirs.abs()));
        let std = std.filter(|std| *std > ROUNDING * largest)?;
        let n = differences.len() as f64;
        let half = t_quantile(0.975, n - 1.0) * std / n.sqrt();
        Some(Self { pairs: differences.len(), mean, low: mean - half, high: mean + half, effect_size: mean / std })
    }

    /// Two-sided p value (Student's t): the probability of a mean at least this far from zero if there is no true
    /// difference.
    ///
    /// ```
    /// use lookahead_runs::PairedDifference;
    /// let difference = PairedDifference::of(&[(3.0, 1.0), (4.0, 3.0), (5.0, 2.0)]).unwrap();
    /// // t = 2 sqrt(3) = 3.464 at two degrees of freedom.
    /// assert!((difference.p_value() - 0.0742).abs() < 1e-4);
    /// ```
    pub fn p_value(&self) -> f64 {
        let n = self.pairs as f64;
        2.0 * (1.0 - t_distribution(self.effect_size.abs() * n.sqrt(), n - 1.0))
    }

    /// The smallest true difference that this many pairs with this noise would detect in four of five experiments:
    /// power 80 %, level 5 %.
    ///
    /// ```
    /// use lookahead_runs::PairedDifference;
    /// let difference = PairedDifference::of(&[(3.0, 1.0), (4.0, 3.0), (5.0, 2.0)]).unwrap();
    /// // 5.6535 standard errors of 1/sqrt(3)
    /// assert!((difference.smallest_visible() - 3.2640).abs() < 1e-3);
    /// ```
    pub fn smallest_visible(&self) -> f64 {
        let freedom = self.pairs as f64 - 1.0;
        let error = 0.5 * (self.high - self.low) / t_quantile(0.975, freedom);
        error * visible_errors(freedom)
    }

    /// True if the interval excludes zero.
    pub fn is_distinguishable(&self) -> bool {
        self.low > 0.0 || self.high < 0.0
    }
}

/// Pairs `(ours, theirs)` for [`PairedDifference::of`] from lists of `(seed, value)`: one per seed that both lists
/// have. If a list has a seed twice, its first value counts: a repetition of a run is no further evidence.
pub fn by_seed(ours: &[(u64, f64)], theirs: &[(u64, f64)]) -> Vec<(f64, f64)> {
    let of = |list: &[(u64, f64)], seed: u64| list.iter().find(|(own, _)| *own == seed).map(|(_, value)| *value);
    let is_first = |at: usize, seed: u64| ours[..at].iter().all(|(before, _)| *before != seed);
    let seeds = ours.iter().enumerate().filter(|(at, (seed, _))| is_first(*at, *seed));
    seeds.filter_map(|(_, &(seed, value))| Some((value, of(theirs, seed)?))).collect()
}

/// The true difference, in standard errors, with which the two-sided test of level 5 % has a power of 80 %, by
/// bisection.
///
/// The square of t has a noncentral F distribution: a mixture, with Poisson weights, of beta distributions.
fn visible_errors(freedom: f64) -> f64 {
    /// With one degree of freedom, the fewest, it is 16.334.
    const MOST: f64 = 20.0;
    /// The Poisson weights have at most the mean 200, and beyond twice that they are below 1e-30.
    const TERMS: u32 = 400;
    let point = t_quantile(0.975, freedom).powi(2);
    let x = point / (freedom + point);
    let within: Vec<f64> = (0..TERMS).map(|term| regularized_beta(x, 0.5 + f64::from(term), 0.5 * freedom)).collect();
    let power = |errors: f64| {
        let mean = 0.5 * errors * errors;
        let (mut weight, mut missed) = ((-mean).exp(), 0.0);
        for (term, within) in (1..).zip(&within) {
            missed += weight * within;
            weight *= mean / f64::from(term);
        }
        1.0 - missed
    };
    let (mut low, mut high) = (0.0, MOST);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if power(middle) < 0.8 { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// The `p` quantile of Student's t with `freedom` degrees of freedom, by bisection of its distribution function.
fn t_quantile(p: f64, freedom: f64) -> f64 {
    let (mut low, mut high) = (-1e3, 1e3);
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if t_distribution(middle, freedom) < p { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// Student's distribution function: 1 - I_x(n/2, 1/2)/2 with x = n/(n + t^2), for t >= 0.
fn t_distribution(t: f64, freedom: f64) -> f64 {
    let tail = 0.5 * regularized_beta(freedom / (freedom + t * t), 0.5 * freedom, 0.5);
    if t >= 0.0 { 1.0 - tail } else { tail }
}

/// I_x(a, b), by the continued fraction of Abramowitz and Stegun 26.5.8, evaluated from the front (Lentz).
fn regularized_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    // The fraction converges quickly below this point; above it, use the symmetry.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - regularized_beta(1.0 - x, b, a);
    }
    let front = (a * x.ln() + b * (1.0 - x).ln() + ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b)).exp() / a;
    let tiny = 1e-300;
    let guard = |value: f64| if value.abs() < tiny { tiny } else { value };
    let (mut c, mut d) = (1.0, 1.0 / guard(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for m in 1..300 {
        let m = f64::from(m);
        for numerator in [
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0)),
        ] {
            d = 1.0 / guard(1.0 + numerator * d);
            c = guard(1.0 + numerator / c);
            fraction *= c * d;
        }
        if (c * d - 1.0).abs() < 1e-15 {
            break;
        }
    }
    front * fraction
}

/// Logarithm of the gamma function of x > 0: Stirling's series after shifting x above 10.
fn ln_gamma(x: f64) -> f64 {
    let mut shift = 0.0;
    let mut x = x;
    while x < 10.0 {
        shift -= x.ln();
        x += 1.0;
    }
    let r = 1.0 / (x * x);
    let series = (1.0 / 12.0 - r * (1.0 / 360.0 - r * (1.0 / 1260.0 - r / 1680.0))) / x;
    shift + (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64, tolerance: f64) {
        assert!((a - b).abs() < tolerance, "{a} is not {b}");
    }

    /// Gamma of whole numbers is a factorial; of one half, the root of pi.
    #[test]
    fn ln_gamma_knows_factorials() {
        close(ln_gamma(1.0), 0.0, 1e-10);
        close(ln_gamma(6.0), 120f64.ln(), 1e-10);
        close(ln_gamma(0.5), std::f64::consts::PI.sqrt().ln(), 1e-10);
    }

    /// Two-sided 95 % points as printed in every table of t.
    #[test]
    fn t_quantiles_are_those_of_the_tables() {
        for (freedom, value) in [(1.0, 12.7062), (2.0, 4.3027), (4.0, 2.7764), (9.0, 2.2622), (30.0, 2.0423)] {
            close(t_quantile(0.975, freedom), value, 5e-5);
        }
        // Near zero the beta form loses half of the digits.
        close(t_quantile(0.5, 3.0), 0.0, 1e-6);
    }

    #[test]
    fn only_seeds_that_both_have_are_paired() {
        assert_eq!(by_seed(&[(1, 80.0), (2, 81.0)], &[(3, 71.0), (2, 70.0)]), [(81.0, 70.0)]);
    }

    #[test]
    fn a_seed_that_was_run_twice_counts_once() {
        let (ours, theirs) = ([(1, 80.0), (1, 99.0), (2, 81.0)], [(2, 70.0), (1, 60.0), (2, 0.0)]);
        assert_eq!(by_seed(&ours, &theirs), [(80.0, 60.0), (81.0, 70.0)]);
    }

    /// By integrating over the spread's distribution. The sum of two t quantiles, a common approximation, gives 14.08,
    /// 5.36 and 4.16 for the fewest pairs, and 3.146 for ten.
    #[test]
    fn the_power_is_that_of_the_noncentral_t() {
        for (pairs, errors) in [(2.0, 16.3340), (3.0, 5.6535), (4.0, 4.2559), (10.0, 3.1496), (1000.0, 2.8043)] {
            close(visible_errors(pairs - 1.0), errors, 1e-4);
        }
        close(visible_errors(9.0), t_quantile(0.975, 9.0) + t_quantile(0.8, 9.0), 0.005);
    }

    #[test]
    fn one_pair_leaves_the_noise_unknown() {
        assert_eq!(PairedDifference::of(&[(1.0, 2.0)]), None);
    }

    /// The same means and spreads: paired they differ clearly, since seeds move both alike.
    #[test]
    fn pairing_removes_what_seeds_share() {
        let paired = PairedDifference::of(&[(91.1, 90.0), (93.0, 92.0), (95.0, 94.1)]).unwrap();
        assert!(paired.is_distinguishable(), "{paired:?}");
        let crossed = PairedDifference::of(&[(91.1, 94.1), (93.0, 92.0), (95.0, 90.0)]).unwrap();
        close(crossed.mean, paired.mean, 1e-12);
        assert!(!crossed.is_distinguishable(), "{crossed:?}");
    }

    /// Accuracies in percent of 30 images, each seed one image better: the differences are equal but for their last
    /// bits.
    #[test]
    fn a_spread_that_is_rounding_gives_no_interval() {
        let percent = |hits: u32| 100.0 * f64::from(hits) / 30.0;
        let pairs = [(21, 20), (24, 23), (29, 28)].map(|(ours, theirs)| (percent(ours), percent(theirs)));
        assert!(pairs.iter().any(|(ours, theirs)| ours - theirs != pairs[0].0 - pairs[0].1), "{pairs:?}");
        assert_eq!(PairedDifference::of(&pairs), None);
        assert_eq!(PairedDifference::of(&[(1.0, 1.0), (2.0, 2.0)]), None);
        assert!(PairedDifference::of(&[(1.0, 1.0), (2.0, 2.000_001)]).is_some());
    }
}
