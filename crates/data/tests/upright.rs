//! Every reader gives an asymmetric image the right way up, channels in order.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod support;

use lookahead_data::{CHANNELS, CifarLabels, Splits, cifar10, cifar100, image_folder};
use support::{pixels, png, record, write_cifar10};

fn assert_upright(splits: &Splits, labels: &[u32]) {
    for (i, &label) in labels.iter().enumerate() {
        let sample = splits.train.get(i).unwrap();
        assert_eq!(sample.label, label);
        let view = sample.image.view();
        assert_eq!(view.pixel(31, 0), [248, 0, label as u8], "bottom left");
        assert_eq!(view.pixel(0, 31), [0, 124, label as u8], "top right");
        assert_eq!(view.pixels(), pixels(label as u8));
    }
    // On the device: (N, C, H, W).
    let batch = lookahead_data::Batch::from_samples(splits.train.as_ref(), &[0]).unwrap();
    let batch = batch.to_device(&candle_core::Device::Cpu, &lookahead_data::Normalize::UNIT).unwrap();
    assert_eq!(batch.images.dims(), [1, CHANNELS, 32, 32]);
    let at = |c: usize, y: usize, x: usize| -> f32 {
        let pixel = batch.images.get(0).unwrap().get(c).unwrap().get(y).unwrap().get(x).unwrap();
        (pixel.to_scalar::<f32>().unwrap() * 255.0).round()
    };
    assert_eq!([at(0, 31, 0), at(1, 31, 0), at(0, 0, 31), at(1, 0, 31)], [248.0, 0.0, 0.0, 124.0]);
    // Channels-last storage: the permutation back is contiguous.
    assert!(batch.images.permute((0, 2, 3, 1)).unwrap().is_contiguous());
}

#[test]
fn binary_archives() {
    let dir = tempfile::tempdir().unwrap();
    write_cifar10(dir.path());
    let splits = cifar10(dir.path()).unwrap();
    assert_upright(&splits, &[0, 1, 2, 3, 4]);
    assert_eq!(splits.valid.label(0).unwrap(), 9);

    let nested = dir.path().join("cifar-100-binary");
    std::fs::create_dir(&nested).unwrap();
    let records: Vec<u8> = [7u8, 77].iter().flat_map(|&fine| record(&[fine % 20, fine], fine)).collect();
    std::fs::write(nested.join("train.bin"), &records).unwrap();
    std::fs::write(nested.join("test.bin"), record(&[1, 2], 2)).unwrap();
    let fine = cifar100(dir.path(), CifarLabels::Fine).unwrap();
    assert_upright(&fine, &[7, 77]);
    assert_eq!(fine.train.classes()[77], "snail");
    let coarse = cifar100(dir.path(), CifarLabels::Coarse).unwrap();
    assert_eq!([0, 1].map(|i| coarse.train.label(i).unwrap()), [7, 17]);
    assert_eq!(coarse.train.classes().len(), 20);
}

#[test]
fn image_folders() {
    let dir = tempfile::tempdir().unwrap();
    for part in ["train", "val"] {
        for (label, class) in ["b", "a"].iter().enumerate() {
            let folder = dir.path().join(part).join(class);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("0.png"), png(1 - label as u8)).unwrap();
        }
    }
    assert_upright(&image_folder(dir.path()).unwrap(), &[0, 1]);
}

#[cfg(feature = "parquet")]
#[test]
fn hub_parquet_files() {
    use support::hub::{schema, write};

    let dir = tempfile::tempdir().unwrap();
    for (file, labels) in [("train-00000-of-00001", vec![3, 8]), ("test-00000-of-00001", vec![5])] {
        let images: Vec<Vec<u8>> = labels.iter().map(|&label| png(label as u8)).collect();
        write(&dir.path().join(format!("{file}.parquet")), &schema(&["label"]), &images, &[labels]);
    }
    let splits = cifar10(dir.path()).unwrap();
    assert_upright(&splits, &[3, 8]);
    assert_eq!(splits.valid.len(), 1);

    #[cfg(feature = "hub")]
    {
        // As candle-datasets would have it, but upright.
        let vision = lookahead_data::to_candle_datasets(&splits).unwrap();
        assert_eq!(vision.train_images.dims(), [2, 3, 32, 32]);
        let rows = vision.train_images.get(0).unwrap().get(0).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!((rows[31][0], rows[0][31]), (248.0 * (1.0 / 255.0), 0.0));
        assert_eq!(vision.test_labels.to_vec1::<u8>().unwrap(), [5]);
        // Label 256 as u8 would be 0.
        let classes = (0..300).map(|class| class.to_string()).collect();
        let size = lookahead_data::ImageSize::square(1);
        let many = lookahead_data::InMemory::new("many", classes, size, vec![0; 6], vec![255, 256]).unwrap();
        let error = lookahead_data::to_candle_datasets(&Splits { train: std::sync::Arc::new(many), ..splits });
        assert!(error.err().unwrap().to_string().contains("label is 256"));
    }
}

#[cfg(feature = "parquet")]
#[test]
fn hub_files_of_cifar100_in_folders() {
    use support::hub::{schema, write};

    let dir = tempfile::tempdir().unwrap();
    for (part, fine) in [("train", 42), ("test", 99)] {
        let folder = dir.path().join("cifar100").join(part);
        std::fs::create_dir_all(&folder).unwrap();
        let columns = schema(&["fine_label", "coarse_label"]);
        write(&folder.join("0000.parquet"), &columns, &[png(fine as u8)], &[vec![fine], vec![fine % 20]]);
    }
    assert_upright(&cifar100(dir.path(), CifarLabels::Fine).unwrap(), &[42]);
    assert_eq!(cifar100(dir.path(), CifarLabels::Coarse).unwrap().valid.label(0).unwrap(), 19);
}

/// Real CIFAR-10 where it is at hand.
#[test]
fn real_cifar10() {
    let Some(root) = std::env::var_os("LOOKAHEAD_DATA") else {
        eprintln!("skipped: LOOKAHEAD_DATA is not set");
        return;
    };
    let root = std::path::PathBuf::from(root);
    if !lookahead_data::is_present(&root, "cifar10").unwrap() {
        eprintln!("skipped: no cifar10 below {}", root.display());
        return;
    }
    let splits = lookahead_data::open(&root, "cifar10").unwrap();
    assert_eq!((splits.train.len(), splits.valid.len()), (50_000, 10_000));
    for (set, each) in [(&splits.train, 5000), (&splits.valid, 1000)] {
        let mut counts = [0; 10];
        (0..set.len()).for_each(|i| counts[set.label(i).unwrap() as usize] += 1);
        assert_eq!(counts, [each; 10]);
    }
    // In photographs the sky is above: planes and ships are brighter in their upper half, which no transposed reader shows.
    let (mut upper, mut lower) = (0u64, 0u64);
    for index in (0..splits.train.len()).filter(|&i| splits.train.label(i).unwrap() == 8) {
        let sum = |part: &[u8]| part.iter().map(|&v| u64::from(v)).sum::<u64>();
        let (top, bottom) = splits.train.view(index).unwrap().pixels().split_at(16 * 32 * CHANNELS);
        upper += sum(top);
        lower += sum(bottom);
    }
    assert!(upper as f64 > 1.1 * lower as f64, "{upper} {lower}");
}
