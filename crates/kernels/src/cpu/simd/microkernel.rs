//! The two register tiles that all convolutions use.

use crate::cpu::simd::Vector;

/// `acc[i][j] += sum over c of a[i][c] * b[c][j]`, the rows of `b` a panel (`NR` vectors) apart.
///
/// # Safety
///
/// `a[i]` must be readable for `len` elements, `b` for `len` panels, and the processor must have the vector's instructions.
#[inline(always)]
pub(crate) unsafe fn reduce<V: Vector, const MR: usize, const NR: usize>(
    acc: &mut [[V; NR]; MR],
    a: [*const f32; MR],
    b: *const f32,
    len: usize,
) {
    let mut b = b;
    for c in 0..len {
        // SAFETY: `c < len`, so the reads lie within what the caller promised.
        unsafe {
            let mut row = [V::splat(0.0); NR];
            for j in 0..NR {
                row[j] = V::load(b.add(j * V::LANES));
            }
            for i in 0..MR {
                let value = V::splat(*a[i].add(c));
                for j in 0..NR {
                    acc[i][j] = value.fma(row[j], acc[i][j]);
                }
            }
            b = b.add(NR * V::LANES);
        }
    }
}

/// `acc[i][j] += sum over t of a[t * a_step + i] * b[t * b_step + j]`: an outer product for every `t`.
///
/// # Safety
///
/// `a` must be readable for `MR` elements at each of `len` steps of `a_step`, `b` for `NR` vectors at each of `len` steps of
/// `b_step`, and the processor must have the vector's instructions.
#[inline(always)]
pub(crate) unsafe fn outer<V: Vector, const MR: usize, const NR: usize>(
    acc: &mut [[V; NR]; MR],
    a: *const f32,
    a_step: usize,
    b: *const f32,
    b_step: usize,
    len: usize,
) {
    let (mut a, mut b) = (a, b);
    for _ in 0..len {
        // SAFETY: fewer than `len` steps were taken, so the reads lie within what the caller promised.
        unsafe {
            let mut row = [V::splat(0.0); NR];
            for j in 0..NR {
                row[j] = V::load(b.add(j * V::LANES));
            }
            for i in 0..MR {
                let value = V::splat(*a.add(i));
                for j in 0..NR {
                    acc[i][j] = value.fma(row[j], acc[i][j]);
                }
            }
            a = a.wrapping_add(a_step);
            b = b.wrapping_add(b_step);
        }
    }
}

/// Calls `$tile!(MR)` for tiles of rows that together make `$count`, the largest first.
///
/// `$rows` is the largest tile of the vector; `$at` counts the rows done.
macro_rules! tiles {
    ($rows:expr, $at:ident, $count:expr, $tile:ident) => {{
        let mut $at = 0;
        if $rows == 12 {
            while $count - $at >= 12 {
                $tile!(12, $at);
                $at += 12;
            }
            while $count - $at >= 8 {
                $tile!(8, $at);
                $at += 8;
            }
        }
        if $rows == 6 {
            while $count - $at >= 6 {
                $tile!(6, $at);
                $at += 6;
            }
        }
        if $rows >= 4 {
            while $count - $at >= 4 {
                $tile!(4, $at);
                $at += 4;
            }
        }
        while $count - $at >= 2 {
            $tile!(2, $at);
            $at += 2;
        }
        while $count - $at >= 1 {
            $tile!(1, $at);
            $at += 1;
        }
    }};
}
pub(crate) use tiles;

/// `c[t][..] (+)= sum over i of a[t][i] * b[i][..]` for one panel of `b`, and `count` rows `a_step` and `c_step` apart.
///
/// # Safety
///
/// Every row of `a` must be readable for `len` elements, `b` for `len` panels, every row of `c` writable for a panel.
#[inline(always)]
pub(crate) unsafe fn multiply<V: Vector, const NR: usize>(
    a: *const f32,
    a_step: usize,
    b: *const f32,
    c: *mut f32,
    c_step: usize,
    count: usize,
    len: usize,
) {
    macro_rules! tile {
        ($rows:literal, $t:ident) => {
            // SAFETY: rows `t` to `t + $rows` lie within `count`; the rest is the caller's contract.
            unsafe {
                let mut acc = [[V::splat(0.0); NR]; $rows];
                let mut rows = [a; $rows];
                for i in 0..$rows {
                    rows[i] = a.add(($t + i) * a_step);
                }
                reduce::<V, $rows, NR>(&mut acc, rows, b, len);
                for i in 0..$rows {
                    for j in 0..NR {
                        acc[i][j].store(c.add(($t + i) * c_step + j * V::LANES));
                    }
                }
            }
        };
    }
    tiles!(V::TILE_ROWS, t, count, tile);
}

/// `c[i][..] (+)= sum over t of a[t][i] * b[t][..]` for one panel, `count` rows of `c`; added to what is there if `add`.
///
/// # Safety
///
/// As [`outer`] for `count` elements of `a` at each step; every row of `c` must be writable (and, if `add`, readable) for a
/// panel.
#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "two strided operands and a strided result")]
pub(crate) unsafe fn accumulate<V: Vector, const NR: usize>(
    a: *const f32,
    a_step: usize,
    b: *const f32,
    b_step: usize,
    c: *mut f32,
    c_step: usize,
    count: usize,
    len: usize,
    add: bool,
) {
    macro_rules! tile {
        ($rows:literal, $t:ident) => {
            // SAFETY: rows `t` to `t + $rows` lie within `count`; the rest is the caller's contract.
            unsafe {
                let mut acc = [[V::splat(0.0); NR]; $rows];
                if add {
                    for i in 0..$rows {
                        for j in 0..NR {
                            acc[i][j] = V::load(c.add(($t + i) * c_step + j * V::LANES));
                        }
                    }
                }
                outer::<V, $rows, NR>(&mut acc, a.add($t), a_step, b, b_step, len);
                for i in 0..$rows {
                    for j in 0..NR {
                        acc[i][j].store(c.add(($t + i) * c_step + j * V::LANES));
                    }
                }
            }
        };
    }
    // Tiles four vectors wide leave registers for half as many rows.
    let rows = if NR == 4 { 6 } else { V::TILE_ROWS };
    tiles!(rows, t, count, tile);
}
