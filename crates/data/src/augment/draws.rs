//! The distributions that the transforms draw from: those of torchvision and fastai, with draws that never change.

use super::torch_parity::floats;
use super::{ColorJitter, Cutout, FastaiAugment, Flip, PadCrop, RandomErasing, RandomResizedCrop, TrivialAugment};
use crate::{ImageSize, SampleRng};

/// The image that the fixture's percentiles are for.
const PHOTO: ImageSize = ImageSize::new(160, 240);

const DRAWS: usize = 100_000;

fn draw<T>(f: impl Fn(&mut SampleRng) -> T) -> impl Iterator<Item = T> {
    (0..DRAWS).map(move |index| f(&mut SampleRng::new(11, 0, index)))
}

/// Fails unless at each of torchvision's percentiles the share of `values` below is what it should be.
fn assert_distributed(name: &str, values: impl Iterator<Item = f64>) {
    let values: Vec<f64> = values.collect();
    let share = |below: &dyn Fn(f64) -> bool| values.iter().filter(|&&v| below(v)).count() as f64 / values.len() as f64;
    for (i, edge) in floats(&format!("percentiles-{name}")).into_iter().enumerate() {
        let (expected, edge) = ((i + 1) as f64 / 100.0, f64::from(edge));
        // Whole numbers come in steps, and the fixture's are f32: the percentile may lie anywhere on its step.
        let (low, high) = (share(&|v| v < edge - 1e-4), share(&|v| v <= edge + 1e-4));
        // Five standard deviations of the difference between two samples, torchvision's being of the same size.
        let most = 5.0 * (2.0 * expected * (1.0 - expected) / DRAWS as f64).sqrt();
        assert!(low - expected < most && expected - high < most, "{name}: {low}..{high} below {edge}, not {expected}");
    }
}

#[test]
fn resized_crops_are_distributed_as_torchvisions() {
    let crop = RandomResizedCrop { size: 128, scale: [0.35, 1.0], ..RandomResizedCrop::default() };
    let parts = || draw(|rng| crop.draw(PHOTO, rng));
    assert_distributed("resized-crop-area", parts().map(|p| (p.size.height * p.size.width) as f64));
    assert_distributed("resized-crop-ratio", parts().map(|p| p.size.width as f64 / p.size.height as f64));
    assert_distributed("resized-crop-top", parts().map(|p| p.top as f64));
    assert_distributed("resized-crop-left", parts().map(|p| p.left as f64));
}

#[test]
fn erased_parts_are_distributed_as_torchvisions() {
    let erasing = RandomErasing { p: 1.0, ..RandomErasing::default() };
    let parts = || draw(|rng| erasing.draw(PHOTO, rng)).flatten();
    assert_distributed("erasing-area", parts().map(|p| (p.size.height * p.size.width) as f64));
    assert_distributed("erasing-ratio", parts().map(|p| p.size.height as f64 / p.size.width as f64));
    assert_distributed("erasing-top", parts().map(|p| p.top as f64));
}

/// Five standard deviations of a share of `p`.
fn assert_share(found: usize, p: f64, what: &str) {
    let (found, sd) = (found as f64 / DRAWS as f64, (p * (1.0 - p) / DRAWS as f64).sqrt());
    assert!((found - p).abs() < 5.0 * sd, "{what}: {found}, not {p}");
}

/// Fails unless a tenth of `values` lies in each tenth of `low..high`.
fn assert_uniform(values: impl Iterator<Item = f64>, low: f64, high: f64, what: &str) {
    let mut counts = [0usize; 10];
    let mut count = 0;
    for value in values {
        assert!((low..high).contains(&value), "{what}: {value}");
        counts[((value - low) / (high - low) * 10.0) as usize % 10] += 1;
        count += 1;
    }
    let expected = count as f64 / 10.0;
    // Chi-squared with 9 degrees of freedom is below 40 but once in 130,000 times.
    let chi: f64 = counts.iter().map(|&c| (c as f64 - expected).powi(2) / expected).sum();
    assert!(chi < 40.0, "{what}: {chi} {counts:?}");
}

#[test]
fn fastai_draws_what_its_documentation_says() {
    let fastai = FastaiAugment::default();
    let draws: Vec<_> = draw(|rng| fastai.draw(rng)).collect();
    assert_share(draws.iter().filter(|d| d.flip).count(), 0.5, "flip");
    assert_share(draws.iter().filter(|d| d.warp.is_some()).count(), 0.75, "warp");
    assert_share(draws.iter().filter(|d| d.rotate.is_some()).count(), 0.75, "rotate");
    assert_share(draws.iter().filter(|d| d.zoom.is_some()).count(), 0.75, "zoom");
    assert_share(draws.iter().filter(|d| d.brightness.is_some()).count(), 0.75, "brightness");
    assert_share(draws.iter().filter(|d| d.contrast.is_some()).count(), 0.75, "contrast");
    assert_uniform(draws.iter().map(|d| d.crop[0]), 0.0, 1.0, "crop row");
    assert_uniform(draws.iter().map(|d| d.crop[1]), 0.0, 1.0, "crop column");
    assert_uniform(draws.iter().filter_map(|d| d.warp).flatten(), -0.2, 0.2, "warp");
    assert_uniform(draws.iter().filter_map(|d| d.rotate), -10.0, 10.0, "rotate");
    assert_uniform(draws.iter().filter_map(|d| Some(d.zoom?[0])), 1.0, 1.1, "zoom");
    assert_uniform(draws.iter().filter_map(|d| Some(d.zoom?[2])), 0.0, 1.0, "focus");
    assert_uniform(draws.iter().filter_map(|d| d.brightness), 0.4, 0.6, "brightness");
    let log = draws.iter().filter_map(|d| Some(d.contrast?.ln()));
    assert_uniform(log, 0.8f64.ln() - 1e-12, 1.25f64.ln() + 1e-12, "logarithm of contrast");
}

#[test]
fn flips_and_cutouts_are_uniform() {
    for p in [0.5, 0.2] {
        assert_share(draw(|rng| Flip { p }.draw(rng)).filter(|&flip| flip).count(), p, "flip");
    }
    // A square of two pixels is clipped at the first row alone, where its centre is 0: each first row but that one is as likely.
    let tops = draw(|rng| Cutout { size: 2, ..Cutout::default() }.draw(ImageSize::new(10, 7), rng).top as f64);
    let mut counts = [0; 10];
    tops.for_each(|top| counts[top as usize] += 1);
    assert_share(counts[0], 0.2, "first row");
    (1..9).for_each(|row| assert_share(counts[row], 0.1, "row"));
}

/// These numbers are a promise: a change makes every seeded run of users come out different. List it in the CHANGELOG.
#[test]
fn draws_are_pinned() {
    let rng = || SampleRng::new(42, 3, 17);
    let found = [
        format!("{:?}", PadCrop::default().window(PHOTO, &mut rng()).unwrap()),
        format!("{:?}", Flip::default().draw(&mut rng())),
        format!("{:?}", RandomResizedCrop::default().draw(PHOTO, &mut rng())),
        format!("{:?}", RandomErasing { p: 1.0, ..RandomErasing::default() }.draw(PHOTO, &mut rng())),
        format!("{:?}", Cutout::default().draw(PHOTO, &mut rng())),
        // Rounded: logarithms may differ in the last bit between platforms.
        format!("{:.6?}", ColorJitter { brightness: 0.4, contrast: 0.3, saturation: 0.2, hue: 0.1 }.draw(&mut rng())),
        format!("{:.6?}", FastaiAugment::default().draw(&mut rng())),
        format!("{:.6?}", TrivialAugment::default().draw(&mut rng())),
    ];
    assert_eq!(found, PINNED);
}
const PINNED: [&str; 8] = [
    "Window { top: -2, left: 2, size: ImageSize { height: 160, width: 240 }, border: Zero, mirrored: false }",
    "false",
    "Rect { top: 0, left: 31, size: ImageSize { height: 158, width: 166 } }",
    "Some(Rect { top: 30, left: 68, size: ImageSize { height: 110, width: 41 } })",
    "Rect { top: 44, left: 170, size: ImageSize { height: 16, width: 16 } }",
    "[Brightness(0.669767), Hue(-0.093444), Saturation(1.123258), Contrast(1.061954)]",
    "FastaiDraw { crop: [0.742685, 0.316140], flip: false, warp: Some([0.061525, 0.032063, -0.032896, -0.098822]), \
     rotate: Some(-8.047490), zoom: Some([1.054651, 0.024328, 0.400406]), brightness: Some(0.473609), contrast: Some(1.196807) }",
    "TranslateY(-24.533333)",
];
