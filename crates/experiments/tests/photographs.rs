//! Folders of photographs: trained on as they are, and from a cache of decoded images.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use image::{Rgb, RgbImage};

/// Two classes, told apart by colour, of images 48 x 40.
fn photographs(folder: &Path) {
    for (part, count) in [("train", 8), ("val", 4)] {
        for (class, shift) in [("blue", 0), ("red", 128)] {
            let folder = folder.join(part).join(class);
            fs::create_dir_all(&folder).unwrap();
            for i in 0..count {
                let image = RgbImage::from_fn(48, 40, |x, y| {
                    Rgb([shift + (x + i) as u8, (3 * y + i) as u8, 200 - shift / 2 - (x + y) as u8])
                });
                image.save(folder.join(format!("{i}.png"))).unwrap();
            }
        }
    }
}

fn imagenette(folder: &Path, cache_side: &str, out: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_imagenette"));
    command.args(["--dataset-dir", "photos", "--optimizers", "sgd", "--epochs", "1", "--batch-size", "8", "--quiet"]);
    command.args(["--set", "data.image_size=32", "--set", "data.held_out=0", "--set", cache_side, "--out", out]);
    command.current_dir(folder).output().unwrap()
}

#[test]
fn decoded_photographs_are_kept_and_used_again() {
    let folder = tempfile::tempdir().unwrap();
    photographs(&folder.path().join("photos"));
    let digest = |side, out: &str| {
        let output = imagenette(folder.path(), side, out);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // Not Imagenette, so not set beside its figures.
        let table = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(table.starts_with("photos: protocol quick") && !table.contains("published figures"), "{table}");
        assert!(table.contains("2 classes, trained on 16 images (photos/train), validated on 8 images"), "{table}");
        let summary = fs::read(folder.path().join(out).join("imagenette/sgd-s1/summary.json")).unwrap();
        let summary: serde_json::Value = serde_json::from_slice(&summary).unwrap();
        summary["weights_sha256"].as_str().unwrap().to_owned()
    };
    // Stored with the shorter side they have, images lose nothing.
    let plain = digest("data.cache_side=0", "plain");
    assert!(!folder.path().join("photos/.cache").exists());
    assert_eq!(digest("data.cache_side=40", "written"), plain);
    assert_eq!(fs::read_dir(folder.path().join("photos/.cache")).unwrap().count(), 2);
    assert_eq!(digest("data.cache_side=40", "read"), plain);
}

#[test]
fn a_side_below_the_image_s_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let output = imagenette(folder.path(), "data.cache_side=20", "runs");
    assert_eq!(output.status.code(), Some(2));
    let line = String::from_utf8_lossy(&output.stderr);
    assert!(
        line.contains("`data.cache_side` must be 0, or from the training images' side (32) to 8192, but is 20"),
        "{line}"
    );
}

/// What a run writes grows with the classes and not with their square.
#[test]
fn many_classes_make_small_files() {
    let folder = tempfile::tempdir().unwrap();
    for part in ["train", "val"] {
        for class in 0..150u32 {
            let folder = folder.path().join("photos").join(part).join(format!("class-{class:03}"));
            fs::create_dir_all(&folder).unwrap();
            RgbImage::from_pixel(8, 8, Rgb([class as u8, (class / 2) as u8, 99])).save(folder.join("0.png")).unwrap();
        }
    }
    let output = imagenette(folder.path(), "data.cache_side=0", "runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let summary = fs::read(folder.path().join("runs/imagenette/sgd-s1/summary.json")).unwrap();
    assert!(summary.len() < 40_000, "{} bytes", summary.len());
    let summary: serde_json::Value = serde_json::from_slice(&summary).unwrap();
    assert!(summary["confusion"].is_null());
    let count = |key: &str| summary[key].as_array().unwrap().len();
    assert_eq!((count("classes"), count("per_class"), count("class_images")), (150, 150, 150));
    // Each class has one image, right or confused.
    let hits =
        summary["per_class"].as_array().unwrap().iter().filter(|percent| percent.as_f64() == Some(100.0)).count();
    assert_eq!(count("confusions") + hits, 150);
    let page = fs::metadata(folder.path().join("runs/imagenette/report.html")).unwrap().len();
    assert!(page < 150_000, "{page} bytes");
}
