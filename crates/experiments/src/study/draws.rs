//! Quasi-random points: spread more evenly than random ones, and deterministic.

/// The base of each axis, in order.
const PRIMES: [u64; 12] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37];

/// The maximum number of axes.
pub(super) const MOST_AXES: usize = PRIMES.len();

/// Draws per requested point, since some draws repeat others.
pub(super) const MOST_DRAWS: usize = 100;

/// Coordinate `axis`, below [`MOST_AXES`], of point `number`, from 0, in [0, 1): Halton's sequence with its digits
/// permuted by a fixed multiplication, which breaks up the lines that large bases produce (Braaten and Weller, 1979, in
/// the simplest form).
pub(super) fn coordinate(number: usize, axis: usize) -> f64 {
    let base = PRIMES[axis % PRIMES.len()];
    // A multiplier near the golden section of the base, prime to it since the base is prime and the multiplier smaller.
    let multiplier = ((base as f64 * 0.618).round() as u64).max(1);
    let (mut rest, mut scale, mut sum) = (number as u64 + 1, 1.0 / base as f64, 0.0);
    while rest > 0 {
        sum += (rest % base * multiplier % base) as f64 * scale;
        rest /= base;
        scale /= base as f64;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In base 2 the sequence is van der Corput's: 1/2, 1/4, 3/4, 1/8; in base 3 digits are doubled: 2/3, 1/3, 2/9.
    #[test]
    fn the_first_points_worked_by_hand() {
        let first: Vec<f64> = (0..4).map(|number| coordinate(number, 0)).collect();
        assert_eq!(first, [0.5, 0.25, 0.75, 0.125]);
        let second: Vec<f64> = (0..3).map(|number| coordinate(number, 1)).collect();
        for (found, wanted) in second.iter().zip([2.0 / 3.0, 1.0 / 3.0, 2.0 / 9.0]) {
            assert!((found - wanted).abs() < 1e-15, "{second:?}");
        }
    }

    /// Any 27 points in a row of base 3 fall one into each of 27 equal parts.
    #[test]
    fn points_fill_every_part_of_an_axis() {
        for (axis, count) in [(0, 32), (1, 27), (2, 25), (3, 49), (5, 13)] {
            let mut parts: Vec<usize> =
                (0..count).map(|number| (coordinate(number + 5, axis) * count as f64 + 1e-9) as usize).collect();
            parts.sort_unstable();
            assert_eq!(parts, (0..count).collect::<Vec<_>>(), "axis {axis}");
        }
    }
}
