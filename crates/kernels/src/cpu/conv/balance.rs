//! Tests how evenly the work of weight gradients can be distributed over threads, with the kernels' own task lists, weighted
//! by multiplications, and a model of rayon.
//!
//! In the model, an idle thread takes the piece that became ready first, at no cost, and a piece takes as long as its
//! multiplications. Cache misses, memory bandwidth and rayon's overhead are ignored: the result is a bound for the
//! partition, not a prediction for a machine.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{direct, winograd};
use crate::plan::{ConvShape, Window};

/// Work in order: steps run one after another, and the pieces of a step may run in parallel.
pub(in crate::cpu::conv) type Chain = Vec<Vec<u64>>;

/// The time at which `threads` threads have finished all chains.
fn finish(chains: &[Chain], threads: usize) -> u64 {
    // Ready pieces: the time since when, chain and step. Threads: the time at which they are free.
    let mut ready: BinaryHeap<Reverse<(u64, usize, usize, usize)>> = BinaryHeap::new();
    let mut free: BinaryHeap<Reverse<u64>> = (0..threads).map(|_| Reverse(0)).collect();
    let mut left: Vec<(usize, u64)> = Vec::new();
    for (chain, steps) in chains.iter().enumerate() {
        left.push((steps[0].len(), 0));
        ready.extend((0..steps[0].len()).map(|piece| Reverse((0, chain, 0, piece))));
    }
    let mut last = 0;
    while let Some(Reverse((since, chain, step, piece))) = ready.pop() {
        let Reverse(at) = free.pop().unwrap();
        let end = at.max(since) + chains[chain][step][piece];
        free.push(Reverse(end));
        last = last.max(end);
        let (pieces, latest) = &mut left[chain];
        (*pieces, *latest) = (*pieces - 1, (*latest).max(end));
        if *pieces == 0 && step + 1 < chains[chain].len() {
            let next = chains[chain][step + 1].len();
            ready.extend((0..next).map(|piece| Reverse((*latest, chain, step + 1, piece))));
            left[chain] = (next, *latest);
        }
    }
    last
}

/// The largest share of a thread over an even share.
fn imbalance(phases: &[Vec<Chain>], threads: usize) -> f64 {
    let work: u64 = phases.iter().flatten().flatten().flatten().sum();
    let time: u64 = phases.iter().map(|chains| finish(chains, threads)).sum();
    time as f64 * threads as f64 / work as f64
}

fn shape(side: usize, from: usize, to: usize, kernel: usize, stride: usize) -> ConvShape {
    let window = Window::dense((kernel, kernel), stride, kernel / 2);
    let output = window.output("test", (side, side)).unwrap();
    ConvShape { batch: 128, input: (side, side), output, channels_in: from, channels_out: to, groups: 1, window }
}

/// The convolutions of ResNet-20 and ResNet-18 on CIFAR's images, batch 128.
fn layers() -> Vec<ConvShape> {
    let mut layers = Vec::new();
    for widths in [&[16, 32, 64][..], &[64, 128, 256, 512]] {
        layers.push(shape(32, 3, widths[0], 3, 1));
        for (stage, &width) in widths.iter().enumerate() {
            let side = 32 >> stage;
            layers.push(shape(side, width, width, 3, 1));
            if let Some(&next) = widths.get(stage + 1) {
                layers.extend([shape(side, width, next, 3, 2), shape(side, width, next, 1, 2)]);
            }
        }
    }
    layers
}

fn phases(shape: &ConvShape) -> Vec<Vec<Chain>> {
    if winograd::takes(shape) {
        winograd::weight_gradient_work(shape, 4)
    } else {
        vec![direct::weight_gradient_work(shape)]
    }
}

#[test]
fn the_model_knows_chains_and_threads() {
    // Two chains of a serial step and four pieces: on one thread all, on two a chain each, on eight the pieces side by side.
    let chain: Chain = vec![vec![4], vec![3; 4]];
    let chains = [chain.clone(), chain];
    assert_eq!([1, 2, 8].map(|threads| finish(&chains, threads)), [32, 16, 7]);
    assert_eq!(imbalance(&[chains.to_vec()], 8), 7.0 * 8.0 / 32.0);
}

#[test]
fn weight_gradients_keep_many_threads_busy() {
    for shape in layers() {
        for threads in [2, 8, 16, 32] {
            let imbalance = imbalance(&phases(&shape), threads);
            assert!(imbalance <= 1.15, "{shape:?} on {threads} threads: {imbalance:.2} of an even share");
        }
    }
}
