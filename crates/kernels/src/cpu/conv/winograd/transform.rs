//! The three small linear maps of Winograd's algorithm, on vectors of channels.
//!
//! `T` points and `M` outputs per side, `T = M + 2`. For `M = 4` the points are 0, 1, -1, 2, -2 and infinity; for `M = 2`
//! they are 0, 1, -1 and infinity. Forward, data gradient and weight gradient share all three maps: the weight gradient
//! treats a tile of `dy` as an `M` x `M` filter and has three outputs per side, with the same points.

use crate::cpu::simd::Vector;

/// `B^T d`: samples of the input polynomial.
#[inline(always)]
pub(super) unsafe fn input<V: Vector, const T: usize>(d: [V; T]) -> [V; T] {
    // SAFETY: pure arithmetic; the caller runs on a processor with the vector's instructions.
    unsafe {
        let mut o = [V::splat(0.0); T];
        if T == 6 {
            let (minus5, minus4, four) = (V::splat(-5.0), V::splat(-4.0), V::splat(4.0));
            o[0] = four.fma(d[0], minus5.fma(d[2], d[4]));
            let (a, b) = (minus4.fma(d[2], d[4]), minus4.fma(d[1], d[3]));
            o[1] = a.add(b);
            o[2] = a.sub(b);
            let (a, b) = (d[4].sub(d[2]), d[3].sub(d[1]));
            o[3] = V::splat(2.0).fma(b, a);
            o[4] = V::splat(-2.0).fma(b, a);
            o[5] = four.fma(d[1], minus5.fma(d[3], d[5]));
        } else {
            o[0] = d[0].sub(d[2]);
            o[1] = d[1].add(d[2]);
            o[2] = d[2].sub(d[1]);
            o[3] = d[1].sub(d[3]);
        }
        o
    }
}

/// `A^T m`: `OUT` outputs from the products at `T` points.
#[inline(always)]
pub(super) unsafe fn output<V: Vector, const T: usize, const OUT: usize>(m: [V; T]) -> [V; OUT] {
    // SAFETY: pure arithmetic; the caller runs on a processor with the vector's instructions.
    unsafe {
        let mut o = [V::splat(0.0); OUT];
        if T == 6 {
            let (s1, d1) = (m[1].add(m[2]), m[1].sub(m[2]));
            let (s2, d2) = (m[3].add(m[4]), m[3].sub(m[4]));
            o[0] = m[0].add(s1).add(s2);
            o[1] = V::splat(2.0).fma(d2, d1);
            o[2] = V::splat(4.0).fma(s2, s1);
            if OUT == 3 {
                o[2] = o[2].add(m[5]);
            } else {
                o[3] = V::splat(8.0).fma(d2, d1).add(m[5]);
            }
        } else {
            o[0] = m[0].add(m[1]).add(m[2]);
            o[1] = m[1].sub(m[2]);
            if OUT == 3 {
                o[2] = m[1].add(m[2]).sub(m[3]);
            } else {
                o[1] = o[1].sub(m[3]);
            }
        }
        o
    }
}

/// `G g`: samples of a filter of `R` taps. `R` is 3 for weights, `M` for tiles of `dy`.
#[inline(always)]
pub(super) unsafe fn filter<V: Vector, const R: usize, const T: usize>(g: [V; R]) -> [V; T] {
    // SAFETY: pure arithmetic; the caller runs on a processor with the vector's instructions.
    unsafe {
        let mut o = [V::splat(0.0); T];
        let last = g[R - 1];
        if T == 6 {
            let even = g[0].add(g[2]);
            let odd = if R == 3 { g[1] } else { g[1].add(g[3]) };
            let minus_sixth = V::splat(-1.0 / 6.0);
            o[0] = V::splat(0.25).mul(g[0]);
            o[1] = minus_sixth.mul(even.add(odd));
            o[2] = minus_sixth.mul(even.sub(odd));
            let even = V::splat(1.0 / 6.0).fma(g[2], V::splat(1.0 / 24.0).mul(g[0]));
            let odd = V::splat(1.0 / 12.0).mul(g[1]);
            let odd = if R == 3 { odd } else { V::splat(1.0 / 3.0).fma(g[3], odd) };
            o[3] = even.add(odd);
            o[4] = even.sub(odd);
            o[5] = last;
        } else {
            let half = V::splat(0.5);
            let (even, odd) = if R == 3 { (g[0].add(g[2]), g[1]) } else { (g[0], g[1]) };
            o[0] = g[0];
            o[1] = half.mul(even.add(odd));
            o[2] = half.mul(even.sub(odd));
            o[3] = last;
        }
        o
    }
}
