//! Filters turned and cast.

use crate::cuda::filters::{Filters, ITEMS, are_one, from_cudnn, to_cudnn};
use crate::cuda::source::ElementType;
use crate::cuda::tests::memory::{Memory, all, numbers};
use crate::plan::{ConvShape, Window};

/// More filters than one launch takes, of several blocks and of a part of one, there and back.
#[test]
fn filters_are_turned_there_and_back() {
    for (element, parameter) in [
        (ElementType::F32, ElementType::F32),
        (ElementType::F64, ElementType::F64),
        (ElementType::Bf16, ElementType::F32),
        (ElementType::Bf16, ElementType::Bf16),
    ] {
        let extents = [(5, 60, 9), (2, 3, 1), (1, 2, 4)];
        let mut sets: Vec<_> = (0..ITEMS + 2)
            .map(|number| {
                let (outputs, inputs, taps) = extents[number % 3];
                let values = numbers(outputs * inputs * taps, number as u64 + 1);
                let ours = Memory::of(parameter, &values);
                let (theirs, back) = (Memory::new(element, ours.len), Memory::new(parameter, ours.len));
                ((outputs, inputs, taps), values, ours, theirs, back)
            })
            .collect();
        let filters = |sets: &mut Vec<_>, back: bool| -> Vec<Filters> {
            let of = |((outputs, inputs, taps), _, ours, theirs, there): &mut (_, Vec<f64>, Memory, Memory, Memory)| {
                let ours = if back { there.at() } else { ours.at() };
                Filters { outputs: *outputs, inputs: *inputs, taps: *taps, ours, theirs: theirs.at() }
            };
            sets.iter_mut().map(of).collect()
        };
        let (there, back) = (filters(&mut sets, false), filters(&mut sets, true));
        let (there, back) = (to_cudnn(element, parameter, &there), from_cudnn(element, parameter, &back));
        assert_eq!((there.len(), back.len()), (2, 2));
        if !all(&[&there, &back]) {
            return;
        }
        for ((outputs, inputs, taps), values, _, theirs, back) in &sets {
            let turned = theirs.values();
            for (index, value) in values.iter().enumerate() {
                let (output, input, tap) = (index / taps / inputs, index / taps % inputs, index % taps);
                assert_eq!(turned[(output * taps + tap) * inputs + input], *value, "{output} of {outputs}");
            }
            assert_eq!(back.values(), *values);
        }
    }
}

#[test]
fn filters_of_one_tap_or_channel_stay_where_they_are() {
    let shape = |channels_in, groups, kernel| {
        let window = Window::dense((kernel, kernel), 1, 0);
        ConvShape { batch: 1, input: (4, 4), output: (2, 2), channels_in, channels_out: 8, groups, window }
    };
    let one = |shape| are_one(&shape, ElementType::Bf16, ElementType::Bf16);
    assert!(one(shape(8, 1, 1)) && one(shape(8, 8, 3)) && !one(shape(8, 1, 3)));
    assert!(!are_one(&shape(8, 1, 1), ElementType::Bf16, ElementType::F32), "they must be cast");
}
