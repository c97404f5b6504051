//! Pipelines and mixing in configuration files. TOML has no null, and accepts an integer for a fraction.

use std::collections::BTreeMap;

use super::*;
use crate::Mixing;

fn written<T: serde::Serialize>(value: &T) -> String {
    toml::to_string(&BTreeMap::from([("value", value)])).unwrap()
}

fn read<T: serde::de::DeserializeOwned>(text: &str) -> T {
    toml::from_str::<BTreeMap<String, T>>(text).unwrap().remove("value").unwrap()
}

/// A transform with no setting at its default, and the next one; the compiler asks for those still to come.
fn after(transform: Option<&Transform>) -> Option<Transform> {
    let Some(transform) = transform else {
        return Some(Transform::PadCrop(PadCrop { pad: 3, size: Some(24), border: Border::Reflect }));
    };
    Some(match transform {
        Transform::PadCrop(_) => Transform::Flip(Flip { p: 1.0 / 3.0 }),
        Transform::Flip(_) => Transform::AlternatingFlip(AlternatingFlip {}),
        Transform::AlternatingFlip(_) => Transform::ShortSide(ShortSide { size: 147 }),
        Transform::ShortSide(_) => Transform::CenterCrop(CenterCrop { size: 99, border: Border::Reflect }),
        Transform::CenterCrop(_) => {
            Transform::RandomResizedCrop(RandomResizedCrop { size: 96, scale: [0.35, 0.75], ratio: [1.0, 2.5] })
        }
        Transform::RandomResizedCrop(_) => Transform::FastaiAugment(FastaiAugment {
            size: 64,
            flip: 0.25,
            warp: 0.1,
            rotate: 20.0,
            zoom: 1.5,
            lighting: 0.3,
            p_affine: 1.0,
            p_lighting: 0.0,
        }),
        Transform::FastaiAugment(_) => {
            Transform::ColorJitter(ColorJitter { brightness: 0.4, contrast: 0.3, saturation: 1.0, hue: 0.1 })
        }
        Transform::ColorJitter(_) => {
            Transform::RandomErasing(RandomErasing { p: 1.0, scale: [0.1, 1.0], ratio: [0.5, 2.0], fill: [1, 2, 255] })
        }
        Transform::RandomErasing(_) => Transform::Cutout(Cutout { size: 8, fill: [0, 128, 255] }),
        Transform::Cutout(_) => Transform::TrivialAugment(TrivialAugment { bins: 11, fill: [1, 2, 3] }),
        // A step of a program's own is written and not read.
        Transform::TrivialAugment(_) | Transform::Own(_) => return None,
    })
}

#[test]
fn every_transform_survives() {
    let all: Vec<Transform> = std::iter::successors(after(None), |transform| after(Some(transform))).collect();
    assert_eq!(all.len(), 11);
    for transform in &all {
        let text = written(transform);
        assert_eq!(read::<Transform>(&text), *transform, "{text}");
    }
    let all = Pipeline::new(all).unwrap();
    assert_eq!(read::<Pipeline>(&written(&all)), all);
    for pipeline in [Pipeline::default(), Pipeline::cifar(), Pipeline::imagenet_train(128, 0.35).unwrap()] {
        assert_eq!(read::<Pipeline>(&written(&pipeline)), pipeline);
    }
}

#[test]
fn what_is_none_is_left_out() {
    let text = serde_json::to_string(&Pipeline::cifar()).unwrap();
    assert_eq!(text, r#"[{"op":"pad-crop","pad":4,"border":"zero"},{"op":"flip","p":0.5}]"#);
    // As it was written before.
    let old = r#"[{"op":"pad-crop","pad":4,"size":null},{"op":"flip","p":0.5}]"#;
    assert_eq!(serde_json::from_str::<Pipeline>(old).unwrap(), Pipeline::cifar());
}

#[test]
fn whole_numbers_stand_for_fractions() {
    let crop = RandomResizedCrop { size: 224, scale: [0.35, 1.0], ratio: [1.0, 2.0] };
    let expected = Pipeline::new(vec![
        Transform::RandomResizedCrop(crop),
        Transform::Flip(Flip { p: 1.0 }),
        Transform::FastaiAugment(FastaiAugment { size: 96, rotate: 20.0, ..FastaiAugment::default() }),
        Transform::RandomErasing(RandomErasing { p: 1.0, scale: [0.1, 1.0], ..RandomErasing::default() }),
    ]);
    let text = "value = [
        { op = 'random-resized-crop', scale = [0.35, 1], ratio = [1, 2] },
        { op = 'flip', p = 1 },
        { op = 'fastai-augment', size = 96, rotate = 20 },
        { op = 'random-erasing', p = 1, scale = [0.1, 1], fill = [0, 0, 0] },
    ]";
    assert_eq!(read::<Pipeline>(text), expected.unwrap());
    assert_eq!(read::<Mixing>("value = { kind = 'mixup', alpha = 1 }"), Mixing::Mixup { alpha: 1.0 });
}

#[test]
fn mixing_survives() {
    for mixing in [
        Mixing::None,
        Mixing::Mixup { alpha: 0.4 },
        Mixing::MixupPerSample { alpha: 1.0 },
        Mixing::CutMix { alpha: 1.0 / 3.0 },
    ] {
        let text = written(&mixing);
        assert_eq!(read::<Mixing>(&text), mixing, "{text}");
    }
}

#[test]
fn a_misspelt_setting_is_refused_by_name() {
    for text in [
        "value = [{ op = 'pad-crop', pads = 4 }]",
        "value = [{ op = 'cutout', pads = 4 }]",
        "value = [{ op = 'alternating-flip', pads = 4 }]",
    ] {
        let error = toml::from_str::<BTreeMap<String, Pipeline>>(text).unwrap_err();
        // The message alone: as text the error quotes the line.
        assert!(error.message().contains("`pads`"), "{error}");
    }
    let error =
        toml::from_str::<BTreeMap<String, Mixing>>("value = { kind = 'mixup', alpha = 1, pads = 4 }").unwrap_err();
    assert!(error.message().contains("`pads`"), "{error}");
}
