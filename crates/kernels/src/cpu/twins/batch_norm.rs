//! Batch norm.

use half::bf16;

use super::{SMALL, both, error, in_pools, numbers, run, same_rounded, sets, wide};
use crate::cpu::batch_norm::{Affine, GradientTerms, Mask, mask_bytes, reference, vectors};
use crate::cpu::memory;
use crate::{Activation, InstructionSet};

/// Pixels and channels: rows that fill vectors, that take several pixels to, and that leave a tail.
const SHAPES: &[(usize, usize)] = if SMALL {
    &[(9, 16), (5, 3)]
} else {
    &[
        (9, 16),
        (5000, 16),
        (777, 32),
        (300, 48),
        (1031, 64),
        (70, 80),
        (130, 512),
        (2, 128),
        (4001, 24),
        (700, 100),
        (9000, 3),
        (5, 1),
        (50, 1009),
    ]
};

/// One layer's numbers, and the same in f64.
struct Case {
    channels: usize,
    x: Vec<f32>,
    dy: Vec<f32>,
    residual: Vec<f32>,
    affine: Affine<f32>,
    terms: GradientTerms<f32>,
}

fn case(pixels: usize, channels: usize) -> Case {
    let len = pixels * channels;
    let vector = |seed| numbers(channels, seed);
    // A mean a hundred times the spread: sums of squares must not cancel.
    let far = |values: Vec<f32>| values.into_iter().map(|value| value + 100.0).collect::<Vec<f32>>();
    let center = far(vector(4));
    Case {
        channels,
        x: far(numbers(len, 1)),
        dy: numbers(len, 2),
        residual: numbers(len, 3),
        affine: Affine { center: center.clone(), scale: vector(5), shift: vector(6) },
        terms: GradientTerms { center, scale: vector(5), slope: vector(6), offset: vector(7) },
    }
}

fn wide_affine(affine: &Affine<f32>) -> Affine<f64> {
    Affine { center: wide(&affine.center), scale: wide(&affine.scale), shift: wide(&affine.shift) }
}

#[test]
fn moments_agree_with_the_definition() {
    for &(pixels, channels) in SHAPES {
        let case = case(pixels, channels);
        let expected = reference::moments(&wide(&case.x), channels);
        for set in sets() {
            let moments = vectors::moments(set, &case.x, channels);
            for c in 0..channels {
                assert!((moments.mean[c] / expected.mean[c] - 1.0).abs() < 1e-6, "{set:?} mean");
                assert!((moments.variance[c] / expected.variance[c] - 1.0).abs() < 1e-5, "{set:?} variance");
            }
        }
    }
}

/// The first pixel is the pivot of the sums. Far from all others, it must not cost the variance its digits, nor the other
/// channels their bits.
#[test]
fn an_outlier_at_the_first_pixel_leaves_the_moments_right() {
    let shapes: &[(usize, usize)] =
        if SMALL { &[(1100, 4)] } else { &[(131_072, 16), (40_000, 4), (5000, 24), (2100, 64)] };
    for &(pixels, channels) in shapes {
        // Channels in turn: an outlier over zeros, one over a small spread, no outlier, a constant.
        let plain = both(pixels * channels, 1).1;
        let value = |at: usize| match (at % channels % 4, at < channels) {
            (0 | 1, true) => 3.3,
            (0, false) => 0.0,
            (1, false) => plain[at] / 64.0,
            (2, _) => plain[at],
            (_, _) => 0.7,
        };
        let x: Vec<f32> = (0..plain.len()).map(value).collect();
        let narrow: Vec<bf16> = x.iter().map(|&value| bf16::from_f32(value)).collect();
        let rounded: Vec<f32> = narrow.iter().map(|value| value.to_f32()).collect();
        for set in sets() {
            let name = format!("{set:?} {pixels} x {channels}");
            assert_eq!(vectors::moments(set, &narrow, channels), vectors::moments(set, &rounded, channels), "{name}");
            let of_plain = vectors::moments(set, &plain, channels);
            for x in [&x, &rounded] {
                let (moments, expected) = (vectors::moments(set, x, channels), reference::moments(&wide(x), channels));
                for (c, &first) in x[..channels].iter().enumerate() {
                    let (mean, variance) = (moments.mean[c], moments.variance[c]);
                    match c % 4 {
                        0 | 1 => {
                            let deviation = expected.variance[c].sqrt();
                            assert!((mean - expected.mean[c]).abs() < 1e-5 * deviation, "{name} {c}: mean {mean}");
                            assert!((variance / expected.variance[c] - 1.0).abs() < 1e-5, "{name} {c}: {variance}");
                        }
                        2 => assert_eq!((mean, variance), (of_plain.mean[c], of_plain.variance[c]), "{name} {c}: bits"),
                        _ => assert_eq!((mean, variance), (f64::from(first), 0.0), "{name} {c}: constant"),
                    }
                }
            }
        }
    }
}

#[test]
fn normalised_values_and_masks_agree_with_the_definition() {
    for &(pixels, channels) in SHAPES {
        let Case { x, residual, affine, .. } = &case(pixels, channels);
        let (len, wide_affine, wide_x, wide_residual) = (x.len(), wide_affine(affine), wide(x), wide(residual));
        for set in sets() {
            for (add, relu) in [(false, false), (false, true), (true, false), (true, true)] {
                let name = format!("{set:?} {pixels} x {channels} residual {add} relu {relu}");
                let added = add.then_some(&residual[..]);
                let got = in_pools(|| {
                    run(len, f32::NAN, |y| vectors::apply(set, x, affine, added, rectifier(relu), y, None))
                });
                let added = add.then_some(&wide_residual[..]);
                let expected =
                    run(len, f64::NAN, |y| reference::apply(&wide_x, &wide_affine, added, rectifier(relu), y, None));
                assert!(error(&got, &expected) < 2e-6, "{name}");
                let (bits, again) = masked_forward(set, x, affine, add.then_some(&residual[..]), relu);
                assert_eq!(got, again, "{name}: the mask changes the values");
                if add && relu {
                    let is_set = |at: usize| bits[at / 8] >> (at % 8) & 1 == 1;
                    assert!((0..len).all(|at| is_set(at) == (got[at] > 0.0)), "{name}: mask");
                }
            }
        }
    }
}

fn rectifier(relu: bool) -> Option<Activation> {
    relu.then_some(Activation::Relu)
}

const SMOOTH: [Activation; 3] = [Activation::Gelu, Activation::GeluTanh, Activation::Silu];

#[test]
fn smooth_functions_behind_the_norm_agree_with_the_definition() {
    for &(pixels, channels) in SHAPES {
        let Case { x, dy, affine, terms, .. } = &case(pixels, channels);
        let (len, wide_affine, wide_x, wide_dy) = (x.len(), wide_affine(affine), wide(x), wide(dy));
        let wide_terms = GradientTerms {
            center: wide(&terms.center),
            scale: wide(&terms.scale),
            slope: wide(&terms.slope),
            offset: wide(&terms.offset),
        };
        for (set, after) in sets().flat_map(|set| SMOOTH.map(|after| (set, after))) {
            let got = in_pools(|| run(len, f32::NAN, |y| vectors::apply(set, x, affine, None, Some(after), y, None)));
            let expected = run(len, f64::NAN, |y| reference::apply(&wide_x, &wide_affine, None, Some(after), y, None));
            assert!(error(&got, &expected) < 4e-6, "{set:?} {after:?} {pixels} x {channels}");
            let (mask, wide_mask) = (Mask::Through(after, affine), Mask::Through(after, &wide_affine));
            check_gradients(set, x, terms, mask, dy, (&wide_x, &wide_terms, wide_mask, &wide_dy));
        }
    }
}

/// The mask of a forward pass, if it writes one, and its values.
fn masked_forward(
    set: InstructionSet,
    x: &[f32],
    affine: &Affine<f32>,
    residual: Option<&[f32]>,
    relu: bool,
) -> (Vec<u8>, Vec<f32>) {
    let mut bits = vec![0xaa; mask_bytes(x.len())];
    let y = run(x.len(), f32::NAN, |y| {
        let bits = (residual.is_some() && relu).then_some(memory::as_output(&mut bits));
        vectors::apply(set, x, affine, residual, rectifier(relu), y, bits);
    });
    (bits, y)
}

/// The bits that say where values are positive.
fn bits_of(y: &[f32]) -> Vec<u8> {
    y.chunks(8).map(|y| y.iter().enumerate().fold(0, |byte, (bit, &y)| byte | u8::from(y > 0.0) << bit)).collect()
}

#[test]
fn gradients_agree_with_the_definition() {
    for &(pixels, channels) in SHAPES {
        let Case { x, dy, residual, affine, terms, .. } = &case(pixels, channels);
        let (wide_x, wide_dy) = (wide(x), wide(dy));
        let wide_terms = GradientTerms {
            center: wide(&terms.center),
            scale: wide(&terms.scale),
            slope: wide(&terms.slope),
            offset: wide(&terms.offset),
        };
        for set in sets() {
            // Where the layer's own output passes its rectifier, as found again from its input; and where that of a
            // residual sum does. The wide twin gets bits for both: an element within rounding of zero must not decide.
            let own = bits_of(&masked_forward(set, x, affine, None, true).1);
            let (sum, _) = masked_forward(set, x, affine, Some(residual), true);
            let masks = [
                (Mask::Open, Mask::Open),
                (Mask::Through(Activation::Relu, affine), Mask::Bits(&own)),
                (Mask::Bits(&sum), Mask::Bits(&sum)),
            ];
            for (mask, wide_mask) in masks {
                check_gradients(set, x, terms, mask, dy, (&wide_x, &wide_terms, wide_mask, &wide_dy));
            }
        }
    }
}

fn check_gradients(
    set: InstructionSet,
    x: &[f32],
    terms: &GradientTerms<f32>,
    mask: Mask<'_, f32>,
    dy: &[f32],
    (wide_x, wide_terms, wide_mask, wide_dy): (&[f64], &GradientTerms<f64>, Mask<'_, f64>, &[f64]),
) {
    let (len, channels) = (x.len(), terms.scale.len());
    let name = format!("{set:?} {len} of {channels} channels, {mask:?}");
    let name = name.split_at(60.min(name.len())).0;
    let sums = vectors::gradient_sums(set, x, &terms.center, mask, dy);
    let expected = reference::gradient_sums(wide_x, &wide_terms.center, wide_mask, wide_dy);
    let scale = 1e-5 * ((len / channels) as f64).sqrt();
    for c in 0..channels {
        assert!((sums.first[c] - expected.first[c]).abs() < scale, "{name} sums");
        assert!((sums.second[c] - expected.second[c]).abs() < scale, "{name} sums");
    }
    for with_residual in [false, true] {
        let mut d_residual = vec![f32::NAN; len];
        let got = run(len, f32::NAN, |dx| {
            let out = with_residual.then_some(memory::as_output(&mut d_residual));
            vectors::backward(set, x, terms, mask, dy, dx, out);
        });
        let mut wide_d_residual = vec![f64::NAN; len];
        let expected = run(len, f64::NAN, |dx| {
            let out = with_residual.then_some(memory::as_output(&mut wide_d_residual));
            reference::backward(wide_x, wide_terms, wide_mask, wide_dy, dx, out);
        });
        assert!(error(&got, &expected) < 2e-6, "{name} backward");
        if with_residual {
            assert!(error(&d_residual, &wide_d_residual) < 2e-6, "{name} residual");
        }
    }
}

#[test]
fn the_plain_mask_is_that_of_the_vectors() {
    for &(pixels, channels) in SHAPES {
        let case = case(pixels, channels);
        let len = case.x.len();
        let mut bits = vec![0xaa; mask_bytes(len)];
        run(len, f32::NAN, |y| {
            let bits = Some(memory::as_output(&mut bits));
            reference::apply(&case.x, &case.affine, Some(&case.residual), rectifier(true), y, bits);
        });
        let (expected, _) = masked_forward(InstructionSet::Portable, &case.x, &case.affine, Some(&case.residual), true);
        let differing = bits.iter().zip(&expected).map(|(a, b)| (a ^ b).count_ones()).sum::<u32>();
        assert!(differing as usize <= len / 1000, "{pixels} x {}: {differing} bits differ", case.channels);
    }
}

/// PyTorch: a rectifier passes the gradient of NaN, and takes that of 0 and of minus infinity.
#[test]
fn the_gradient_at_nan_passes() {
    let (nan, infinity) = (f32::NAN, f32::INFINITY);
    let values = [nan, 0.0, -0.0, 1.0, -1.0, infinity, -infinity, f32::MIN_POSITIVE];
    let passes = [true, false, false, true, false, true, false, true];
    let x: Vec<f32> = values.iter().copied().cycle().take(16 * 40).collect();
    let (dy, zeros) = (vec![1f32; x.len()], vec![0f32; x.len()]);
    let affine = Affine { center: vec![0.0; 16], scale: vec![1.0; 16], shift: vec![0.0; 16] };
    let expected: Vec<f32> = passes.iter().map(|&passes| f32::from(u8::from(passes))).cycle().take(x.len()).collect();
    let terms =
        GradientTerms { center: vec![0.0; 16], scale: vec![1.0; 16], slope: vec![0.0; 16], offset: vec![0.0; 16] };
    let plain = |mask: Mask<'_, f32>| {
        let mut masked = vec![f32::NAN; x.len()];
        run(x.len(), f32::NAN, |dx| {
            reference::backward(&x, &terms, mask, &dy, dx, Some(memory::as_output(&mut masked)));
        });
        masked
    };
    assert_eq!(plain(Mask::Through(Activation::Relu, &affine)), expected);
    for set in sets() {
        let (bits, _) = masked_forward(set, &x, &affine, Some(&zeros), true);
        for mask in [Mask::Through(Activation::Relu, &affine), Mask::Bits(&bits)] {
            let mut masked = vec![f32::NAN; x.len()];
            run(x.len(), f32::NAN, |dx| {
                vectors::backward(set, &x, &terms, mask, &dy, dx, Some(memory::as_output(&mut masked)));
            });
            assert_eq!(masked, expected, "{set:?}");
        }
        assert_eq!(plain(Mask::Bits(&bits)), expected, "{set:?} bits, plain");
    }
}

#[test]
fn normalisation_of_bf16_is_that_of_f32_rounded() {
    for &(pixels, channels) in SHAPES {
        let len = pixels * channels;
        let ((x, wx), (dy, wdy), (residual, wresidual)) = (both(len, 1), both(len, 2), both(len, 3));
        let vector = |seed| numbers(channels, seed);
        let affine = Affine { center: vector(4), scale: vector(5), shift: vector(6) };
        let terms = GradientTerms { center: vector(4), scale: vector(5), slope: vector(6), offset: vector(7) };
        for set in sets() {
            assert_eq!(vectors::moments(set, &x, channels), vectors::moments(set, &wx, channels));
            for (relu, add) in [(false, false), (true, false), (false, true), (true, true)] {
                let name = format!("{pixels} x {channels} {set:?} relu {relu} residual {add}");
                let y = run(len, bf16::NAN, |y| {
                    vectors::apply(set, &x, &affine, add.then_some(&residual[..]), rectifier(relu), y, None);
                });
                let (bits, wy) = masked_forward(set, &wx, &affine, add.then_some(&wresidual[..]), relu);
                same_rounded(&name, &y, &wy);
                let mask = match (relu, add) {
                    (false, _) => Mask::Open,
                    (true, false) => Mask::Through(Activation::Relu, &affine),
                    (true, true) => Mask::Bits(&bits),
                };
                let sums = vectors::gradient_sums(set, &x, &affine.center, mask, &dy);
                assert_eq!(sums, vectors::gradient_sums(set, &wx, &affine.center, mask, &wdy), "{name}");
                let (mut left, mut wide_left) = (vec![bf16::ZERO; len], vec![0f32; len]);
                let dx = run(len, bf16::NAN, |dx| {
                    let left = add.then_some(memory::as_output(&mut left));
                    vectors::backward(set, &x, &terms, mask, &dy, dx, left);
                });
                let wdx = run(len, f32::NAN, |dx| {
                    let left = add.then_some(memory::as_output(&mut wide_left));
                    vectors::backward(set, &wx, &terms, mask, &wdy, dx, left);
                });
                same_rounded(&name, &dx, &wdx);
                same_rounded(&name, &left, &wide_left);
            }
        }
    }
}

/// Gradients through a function are wide until they are stored.
#[test]
fn plain_gradients_of_bf16_are_those_of_f32_rounded() {
    for &(pixels, channels) in SHAPES {
        let len = pixels * channels;
        let ((x, wx), (dy, wdy)) = (both(len, 1), both(len, 2));
        let vector = |seed| numbers(channels, seed);
        let affine = Affine { center: vector(4), scale: vector(5), shift: vector(6) };
        let terms = GradientTerms { center: vector(4), scale: vector(5), slope: vector(6), offset: vector(7) };
        for after in SMOOTH.into_iter().chain([Activation::Relu]) {
            let (name, mask) = (format!("{pixels} x {channels} {after:?}"), Mask::Through(after, &affine));
            let sums = reference::gradient_sums(&x, &affine.center, mask, &dy);
            assert_eq!(sums, reference::gradient_sums(&wx, &affine.center, mask, &wdy), "{name}");
            let (mut left, mut wide_left) = (vec![bf16::NAN; len], vec![f32::NAN; len]);
            let dx = run(len, bf16::NAN, |dx| {
                reference::backward(&x, &terms, mask, &dy, dx, Some(memory::as_output(&mut left)));
            });
            let wdx = run(len, f32::NAN, |dx| {
                reference::backward(&wx, &terms, mask, &wdy, dx, Some(memory::as_output(&mut wide_left)));
            });
            same_rounded(&name, &dx, &wdx);
            same_rounded(&name, &left, &wide_left);
        }
    }
}
