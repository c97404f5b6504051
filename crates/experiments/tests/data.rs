//! What people's folders are like, through the programs: pictures left out, changed, broken, too small or laid out
//! oddly.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod program;

use std::fs;
use std::path::Path;
use std::process::Output;

use image::{ImageFormat, Rgb, RgbImage};
use program::{fails_with, run};

/// A stored PNG of one colour with a gradient: the same length whatever the colour.
fn png(red: u8, blue: u8) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let image = RgbImage::from_fn(32, 32, |x, y| Rgb([red, (x * 8) as u8, blue.wrapping_add(y as u8)]));
    let encoder = image::codecs::png::PngEncoder::new_with_quality(
        &mut bytes,
        image::codecs::png::CompressionType::Uncompressed,
        image::codecs::png::FilterType::NoFilter,
    );
    image.write_with_encoder(encoder).unwrap();
    bytes.into_inner()
}

/// Two classes, eight images each to train on and four to validate on; `swap` gives each the other's pictures.
fn photographs(folder: &Path, swap: bool) {
    for (part, count) in [("train", 8), ("val", 4)] {
        for (class, red) in [("a", swap), ("b", !swap)] {
            let folder = folder.join(part).join(class);
            fs::create_dir_all(&folder).unwrap();
            for i in 0..count {
                let (red, blue) = if red { (220 + i, 40) } else { (40, 200 + i) };
                fs::write(folder.join(format!("{i}.png")), png(red, blue)).unwrap();
            }
        }
    }
}

const FEW: &[&str] = &[
    "--dataset-dir",
    "photos",
    "--optimizers",
    "sgd",
    "--seeds",
    "1",
    "--epochs",
    "1",
    "--batch-size",
    "8",
    "--set",
    "data.image_size=32",
    "--set",
    "data.held_out=0",
];

fn imagenette(folder: &Path, arguments: &[&str]) -> Output {
    run(env!("CARGO_BIN_EXE_imagenette"), folder, &[FEW, arguments].concat())
}

fn data(folder: &Path, arguments: &[&str]) -> Output {
    run(env!("CARGO_BIN_EXE_data"), folder, arguments)
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn succeeds(output: &Output) -> String {
    let text = stderr(output);
    assert!(output.status.success() && !text.contains("panicked"), "{text}");
    text
}

#[test]
fn what_there_is_and_what_is_left_out_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    photographs(&photos, false);
    let class = photos.join("train/a");
    fs::rename(class.join("0.png"), class.join("0.jfif")).unwrap();
    fs::write(class.join("1.webp"), b"RIFF\0\0\0\0WEBPVP8 ").unwrap();
    fs::create_dir_all(photos.join("train/@eaDir")).unwrap();
    fs::write(photos.join("train/@eaDir/0.png"), png(1, 2)).unwrap();
    let text = succeeds(&imagenette(folder.path(), &[]));
    assert!(text.contains("photos/train: 16 images of 2 classes (left out: 1 .webp, the folder"), "{text}");
    assert!(text.contains("photos/val: 8 images of 2 classes\n"), "{text}");
}

#[test]
fn other_pixels_under_the_same_names_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    let digest = || {
        let summary = fs::read(folder.path().join("runs/imagenette/sgd-s1/summary.json")).unwrap();
        let summary: serde_json::Value = serde_json::from_slice(&summary).unwrap();
        summary["weights_sha256"].as_str().unwrap().to_owned()
    };
    for side in ["data.cache_side=32", "data.cache_side=0"] {
        let kept = ["--set", side];
        photographs(&photos, false);
        let output = imagenette(folder.path(), &[&kept[..], &["--fresh"]].concat());
        succeeds(&output);
        let before = digest();
        assert!(succeeds(&imagenette(folder.path(), &kept)).contains("already finished"));
        photographs(&photos, true);
        let line = fails_with(&imagenette(folder.path(), &kept), 3);
        assert!(line.contains("the data changed since") && line.contains("--fresh"), "{line}");
        succeeds(&imagenette(folder.path(), &[&kept[..], &["--fresh"]].concat()));
        assert_ne!(digest(), before, "{side}");
    }
}

#[test]
fn broken_pictures_are_counted_and_listed() {
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    photographs(&photos, false);
    let text = succeeds(&data(folder.path(), &["--check", "photos"]));
    assert!(text.contains("all 24 images can be read"), "{text}");
    let broken = ["train/a/3.png", "train/b/0.png", "train/b/7.png", "val/a/1.png"];
    for (i, name) in broken.iter().enumerate() {
        let whole = fs::read(photos.join(name)).unwrap();
        fs::write(photos.join(name), &whole[..whole.len() / (i + 2)]).unwrap();
    }
    let output = data(folder.path(), &["--check", "photos"]);
    let listed = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines.len(), 4, "{listed}");
    assert!(lines.iter().zip(broken).all(|(line, name)| line.contains(name)), "{listed}");
    assert!(stderr(&output).contains("error: 4 of 24 images in photos cannot be read"), "{}", stderr(&output));
    // A folder of class folders alone.
    let output = data(folder.path(), &["--check", "photos/val"]);
    assert_eq!((output.status.code(), String::from_utf8(output.stdout).unwrap().lines().count()), (Some(3), 1));
    // Images that nobody has sorted.
    let output = data(folder.path(), &["--check", "photos/train/b"]);
    assert_eq!((output.status.code(), String::from_utf8(output.stdout).unwrap().lines().count()), (Some(3), 2));
    // Training names one and counts the others, with a cache and without.
    for side in ["data.cache_side=0", "data.cache_side=40"] {
        let line = fails_with(&imagenette(folder.path(), &["--set", side, "--limit-valid", "1"]), 3);
        assert!(line.contains(".png: cannot decode the image"), "{line}");
        let output = imagenette(folder.path(), &["--set", side]);
        let line = stderr(&output).lines().rfind(|line| line.starts_with("error: ")).unwrap().to_owned();
        assert!(line.contains("more of") && line.contains("just data --check"), "{side}: {line}");
    }
    let left: Vec<_> = fs::read_dir(photos.join(".cache")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn odd_but_valid_jpegs_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let class = folder.path().join("odd/a");
    fs::create_dir_all(&class).unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/tests/fixtures/jpegs.safetensors");
    let bytes = fs::read(fixture).unwrap();
    let files = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    for name in ["split-420", "video-behind", "picture-behind", "junk-between-headers", "more-data-plain-420"] {
        fs::write(class.join(format!("{name}.jpg")), files.tensor(&format!("{name}.jpg")).unwrap().data()).unwrap();
    }
    assert!(succeeds(&data(folder.path(), &["--check", "odd"])).contains("all 5 images can be read"));
    fs::write(class.join("x.jpg"), files.tensor("arithmetic.jpg").unwrap().data()).unwrap();
    let output = data(folder.path(), &["--check", "odd"]);
    assert!(
        String::from_utf8(output.stdout).unwrap().contains("x.jpg: cannot decode the image: a JPEG with arithmetic")
    );
}

#[test]
fn crops_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("crop.toml"), "[data]\ntrain = [{ op = \"pad-crop\", pad = 4, size = 41 }]\n")
        .unwrap();
    let arguments = [program::SMALL, &["--config", "crop.toml"]].concat();
    let line = fails_with(&run(env!("CARGO_BIN_EXE_demo"), folder.path(), &arguments), 2);
    assert!(line.contains("a crop of 41x41 does not fit into an image of 40x40"), "{line}");
    assert!(line.contains("shapes/train sample"), "{line}");
}

#[test]
fn a_picture_that_cannot_be_scaled_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    photographs(&photos, false);
    RgbImage::new(10_000, 1).save(photos.join("val/b/strip.png")).unwrap();
    let line = fails_with(&imagenette(folder.path(), &["--set", "data.image_size=128"]), 2);
    assert!(line.contains("val/b/strip.png: resize is"), "{line}");
}

#[test]
fn decoded_photographs_lie_where_they_are_wanted_and_are_those_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    photographs(&photos, false);
    let kept = ["--set", "data.cache_side=32", "--limit-train", "8", "--cache", "kept"];
    let text = succeeds(&imagenette(folder.path(), &kept));
    assert!(text.contains("photos/train: decoding 8 images to kept/photos-train-32-"), "{text}");
    assert!(!photos.join(".cache").exists());
    let sizes: Vec<u64> =
        fs::read_dir(folder.path().join("kept")).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).collect();
    // Eight images each, with an index of 20 bytes an image and a footer of 24.
    assert_eq!(sizes, [8 * (32 * 32 * 3 + 20) + 24; 2]);
}

/// Noticed before anything is fetched, and nothing is left behind.
#[test]
fn downloads_that_cannot_succeed_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let there = folder.path().join("datasets/cifar10");
    fs::create_dir_all(&there).unwrap();
    fs::write(there.join("readme.txt"), "").unwrap();
    let line = fails_with(&data(folder.path(), &["cifar10"]), 3);
    assert!(
        line.contains("datasets/cifar10 exists, but is not a complete `cifar10`") && line.contains("--data"),
        "{line}"
    );
    fs::remove_dir_all(&there).unwrap();
    if cfg!(feature = "download") {
        let line = fails_with(&data(folder.path(), &["cifar10"]), 3);
        assert!(line.contains("https://") && line.contains("data_batch_1.bin") && !line.contains("README"), "{line}");
    }
    assert_eq!(fs::read_dir(folder.path().join("datasets")).unwrap().count(), 0);
}

/// `fs::write` of a JPEG whose ending says something else.
#[test]
fn a_jpeg_is_a_jpeg_whatever_it_is_called() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("set/a")).unwrap();
    RgbImage::new(8, 8).save_with_format(folder.path().join("set/a/picture.dat"), ImageFormat::Jpeg).unwrap();
    assert!(succeeds(&data(folder.path(), &["--check", "set"])).contains("set: 1 images of 1 classes"));
}
