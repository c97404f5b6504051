//! Elementary functions on vectors: the exponential and functions based on it.
//!
//! Errors are in units in the last place of the true value, measured by the tests against f64 over the whole range of each
//! function, with fused multiply-add. Arrays, which round products separately, stay within the tests' bounds. NaN stays NaN.

use crate::cpu::simd::Vector;

/// `e^x`, within 1.1 units in the last place; 0 at minus infinity, infinity above 88.73, gradual underflow below -87.34.
///
/// # Safety
///
/// The processor must have the vector's instructions.
#[inline(always)]
pub(crate) unsafe fn exp<V: Vector>(x: V) -> V {
    // SAFETY: the caller's contract.
    unsafe {
        // Beyond these bounds the result is 0 and infinity all the same, and the exponent below stays in range.
        let x = x.min(V::splat(89.0)).max(V::splat(-104.0));
        // x = n ln 2 + r. Adding 1.5 * 2^23 leaves no room for a fraction, which rounds to the nearest whole number.
        let shift = V::splat(12_582_912.0);
        let n = x.fma(V::splat(std::f32::consts::LOG2_E), shift).sub(shift);
        // ln 2 in two parts, the first short enough for an exact product with n.
        let r = n.fma(V::splat(-355.0 / 512.0), x);
        let r = n.fma(V::splat(2.121_944_4e-4), r);
        // e^r = 1 + r + r^2 q(r), with q of least relative error over |r| <= ln(2) / 2: 3.1e-9.
        let mut q = V::splat(1.381_428_6e-3);
        for coefficient in [8.368_867e-3, 4.166_84e-2, 1.666_652e-1, 4.999_999_3e-1] {
            q = q.fma(r, V::splat(coefficient));
        }
        q.mul(r).fma(r, r).add(V::splat(1.0)).scale(n)
    }
}

/// The logistic function `s = 1 / (1 + e^-x)` within 3 units in the last place down to x = -87, and its slope `s (1 - s)`.
///
/// `tanh(x) = 2 s(2x) - 1`, so what is built on `1 + tanh` loses nothing by this form.
///
/// # Safety
///
/// The processor must have the vector's instructions.
#[inline(always)]
pub(crate) unsafe fn logistic<V: Vector>(x: V) -> (V, V) {
    // SAFETY: the caller's contract.
    unsafe {
        // e <= 1 on either side of 0, so nothing overflows: s(-|x|) = e / (1 + e).
        let e = exp(V::splat(0.0).sub(x.abs()));
        let upper = V::splat(1.0).div(e.add(V::splat(1.0)));
        let lower = e.mul(upper);
        (V::select(x.at_most(V::splat(0.0)), lower, upper), lower.mul(upper))
    }
}

/// The normal distribution function `P = (1 + erf(x / sqrt 2)) / 2` within 8 units in the last place down to x = -13, and
/// its density `e^(-x^2 / 2) / sqrt(2 pi)` within 4.
///
/// # Safety
///
/// The processor must have the vector's instructions.
#[inline(always)]
pub(crate) unsafe fn normal<V: Vector>(x: V) -> (V, V) {
    // SAFETY: the caller's contract.
    unsafe {
        // Both functions have gone to their limits at 15.
        let a = x.abs().min(V::splat(15.0));
        // The square's rounding error would show magnified in the exponential's tail.
        let square = a.mul(a);
        let error = a.fma(a, V::splat(0.0).sub(square));
        let e = exp(square.mul(V::splat(-0.5)));
        let e = e.fma(error.mul(V::splat(-0.5)), e);
        // P(-a) = e^(-a^2 / 2) t q(t), t = 1 / (1 + 0.26 a), with q of least relative error over a <= 14.4: 2.8e-8.
        let t = V::splat(1.0).div(a.fma(V::splat(0.26), V::splat(1.0)));
        let mut q = V::splat(3.028_588e-2);
        for coefficient in [
            -1.517_629_8e-1,
            2.492_849e-1,
            -1.484_173_1e-1,
            1.591_909_6e-1,
            5.178_105_3e-2,
            1.028_357_3e-1,
            1.030_443_5e-1,
            1.037_574_1e-1,
        ] {
            q = q.fma(t, V::splat(coefficient));
        }
        let lower = q.mul(t).mul(e);
        let probability = V::select(x.at_most(V::splat(0.0)), lower, V::splat(1.0).sub(lower));
        (probability, e.mul(V::splat(0.398_942_3)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::InstructionSet;
    use crate::cpu::simd::dispatch;
    use crate::cpu::twins::sets;
    use candle_core::cpu::erf::erfc_f64;

    dispatch! {
        /// Sixteen numbers through function `which`.
        fn sixteen(which: usize, x: *const f32, y: *mut f32) = sixteen_body
    }

    #[inline(always)]
    unsafe fn sixteen_body<V: Vector>(which: usize, x: *const f32, y: *mut f32) {
        for at in (0..16).step_by(V::LANES) {
            // SAFETY: the caller hands over sixteen elements each, a multiple of the lanes.
            unsafe {
                let x = V::load(x.add(at));
                let value = match which {
                    0 => exp(x),
                    1 => logistic(x).0,
                    2 => logistic(x).1,
                    3 => normal(x).0,
                    _ => normal(x).1,
                };
                value.store(y.add(at));
            }
        }
    }

    fn apply(set: InstructionSet, which: usize, x: [f32; 16]) -> [f32; 16] {
        let mut y = [f32::NAN; 16];
        // SAFETY: sixteen elements each.
        unsafe { sixteen(set, which, x.as_ptr(), y.as_mut_ptr()) };
        y
    }

    fn expected(which: usize, x: f64) -> f64 {
        let s = 1.0 / (1.0 + (-x).exp());
        match which {
            0 => x.exp(),
            1 => s,
            2 => s / (1.0 + x.exp()),
            3 => erfc_f64(-x / std::f64::consts::SQRT_2) / 2.0,
            _ => (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt(),
        }
    }

    /// The distance in units of the last place of the true value, counted in steps of gradual underflow below the smallest
    /// normal number.
    fn units(got: f32, expected: f64) -> f64 {
        let exponent = (expected.abs().log2().floor() as i32).max(-126);
        (f64::from(got) - expected).abs() / 2f64.powi(exponent - 23)
    }

    /// The largest error over evenly spaced numbers, and over those around powers of two down to the smallest.
    fn worst(set: InstructionSet, which: usize, from: f32, to: f32) -> (f64, f32) {
        let steps = if cfg!(miri) { 64 } else { 1 << 21 };
        let even = (0..=steps).map(|i| from + (to - from) * (i as f32 / steps as f32));
        let small = (0..252u32).flat_map(|e| [f32::from_bits(e << 22 | 0x155), -f32::from_bits(e << 22 | 0x155)]);
        let numbers: Vec<f32> = even.chain(small.filter(|x| (from..=to).contains(x))).collect();
        let mut worst = (0.0, 0.0);
        for chunk in numbers.chunks(16) {
            let x = std::array::from_fn(|lane| chunk[lane.min(chunk.len() - 1)]);
            for (x, y) in x.into_iter().zip(apply(set, which, x)) {
                let error = units(y, expected(which, f64::from(x)));
                assert!(!error.is_nan(), "{set:?} {which} of {x}: {y}");
                worst = if error > worst.0 { (error, x) } else { worst };
            }
        }
        worst
    }

    #[test]
    fn errors_are_within_what_is_stated() {
        // (function, range, units with fused multiply-add, units without)
        let cases = [
            (0, -110.0, 88.72, 1.1, 1.6),
            (1, -87.0, 30.0, 3.0, 3.0),
            (2, -87.0, 87.0, 5.0, 5.0),
            (3, -13.0, 9.0, 8.0, 120.0),
            (4, -13.0, 13.0, 4.0, 120.0),
        ];
        let mut beyond = false;
        for (which, from, to, fused, apart) in cases {
            for set in sets() {
                let bound = if set == InstructionSet::Portable { apart } else { fused };
                let (error, x) = worst(set, which, from, to);
                eprintln!("{set:?} {which}: {error:.2} units at {x}");
                beyond |= error > bound;
            }
        }
        assert!(!beyond, "see above");
    }

    #[test]
    fn the_ends_are_the_limits() {
        let (inf, nan) = (f32::INFINITY, f32::NAN);
        for set in sets() {
            let ends = |which| -> [f32; 7] {
                let x = [-inf, -1e30, 0.0, 1e30, inf, nan, -0.0];
                let y = apply(set, which, std::array::from_fn(|lane| x[lane % 7]));
                assert!(y[5].is_nan(), "{set:?} {which}: NaN became {}", y[5]);
                std::array::from_fn(|lane| if lane == 5 { 0.5 } else { y[lane] })
            };
            assert_eq!(ends(0), [0.0, 0.0, 1.0, inf, inf, 0.5, 1.0], "{set:?}");
            assert_eq!(ends(1), [0.0, 0.0, 0.5, 1.0, 1.0, 0.5, 0.5], "{set:?}");
            assert_eq!(ends(2), [0.0, 0.0, 0.25, 0.0, 0.0, 0.5, 0.25], "{set:?}");
            let [lower, .., far, upper, _, zero] = ends(3);
            assert_eq!([lower, far, upper], [0.0, 1.0, 1.0], "{set:?}");
            assert!((zero - 0.5).abs() < 1e-7, "{set:?}: {zero}");
            assert_eq!(ends(4)[..2], [0.0, 0.0], "{set:?}");
            let y = apply(set, 0, std::array::from_fn(|lane| [88.722, -87.4, -103.9, 1.0][lane % 4]));
            assert!(y[0] > 3.39e38 && y[0] < inf && y[1] > 0.0 && y[1] < f32::MIN_POSITIVE, "{set:?}: {y:?}");
            assert!(y[2] > 0.0 && units(y[2], (-103.9f64).exp()) <= 1.0, "{set:?}: {y:?}");
        }
    }

    dispatch! {
        /// The first `count` numbers, others `rest`; their sum and their largest; and the first `count` written back.
        fn parts<S>(from: *const S, count: usize, rest: f32, to: *mut S, all: *mut f32) = parts_body
    }

    #[inline(always)]
    unsafe fn parts_body<V: Vector, S: crate::cpu::simd::Stored>(
        from: *const S,
        count: usize,
        rest: f32,
        to: *mut S,
        all: *mut f32,
    ) {
        let count = count.min(V::LANES);
        // SAFETY: the caller hands over `count` elements, and sixteen for the results.
        unsafe {
            let vector = S::load_first::<V>(from, count, rest);
            S::store_first(vector, to, count);
            *all = vector.sum();
            *all.add(1) = vector.largest();
        }
    }

    #[test]
    fn parts_of_a_register_touch_nothing_else() {
        for set in sets() {
            let lanes = crate::cpu::simd::lanes(set);
            for count in 0..=lanes {
                // Exactly `count` elements, so that a sanitizer sees a read or a write beyond them.
                let from: Vec<f32> = (0..count).map(|i| i as f32 - 3.0).collect();
                let (mut to, mut all) = (vec![f32::NAN; count], [0f32; 2]);
                // SAFETY: `count` elements each, and two results.
                unsafe { parts(set, from.as_ptr(), count, -9.0, to.as_mut_ptr(), all.as_mut_ptr()) };
                assert_eq!(to, from);
                assert_eq!(all[0], from.iter().sum::<f32>() - 9.0 * (lanes - count) as f32);
                let largest = if count == 0 { -9.0 } else { count as f32 - 4.0 };
                assert_eq!(all[1], largest, "{set:?} {count}");
                let narrow: Vec<half::bf16> = from.iter().map(|&value| half::bf16::from_f32(value)).collect();
                let mut back = vec![half::bf16::NAN; count];
                // SAFETY: as above.
                unsafe { parts(set, narrow.as_ptr(), count, -9.0, back.as_mut_ptr(), all.as_mut_ptr()) };
                assert_eq!(back, narrow);
                assert_eq!(all[1], largest, "{set:?} {count}");
            }
        }
    }
}
