//! The fused CPU loops: one pass over the elements of every tensor, in chunks distributed over threads.
//!
//! Each element is computed on its own, without reassociation or fused multiply-add, so the bits depend neither on the number of threads
//! nor on the instruction set chosen at run time.

use crate::rule::{MAX_SLOTS, Rule};
use crate::slices::Element;
use rayon::prelude::*;

/// Elements per unit of work: 256 KiB of f32, so that ResNet-18's 11 million parameters make some 200 units. A quarter of that made a step
/// of SGD with momentum 4 % slower.
pub(crate) const CHUNK: usize = 64 * 1024;

/// Below this total number of elements, waking other threads costs more than it saves.
const SERIAL: usize = 2 * CHUNK;

/// One parameter of a step.
pub(crate) struct Work<'a, T, U> {
    pub(crate) update: U,
    /// Whether the state counts as zero, whatever it holds.
    pub(crate) fresh: bool,
    pub(crate) weights: &'a mut [T],
    pub(crate) gradient: &'a [T],
    /// The state values, as many as the rule has slots; the rest are empty.
    pub(crate) state: [&'a mut [T]; MAX_SLOTS],
    /// The second copy to pull; empty if there is none.
    pub(crate) anchor: &'a mut [T],
}

/// Applied to every gradient element before the rule: scaling, then clamping to `[-limit, limit]`.
#[derive(Clone, Copy)]
pub(crate) struct Preparation<T> {
    pub(crate) scale: T,
    pub(crate) limit: T,
}

impl<T: Element> Preparation<T> {
    fn changes_nothing(&self) -> bool {
        self.scale == T::from_f64(1.0) && self.limit == T::from_f64(f64::INFINITY)
    }

    #[inline(always)]
    fn apply(&self, g: T) -> T {
        let g = g * self.scale;
        // Written so that a NaN stays a NaN.
        let g = if g > self.limit { self.limit } else { g };
        let low = T::default() - self.limit;
        if g < low { low } else { g }
    }
}

/// How anchors move; see [`Pull`](crate::pull::Pull).
#[derive(Clone, Copy)]
pub(crate) struct Rate<T> {
    pub(crate) rate: T,
    pub(crate) write_back: bool,
}

/// Two tensors of one length.
pub(crate) struct Pair<'a, T> {
    pub(crate) a: &'a mut [T],
    pub(crate) b: &'a mut [T],
}

/// Runs one step of `R` with `N` slots over all `work`.
pub(crate) fn step<R: Rule, T: Element, const N: usize>(
    work: Vec<Work<'_, T, R::Update>>,
    preparation: Preparation<T>,
    rate: Rate<T>,
) {
    let total: usize = work.iter().map(|w| w.weights.len()).sum();
    let mut chunks = Vec::with_capacity(total / CHUNK + work.len());
    for mut rest in work {
        while !rest.weights.is_empty() {
            let size = CHUNK.min(rest.weights.len());
            let (gradient, gradient_rest) = rest.gradient.split_at(size);
            let [s0, s1, s2] = rest.state;
            let ((s0, r0), (s1, r1), (s2, r2)) = (cut(s0, size), cut(s1, size), cut(s2, size));
            let (weights, weights_rest) = rest.weights.split_at_mut(size);
            let (anchor, anchor_rest) = cut(rest.anchor, size);
            chunks.push(Work {
                update: rest.update,
                fresh: rest.fresh,
                weights,
                gradient,
                state: [s0, s1, s2],
                anchor,
            });
            rest = Work {
                update: rest.update,
                fresh: rest.fresh,
                weights: weights_rest,
                gradient: gradient_rest,
                state: [r0, r1, r2],
                anchor: anchor_rest,
            };
        }
    }
    in_parallel(total, chunks, |chunk| {
        vectorised(
            #[inline(always)]
            || {
                if preparation.changes_nothing() {
                    step_elements::<R, T, N>(chunk, rate, |g| g);
                } else {
                    step_elements::<R, T, N>(chunk, rate, |g| preparation.apply(g));
                }
            },
        );
    });
}

/// `b <- b + rate * (a - b)`, and `a <- b` if `write_back`.
pub(crate) fn pull<T: Element>(pairs: Vec<Pair<'_, T>>, rate: T, write_back: bool) {
    on_pairs(pairs, |a, b| {
        if write_back {
            a.iter_mut().zip(b).for_each(|(a, b)| {
                *b = towards(*b, *a, rate);
                *a = *b;
            });
        } else {
            a.iter().zip(b).for_each(|(a, b)| *b = towards(*b, *a, rate));
        }
    });
}

/// Swaps the contents.
pub(crate) fn swap<T: Element>(pairs: Vec<Pair<'_, T>>) {
    on_pairs(pairs, |a, b| a.swap_with_slice(b));
}

fn on_pairs<T: Element>(pairs: Vec<Pair<'_, T>>, f: impl Fn(&mut [T], &mut [T]) + Send + Sync) {
    let total = pairs.iter().map(|p| p.a.len()).sum();
    let chunks = pairs.into_iter().flat_map(|p| p.a.chunks_mut(CHUNK).zip(p.b.chunks_mut(CHUNK))).collect();
    in_parallel(total, chunks, |(a, b)| {
        vectorised(
            #[inline(always)]
            || f(a, b),
        );
    });
}

pub(crate) fn in_parallel<C: Send>(total: usize, chunks: Vec<C>, f: impl Fn(C) + Send + Sync) {
    if total < SERIAL { chunks.into_iter().for_each(f) } else { chunks.into_par_iter().for_each(f) }
}

/// The first `size` elements and the rest; an absent (empty) slice stays empty.
fn cut<T>(slice: &mut [T], size: usize) -> (&mut [T], &mut [T]) {
    slice.split_at_mut(size.min(slice.len()))
}

/// From `anchor` towards `live` by `rate`: exact at rate 0, at rate 1 and if the two are equal.
#[inline(always)]
fn towards<T: Element>(anchor: T, live: T, rate: T) -> T {
    let gap = live - anchor;
    if rate < T::from_f64(0.5) { anchor + gap * rate } else { live + gap * (rate - T::from_f64(1.0)) }
}

/// Runs `f` compiled for the widest vectors this machine has. `f` must be inlined to benefit.
#[inline(always)]
pub(crate) fn vectorised<Out>(f: impl FnOnce() -> Out) -> Out {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
            #[allow(unsafe_code, reason = "a function compiled for more than the baseline is unsafe to call")]
            // SAFETY: the features were detected one line above; the function has no other condition.
            return unsafe { with_avx512(f) };
        }
        if is_x86_feature_detected!("avx2") {
            #[allow(unsafe_code, reason = "a function compiled for more than the baseline is unsafe to call")]
            // SAFETY: the feature was detected one line above; the function has no other condition.
            return unsafe { with_avx2(f) };
        }
    }
    f()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl")]
fn with_avx512<Out>(f: impl FnOnce() -> Out) -> Out {
    f()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn with_avx2<Out>(f: impl FnOnce() -> Out) -> Out {
    f()
}

#[inline(always)]
fn step_elements<R: Rule, T: Element, const N: usize>(
    work: Work<'_, T, R::Update>,
    rate: Rate<T>,
    prepare: impl Fn(T) -> T,
) {
    let Work { update, fresh, weights, gradient, state, anchor } = work;
    let n = weights.len();
    let gradient = &gradient[..n];
    // Cut to the same length, so that the loop below has no bounds checks.
    let mut state = state.into_iter();
    let mut slots: [&mut [T]; N] = std::array::from_fn(|_| &mut state.next().unwrap_or_default()[..n]);
    if fresh {
        slots.iter_mut().for_each(|slot| slot.fill(T::default()));
    }
    if anchor.is_empty() {
        for i in 0..n {
            let values = std::array::from_fn(|s| slots[s][i]);
            let (w, values) = R::element::<T, N>(&update, weights[i], prepare(gradient[i]), values);
            weights[i] = w;
            for s in 0..N {
                slots[s][i] = values[s];
            }
        }
    } else {
        let anchor = &mut anchor[..n];
        for i in 0..n {
            let values = std::array::from_fn(|s| slots[s][i]);
            let (w, values) = R::element::<T, N>(&update, weights[i], prepare(gradient[i]), values);
            let moved = towards(anchor[i], w, rate.rate);
            anchor[i] = moved;
            weights[i] = if rate.write_back { moved } else { w };
            for s in 0..N {
                slots[s][i] = values[s];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AdamWConfig;
    use crate::rule::{Clock, Scales};

    /// Weights, gradient, three slots and anchor, of a length that no vector width divides.
    fn tensors() -> [Vec<f32>; 6] {
        std::array::from_fn(|t| (0..1003).map(|i| ((i * (t + 3)) as f32 * 0.37).sin().abs() * 0.1).collect())
    }

    #[inline(always)]
    fn adam_step([weights, gradient, first, second, largest, anchor]: &mut [Vec<f32>; 6]) {
        let config = AdamWConfig { amsgrad: true, ..AdamWConfig::default() };
        let update =
            config.update(&Clock { steps: 3, ..Clock::FRESH }, Scales { learning_rate: 1.0, weight_decay: 1.0 });
        let work = Work { update, fresh: false, weights, gradient, state: [first, second, largest], anchor };
        let rate = Rate { rate: 0.3, write_back: true };
        let preparation = Preparation { scale: 0.7, limit: 0.05 };
        step_elements::<AdamWConfig, f32, 3>(work, rate, |g| preparation.apply(g));
    }

    #[test]
    fn every_vector_unit_gives_the_same_bits() {
        let bits = |tensors: &[Vec<f32>; 6]| tensors.concat().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        let mut baseline = tensors();
        adam_step(&mut baseline);
        assert_ne!(bits(&baseline), bits(&tensors()));
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") {
                let mut found = tensors();
                #[allow(unsafe_code, reason = "a function compiled for more than the baseline is unsafe to call")]
                // SAFETY: the feature was detected one line above; the function has no other condition.
                unsafe {
                    with_avx2(
                        #[inline(always)]
                        || adam_step(&mut found),
                    );
                };
                assert!(bits(&found) == bits(&baseline), "AVX2");
            }
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
                let mut found = tensors();
                #[allow(unsafe_code, reason = "a function compiled for more than the baseline is unsafe to call")]
                // SAFETY: the features were detected one line above; the function has no other condition.
                unsafe {
                    with_avx512(
                        #[inline(always)]
                        || adam_step(&mut found),
                    );
                };
                assert!(bits(&found) == bits(&baseline), "AVX-512");
            }
        }
    }
}
