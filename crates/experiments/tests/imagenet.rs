//! A folder like ImageNet's, with a thousand classes of generated pictures: train in class folders, val flat.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod program;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Output;

use image::{Rgb, RgbImage};
use program::{fails_with, run};

const CLASSES: u32 = 1000;

/// One picture of each class to train on, one of every second class to validate on, in another order than the classes.
fn thousand_classes(folder: &Path) {
    let save = |path: &Path, class: u32| {
        let pixel = Rgb([class as u8, (class >> 2) as u8, (class / 4) as u8 ^ 0x55]);
        RgbImage::from_pixel(8, 8, pixel).save(path).unwrap();
    };
    for class in 0..CLASSES {
        let class_folder = folder.join(format!("train/n{class:08}"));
        fs::create_dir_all(&class_folder).unwrap();
        save(&class_folder.join("0.png"), class);
    }
    fs::create_dir(folder.join("val")).unwrap();
    let mut list = "ImageId,PredictionString\n".to_owned();
    for (image, class) in (0..CLASSES).rev().step_by(2).enumerate() {
        save(&folder.join(format!("val/ILSVRC2012_val_{image:08}.png")), class);
        writeln!(list, "ILSVRC2012_val_{image:08},n{class:08} 0 0 7 7 n{class:08} 1 1 3 3 ").unwrap();
    }
    fs::write(folder.join("LOC_val_solution.csv"), list).unwrap();
}

/// The paper's recipe for a network and pictures that take seconds: four steps an epoch, two syncs.
const SMALL: &[&str] = &[
    "--dataset-dir",
    "photos",
    "--protocol",
    "paper",
    "--model",
    "resnet20",
    "--set",
    "data.image_size=32",
    "--batch-size",
    "250",
    "--epochs",
    "1",
    "--sync-period",
    "2",
];

fn imagenet(folder: &Path, arguments: &[&str]) -> Output {
    run(env!("CARGO_BIN_EXE_imagenet"), folder, arguments)
}

#[test]
fn a_thousand_classes_end_in_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let photos = folder.path().join("photos");
    thousand_classes(&photos);
    let output = imagenet(folder.path(), SMALL);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("photos/val: 500 images of 1000 classes"), "{said}");
    // Not ImageNet, so not set beside its figures.
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.starts_with("photos: protocol paper, resnet20") && !table.contains("published figures"), "{table}");
    let about = "1,000 classes, trained on 1,000 images (photos/train), validated on 500 images (photos/val)";
    assert!(table.contains(about), "{table}");
    assert!(table.contains(" SGD ") && table.contains(" Lookahead/SGD (keep) "), "{table}");

    let summary = fs::read(folder.path().join("runs/imagenet/lookahead-sgd-keep-s1/summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&summary).unwrap();
    let counts: Vec<u64> = summary["class_images"].as_array().unwrap().iter().filter_map(|n| n.as_u64()).collect();
    // Validated on every second class, from the last one down.
    assert!(counts.len() == 1000 && counts.iter().enumerate().all(|(class, count)| *count == class as u64 % 2));

    // The same pictures in class folders are the same data: the runs are finished already.
    for (image, class) in (0..CLASSES).rev().step_by(2).enumerate() {
        let name = format!("ILSVRC2012_val_{image:08}.png");
        let class_folder = photos.join(format!("val/n{class:08}"));
        fs::create_dir(&class_folder).unwrap();
        fs::rename(photos.join("val").join(&name), class_folder.join(name)).unwrap();
    }
    fs::remove_file(photos.join("LOC_val_solution.csv")).unwrap();
    let output = imagenet(folder.path(), SMALL);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.matches("already finished").count() == 2, "{said}");
}

#[test]
fn what_is_missing_is_said_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let line = fails_with(&imagenet(folder.path(), &[]), 3);
    assert!(line.contains("datasets/imagenet") && line.contains("LOC_val_solution.csv"), "{line}");
    assert!(line.contains("kaggle.com") && line.contains("docs/IMAGENET.md"), "{line}");
    if cfg!(feature = "download") {
        let line = fails_with(&run(env!("CARGO_BIN_EXE_data"), folder.path(), &["imagenet"]), 2);
        assert!(line.contains("docs/IMAGENET.md"), "{line}");
    }

    let photos = folder.path().join("photos");
    for part in ["train/n1", "val"] {
        fs::create_dir_all(photos.join(part)).unwrap();
        RgbImage::new(8, 8).save(photos.join(part).join("0.png")).unwrap();
    }
    let line = fails_with(&imagenet(folder.path(), SMALL), 3);
    assert!(
        line.contains("photos/val: images without class folders") && line.contains("LOC_val_solution.csv"),
        "{line}"
    );
    fs::write(photos.join("val.txt"), "0.png n2\n").unwrap();
    let line = fails_with(&imagenet(folder.path(), SMALL), 3);
    assert!(line.contains("photos/val.txt line 1: `n2` is not a class of the training part"), "{line}");

    let line = fails_with(&imagenet(folder.path(), &["--protocol", "standard"]), 2);
    assert!(line.contains("standard"), "{line}");
}
