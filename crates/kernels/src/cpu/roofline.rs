//! Compares the kernels with the machine's limits: every kernel of a training step of the two CIFAR networks, alone.
//!
//!     just roofline
//!
//! For each instruction set, it prints the rate of register tiles on operands in the first-level cache, on all threads. Then,
//! for every layer: time, multiplications per second (those of the direct convolution), and the share of the peak rate that
//! the multiplications actually done (a quarter with Winograd) reach. The totals are the time of all kernels of a step; the
//! rest of a step is spent between them. Times are the best of several calls, with warm outputs and scratch memory.
#![allow(unsafe_code, reason = "vector instructions")]
#![allow(clippy::needless_range_loop, reason = "register tiles are indexed by constants, which iterators hide")]

use std::mem::MaybeUninit;
use std::time::Instant;

use crate::cpu::batch_norm::{Affine, GradientTerms, Mask};
use crate::cpu::choose::Kernels;
use crate::cpu::conv::{Epilogue, winograd};
use crate::cpu::memory;
use crate::cpu::simd::microkernel::reduce;
use crate::cpu::simd::{Vector, dispatch, lanes};
use crate::cpu::twins::{numbers, sets};
use crate::plan::{ConvShape, Window};
use crate::{Activation, InstructionSet, set_instruction_set};

const BATCH: usize = 128;

/// Number of occurrences, input and output channels, side of the input, kernel side, stride.
type Layer = (usize, usize, usize, usize, usize, usize);

const RESNET20: &[Layer] = &[
    (1, 3, 16, 32, 3, 1),
    (6, 16, 16, 32, 3, 1),
    (1, 16, 32, 32, 3, 2),
    (1, 16, 32, 32, 1, 2),
    (5, 32, 32, 16, 3, 1),
    (1, 32, 64, 16, 3, 2),
    (1, 32, 64, 16, 1, 2),
    (5, 64, 64, 8, 3, 1),
];

const RESNET18: &[Layer] = &[
    (1, 3, 64, 32, 3, 1),
    (4, 64, 64, 32, 3, 1),
    (1, 64, 128, 32, 3, 2),
    (1, 64, 128, 32, 1, 2),
    (3, 128, 128, 16, 3, 1),
    (1, 128, 256, 16, 3, 2),
    (1, 128, 256, 16, 1, 2),
    (3, 256, 256, 8, 3, 1),
    (1, 256, 512, 8, 3, 2),
    (1, 256, 512, 8, 1, 2),
    (3, 512, 512, 4, 3, 1),
];

#[test]
#[ignore = "measures the machine; run by `just roofline`"]
fn roofline() {
    let best = crate::settings::instruction_set::current();
    for set in sets() {
        set_instruction_set(set).unwrap();
        let peak = peak(set);
        println!("{set}: {:.0} GFLOP/s from the L1 cache, {} threads", peak / 1e9, rayon::current_num_threads());
        for (network, layers) in [("resnet20", RESNET20), ("resnet18", RESNET18)] {
            let mut total = [0.0; 7];
            for &layer in layers {
                for (sum, seconds) in total.iter_mut().zip(measure(layer, peak)) {
                    *sum += layer.0 as f64 * seconds;
                }
            }
            let [forward, data, weight, norm @ ..] = total.map(|seconds| 1e3 * seconds);
            let norm: f64 = norm.iter().sum();
            println!(
                "  {network}, a step: forward {forward:.1}, data gradient {data:.1}, weight gradient {weight:.1}, batch norm \
                 {norm:.1}, together {:.1} ms\n",
                forward + data + weight + norm
            );
        }
    }
    set_instruction_set(best).unwrap();
}

/// Seconds of a layer's kernels: three of the convolution, then moments, normalisation, gradient sums and gradient.
fn measure((count, from, to, side, kernel, stride): Layer, peak: f64) -> [f64; 7] {
    let window = Window { kernel: (kernel, kernel), stride, padding: kernel / 2, dilation: 1 };
    let output = window.output("roofline", (side, side)).unwrap();
    let shape =
        ConvShape { batch: BATCH, input: (side, side), output, channels_in: from, channels_out: to, groups: 1, window };
    let (x, dy, weight) = (numbers(shape.x_len(), 1), numbers(shape.y_len(), 2), numbers(shape.weight_len(), 3));
    let (mut y, mut dx) = (vec![0f32; shape.y_len()], vec![0f32; shape.x_len()]);
    let mut dw = vec![0f32; shape.weight_len()];
    let affine = Affine { center: vec![0.1; to], scale: vec![1.5; to], shift: vec![0.2; to] };
    let terms =
        GradientTerms { center: vec![0.1; to], scale: vec![1.5; to], slope: vec![0.01; to], offset: vec![0.02; to] };
    let mask = Mask::Through(Activation::Relu, &affine);
    let seconds = [
        best(|| f32::conv2d_forward(&shape, &x, &weight, Epilogue::NONE, output_of(&mut y))),
        // The first layer's images need no gradient.
        if from == 3 {
            0.0
        } else {
            best(|| f32::conv2d_backward_data(&shape, &dy, &weight, false, output_of(&mut dx)))
        },
        best(|| f32::conv2d_backward_weight(&shape, &x, &dy, output_of(&mut dw))),
        best(|| drop(f32::moments(&dy, to))),
        best(|| f32::normalise(&dy, &affine, None, Some(Activation::Relu), output_of(&mut y), None)),
        best(|| drop(f32::gradient_sums(&dy, &affine.center, mask, &dy))),
        best(|| f32::normalise_backward(&dy, &terms, mask, &dy, output_of(&mut y), None)),
    ];
    let flops = 2.0 * (shape.y_len() * from * kernel * kernel) as f64;
    let tiles = BATCH * output.0.div_ceil(4) * output.1.div_ceil(4);
    let done = if winograd::takes(&shape) { 2.0 * (tiles * 36 * from * to) as f64 } else { flops };
    print!("  {count} x {from:>3}-{to:<3} {side:>2}x{side:<2} {kernel}x{kernel}s{stride}");
    for seconds in &seconds[..3] {
        if *seconds > 0.0 {
            let (rate, share) = (flops / seconds / 1e9, 100.0 * done / seconds / peak);
            print!("  {:>6.2} ms {rate:>5.0} GFLOP/s {share:>3.0} %", 1e3 * seconds);
        } else {
            print!("  {:>31}", "");
        }
    }
    // Tensors that each pass of batch norm moves.
    for (seconds, tensors) in seconds[3..].iter().zip([1.0, 2.0, 2.0, 3.0]) {
        print!("  {:>5.2} ms {:>3.0} GB/s", 1e3 * seconds, tensors * 4.0 * shape.y_len() as f64 / seconds / 1e9);
    }
    println!();
    seconds
}

/// Everything here was written before.
fn output_of(memory: &mut [f32]) -> &mut [MaybeUninit<f32>] {
    memory::as_output(memory)
}

/// Seconds of the fastest of several calls.
fn best(mut call: impl FnMut()) -> f64 {
    (0..9)
        .map(|_| {
            let start = Instant::now();
            call();
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min)
}

/// Floating-point operations per second of the largest register tile on operands in the first-level cache, on all threads.
fn peak(set: InstructionSet) -> f64 {
    const DEPTH: usize = 128;
    const ROUNDS: usize = 20_000;
    let rows = if set == InstructionSet::Avx512 { 12 } else { 6 };
    let seconds = best(|| {
        rayon::broadcast(|_| {
            let (a, b) = (vec![1f32; 12 * DEPTH], vec![1f32; 2 * 16 * DEPTH]);
            let mut sums = vec![0f32; 12 * 2 * 16];
            // SAFETY: twelve rows of `a`, panels of at most 32 columns of `b`, and a tile of sums.
            unsafe { spin(set, &a, &b, &mut sums, ROUNDS) };
            assert!(sums[0] > 0.0);
        });
    });
    let tile = 2 * rows * 2 * lanes(set) * DEPTH;
    (tile * ROUNDS * rayon::current_num_threads()) as f64 / seconds
}

dispatch! {
    /// Multiplies one register tile again and again.
    fn spin(a: &[f32], b: &[f32], sums: &mut [f32], rounds: usize) = spin_body
}

#[inline(always)]
unsafe fn spin_body<V: Vector>(a: &[f32], b: &[f32], sums: &mut [f32], rounds: usize) {
    // SAFETY: the caller's contract.
    unsafe {
        if V::LANES == 16 {
            spin_tile::<V, 12>(a, b, sums, rounds);
        } else {
            spin_tile::<V, 6>(a, b, sums, rounds);
        }
    }
}

#[inline(always)]
unsafe fn spin_tile<V: Vector, const ROWS: usize>(a: &[f32], b: &[f32], sums: &mut [f32], rounds: usize) {
    let depth = a.len() / 12;
    // SAFETY: `a` has twelve rows of `depth`, `b` as many panels of two vectors, `sums` a tile.
    unsafe {
        let mut tile = [[V::splat(0.0); 2]; ROWS];
        for _ in 0..rounds {
            let mut rows = [std::hint::black_box(a.as_ptr()); ROWS];
            for row in 0..ROWS {
                rows[row] = rows[row].add(row * depth);
            }
            reduce::<V, ROWS, 2>(&mut tile, rows, b.as_ptr(), depth);
        }
        for row in 0..ROWS {
            for j in 0..2 {
                tile[row][j].store(sums.as_mut_ptr().add((row * 2 + j) * V::LANES));
            }
        }
    }
}
