//! Comparison with torchvision for given random parameters. `tests/fixtures/generate.py` made the expected images.

use safetensors::SafeTensors;

use super::color_jitter::Adjustment;
use super::erase::paint;
use super::fastai::FastaiDraw;
use super::resize::{Rect, resize};
use super::window::Window;
use super::{Border, CenterCrop, ShortSide};
use crate::{Batch, Image, ImageSize, Mix, Normalize, PastedBox};

const FILE: &[u8] = include_bytes!("../../tests/fixtures/torchvision.safetensors");

fn expected(name: &str) -> Image {
    let file = SafeTensors::deserialize(FILE).unwrap();
    let tensor = file.tensor(name).unwrap();
    Image::new(ImageSize::new(tensor.shape()[0], tensor.shape()[1]), tensor.data().to_vec()).unwrap()
}

pub(super) fn floats(name: &str) -> Vec<f32> {
    let file = SafeTensors::deserialize(FILE).unwrap();
    let bytes = file.tensor(name).unwrap().data().as_chunks::<4>().0.iter();
    bytes.map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// Fails unless sizes agree and no value differs by more than `levels`; at most a `share` of the values may differ at all.
fn assert_close(found: &Image, name: &str, levels: u8, share: f64) {
    let expected = expected(name);
    assert_eq!(found.size(), expected.size(), "{name}");
    let pairs: Vec<(usize, u8, u8)> =
        found.pixels().iter().zip(expected.pixels()).enumerate().map(|(i, (&a, &b))| (i, a, b)).collect();
    let wrong: Vec<_> = pairs.iter().filter(|(_, a, b)| a.abs_diff(*b) > levels).take(5).collect();
    assert!(wrong.is_empty(), "{name}: (position, found, expected) {wrong:?}");
    let differing = pairs.iter().filter(|(_, a, b)| a != b).count();
    assert!(differing as f64 <= share * pairs.len() as f64, "{name}: {differing} of {} differ", pairs.len());
}

fn window(name: &str, window: Window) {
    let mut out = Image::black(window.size);
    window.copy(expected("image").view(), out.pixels_mut());
    assert_close(&out, name, 0, 0.0);
}

#[test]
fn crops_and_flips_are_exact() {
    let size = expected("image").size();
    let whole = Window::whole(size);
    window("pad4-crop-top1-left7", Window { top: 1 - 4, left: 7 - 4, ..whole });
    window("reflect4-crop-top8-left0", Window { top: 8 - 4, left: -4, border: Border::Reflect, ..whole });
    window("flip", whole.flipped());
    window("center-crop-16", CenterCrop::new(16).window(size));
    window("center-crop-30", CenterCrop::new(30).window(size));
}

#[test]
fn resizing_is_exact() {
    let image = expected("image");
    for [top, left, height, width, size] in [[2, 3, 19, 31, 16], [5, 0, 7, 9, 16], [0, 0, 23, 37, 8], [22, 36, 1, 1, 4]]
    {
        let part = Rect { top, left, size: ImageSize::new(height, width) };
        let out = resize(image.view(), part, ImageSize::square(size)).unwrap();
        assert_close(&out, &format!("resized-crop-{top}-{left}-{height}-{width}-{size}"), 0, 0.0);
    }
    for size in [11, 23, 40] {
        assert_close(&ShortSide { size }.apply(image.view()).unwrap(), &format!("short-side-{size}"), 0, 0.0);
    }
}

#[test]
fn colours_are_exact_but_for_blends_that_end_on_a_whole_number() {
    let adjusted = |name: String, adjustment: Adjustment, levels, share| {
        let mut image = expected("image");
        adjustment.apply(&mut image);
        assert_close(&image, &name, levels, share);
    };
    for factor in [0.6, 1.4] {
        adjusted(format!("brightness-{factor}"), Adjustment::Brightness(factor), 0, 0.0);
        adjusted(format!("contrast-{factor}"), Adjustment::Contrast(factor), 0, 0.0);
    }
    adjusted("saturation-0.6".to_string(), Adjustment::Saturation(0.6), 0, 0.0);
    // PyTorch fuses the blend's multiplication and addition, which moves 18 of 2,553 values by one level.
    adjusted("saturation-1.4".to_string(), Adjustment::Saturation(1.4), 1, 18.0 / 2553.0);
    for turn in [-0.3, 0.1, 0.5] {
        adjusted(format!("hue-{turn}"), Adjustment::Hue(turn), 0, 0.0);
    }
    let mut image = expected("image");
    paint(&mut image, Rect { top: 3, left: 5, size: ImageSize::new(7, 11) }, [10, 20, 30]);
    assert_close(&image, "erase-3-5-7-11", 0, 0.0);
}

#[test]
fn normalised_values_are_exact() {
    let image = expected("image");
    let mut out = vec![0.0; image.pixels().len()];
    Normalize::CIFAR10.table().write(image.pixels(), &mut out);
    assert_eq!(out, floats("normalized"));
}

/// The two images of labels 2 and 0 out of 4, each the other's partner.
fn batch_of_two(weight: f32, pasted: Option<PastedBox>) -> Batch {
    let (image, other) = (expected("image"), expected("other"));
    let size = image.size();
    let mix = Some(Mix { partner: vec![1, 0], weight: vec![weight; 2], pasted });
    let images = [image.into_pixels(), other.into_pixels()].concat();
    let (labels, indices, earlier) = (vec![2, 0], vec![0, 1], vec![0, 0]);
    Batch { size, images, labels, indices, earlier, mix, classes: 4, seed: 0, epoch: 0 }
}

fn assert_near(found: &[f32], name: &str) {
    let expected = floats(name);
    assert_eq!(found.len(), expected.len(), "{name}");
    // torchvision's 1 - 0.3 is rounded to f32 once, after the subtraction in f64; here it is a difference of two f32.
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-6, "{name}: {found} {expected}");
    }
}

#[test]
fn mixup_is_torchvisions() {
    let batch = batch_of_two(0.3, None);
    assert_near(&batch.soft_targets().unwrap(), "mixup-0.3-targets");
    let device = batch.to_device(&candle_core::Device::Cpu, &Normalize::CIFAR10).unwrap();
    let first = device.images.get(0).unwrap().permute((1, 2, 0)).unwrap().flatten_all().unwrap();
    assert_near(&first.to_vec1::<f32>().unwrap(), "mixup-0.3");
}

#[test]
fn cutmix_is_torchvisions() {
    let pasted = PastedBox { top: 3, bottom: 17, left: 5, right: 21 };
    let kept = 1.0 - ((21 - 5) * (17 - 3)) as f32 / (23 * 37) as f32;
    let mut batch = batch_of_two(kept, Some(pasted));
    assert_near(&batch.soft_targets().unwrap(), "cutmix-5-3-21-17-targets");
    pasted.paste(&mut batch.images, batch.size, &[1, 0]);
    let first = Image::new(batch.size, batch.images[..batch.size.bytes()].to_vec()).unwrap();
    assert_close(&first, "cutmix-5-3-21-17", 0, 0.0);
}

#[test]
fn fastai_is_within_one_level() {
    // Samples in f32 here and in f64 there, and light by a table of 256 values here: one level, two where light stretches it.
    let image = expected("image");
    let all = FastaiDraw {
        crop: [0.3, 0.8],
        flip: true,
        warp: Some([0.1, -0.2, 0.15, 0.05]),
        rotate: Some(8.0),
        zoom: Some([1.07, 0.2, 0.9]),
        brightness: Some(0.57),
        contrast: Some(1.2),
    };
    assert_close(&all.apply(image.view(), 20), "fastai-all", 2, 0.5);
    let affine = FastaiDraw {
        crop: [0.0, 0.5],
        flip: false,
        warp: Some([-0.2, 0.2, 0.1, -0.1]),
        rotate: Some(-10.0),
        zoom: Some([1.1, 0.7, 0.1]),
        brightness: None,
        contrast: None,
    };
    assert_close(&affine.apply(image.view(), 23), "fastai-affine", 1, 0.01);
}
