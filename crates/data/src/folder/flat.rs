//! A validation part without class folders, as in the published ImageNet: images and a list of their classes.

use std::path::{Path, PathBuf};

use super::LeftOut;
use super::labels::Labels;
use super::list::{Entry, Listing, entries, is_sample, layout};
use crate::Result;

/// Kaggle's list for ImageNet.
const KAGGLE: &str = "LOC_val_solution.csv";

/// The devkit's list, which cannot be used: it numbers the classes in another order.
const DEVKIT: &str = "ILSVRC2012_validation_ground_truth.txt";

/// True if `dir` has images and no class folders.
pub(super) fn is_flat(dir: &Path) -> Result<bool> {
    let entries = entries(dir, &mut LeftOut::default())?;
    let has_folders = entries.iter().any(|entry| matches!(entry, Entry::Folder(_)));
    Ok(!has_folders && entries.iter().any(|entry| matches!(entry, Entry::File(path) if is_sample(path))))
}

/// The list for the images of `dir`: [`KAGGLE`], else a text file with the folder's name, beside or in the folder.
pub(super) fn list_for(dir: &Path) -> Result<PathBuf> {
    let own = format!("{}.txt", dir.file_name().unwrap_or_default().to_string_lossy());
    let folders = || dir.parent().into_iter().chain([dir]);
    let find = |name: &str| folders().map(|folder| folder.join(name)).find(|path| path.is_file());
    find(KAGGLE).or_else(|| find(&own)).ok_or_else(|| {
        let devkit = match find(DEVKIT) {
            Some(_) => format!("; {DEVKIT} cannot be used: it numbers the classes in another order than that of their names"),
            None => String::new(),
        };
        layout(
            dir,
            &format!(
                "images without class folders and without a list of their classes; put ImageNet's {KAGGLE}, or {own} with lines \
                 `IMAGE CLASS`, beside or in this folder, or move each image to a folder of its class{devkit}"
            ),
        )
    })
}

/// Lists the images of `dir` with their classes from the file `labels`, in the order that class folders would give.
pub(super) fn listed(dir: &Path, labels: &Path, classes: &[String]) -> Result<Listing> {
    let labels = Labels::read(labels, classes)?;
    let (mut images, mut left_out) = (Vec::new(), LeftOut::default());
    for entry in entries(dir, &mut left_out)? {
        match entry {
            Entry::Folder(path) => left_out.folders.push(path),
            Entry::File(path) if path == labels.path() => {}
            Entry::File(path) if is_sample(&path) => images.push(path),
            Entry::File(path) | Entry::Other(path) => left_out.file(&path),
        }
    }
    if images.is_empty() {
        return Err(layout(dir, "no JPEG or PNG images in it"));
    }
    let mut files = labels.assign(images, dir)?;
    files.sort_by(|(one, class), (other, others)| (class, one).cmp(&(others, other)));
    Ok(Listing { classes: classes.to_vec(), files, left_out })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::{image_folder, image_folder_parts};
    use super::*;
    use crate::report::quiet;
    use crate::{Dataset, ImageFolder};

    /// `train` with the classes n1 and n2, an image each, and the images x, y and z of `val`, a colour each.
    fn set(dir: &Path) -> [PathBuf; 3] {
        for part in ["train/n1", "train/n2", "val"] {
            fs::create_dir_all(dir.join(part)).unwrap();
        }
        let save = |path: &str, grey: u8| {
            let path = dir.join(path);
            image::RgbImage::from_pixel(3, 2, image::Rgb([grey; 3])).save(&path).unwrap();
            path
        };
        save("train/n1/0.png", 1);
        save("train/n2/0.png", 2);
        [save("val/x.png", 10), save("val/y.png", 20), save("val/z.png", 30)]
    }

    fn valid(dir: &Path) -> Result<ImageFolder> {
        Ok(image_folder_parts(dir, &mut quiet)?.1)
    }

    /// Names and labels of the validation images.
    fn labels(dir: &Path) -> Vec<(String, u32)> {
        let valid = valid(dir).unwrap();
        let name = |i| valid.path(i).unwrap().file_stem().unwrap().to_string_lossy().into_owned();
        (0..valid.len()).map(|i| (name(i), valid.label(i).unwrap())).collect()
    }

    fn fails(dir: &Path) -> String {
        valid(dir).unwrap_err().to_string()
    }

    const CSV: &str = "ImageId,PredictionString\nz,n1 1 2 3 4 n1 5 6 7 8\nx,n2 1 2 3 4\ny,n1 0 0 2 1\n";

    #[test]
    fn a_list_beside_the_images_or_among_them_is_read() {
        let expected = [("y".to_string(), 0), ("z".to_string(), 0), ("x".to_string(), 1)];
        for (list, text) in [
            ("LOC_val_solution.csv", CSV),
            ("val/LOC_val_solution.csv", CSV),
            ("val.txt", "x.png n2\ny.png n1\nz.png n1\n"),
            ("val/val.txt", "x.png 1\ny.png 0\nz.png 0\n"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            set(dir.path());
            fs::write(dir.path().join(list), text).unwrap();
            assert_eq!(labels(dir.path()), expected, "{list}");
            assert!(valid(dir.path()).unwrap().left_out().is_empty(), "{list}");
        }
    }

    #[test]
    fn kaggle_s_list_counts_where_there_are_two() {
        let dir = tempfile::tempdir().unwrap();
        set(dir.path());
        fs::write(dir.path().join("val.txt"), "x.png 0\ny.png 0\nz.png 0\n").unwrap();
        fs::write(dir.path().join("val/LOC_val_solution.csv"), CSV).unwrap();
        assert_eq!(labels(dir.path())[2], ("x".to_string(), 1));
    }

    /// Runs on one layout can be compared with, and resumed on, the other.
    #[test]
    fn both_layouts_are_the_same_data() {
        let dir = tempfile::tempdir().unwrap();
        let [flat, sorted] = ["flat", "sorted"].map(|name| dir.path().join(name).join("photos"));
        set(&flat);
        fs::write(flat.join("LOC_val_solution.csv"), CSV).unwrap();
        for (image, class) in set(&sorted).iter().zip(["n2", "n1", "n1"]) {
            let folder = sorted.join("val").join(class);
            fs::create_dir_all(&folder).unwrap();
            fs::rename(image, folder.join(image.file_name().unwrap())).unwrap();
        }
        let [flat, sorted] = [flat, sorted].map(|dir| image_folder(&dir).unwrap());
        assert_eq!(flat.valid.digest().unwrap(), sorted.valid.digest().unwrap());
        assert!((0..3).all(|i| flat.valid.get(i).unwrap() == sorted.valid.get(i).unwrap()));
    }

    #[test]
    fn images_and_lines_without_each_other_are_named_and_counted() {
        let dir = tempfile::tempdir().unwrap();
        let [x, y, _] = set(dir.path());
        let list = dir.path().join("val.txt");
        fs::write(&list, "x.png n2\nz.png n1\nw.png n1\nv.png n1\n").unwrap();
        let message = fails(dir.path());
        assert!(message.contains("val.txt line 3: there is no image `w.png` in"), "{message}");
        assert!(message.ends_with("val (and 1 more)"), "{message}");

        fs::write(&list, "z.png n1\n").unwrap();
        let message = fails(dir.path());
        let expected = format!("val.txt: no line for the image {} (and 1 more)", x.display());
        assert!(message.ends_with(&expected), "{message}");

        fs::write(&list, "x.png n2\nz.png n1\n").unwrap();
        assert!(fails(dir.path()).ends_with(&y.display().to_string()));
        fs::write(&list, "x.png n2\ny.png n3\nz.png n1\n").unwrap();
        assert!(fails(dir.path()).ends_with("line 2: `n3` is not a class of the training part"));
    }

    #[test]
    fn without_a_list_it_is_said_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        set(dir.path());
        let message = fails(dir.path());
        assert!(message.contains("put ImageNet's LOC_val_solution.csv, or val.txt"), "{message}");
        assert!(message.contains("a folder of its class") && !message.contains("ILSVRC2012"), "{message}");
        fs::write(dir.path().join("ILSVRC2012_validation_ground_truth.txt"), "1\n2\n2\n").unwrap();
        assert!(fails(dir.path()).contains("ILSVRC2012_validation_ground_truth.txt cannot be used"));
    }

    #[test]
    fn what_is_no_image_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        set(dir.path());
        fs::write(dir.path().join("val/LOC_val_solution.csv"), CSV).unwrap();
        fs::write(dir.path().join("val/readme.md"), "").unwrap();
        fs::write(dir.path().join("val/.hidden"), "").unwrap();
        assert_eq!(valid(dir.path()).unwrap().left_out().to_string(), "1 .md, 1 hidden");
        let empty = dir.path().join("none");
        fs::create_dir(&empty).unwrap();
        let classes = ["n1".to_string(), "n2".to_string()];
        let list = dir.path().join("val/LOC_val_solution.csv");
        let message = ImageFolder::open_listed("none", &empty, &list, &classes).unwrap_err().to_string();
        assert!(message.ends_with("none: no JPEG or PNG images in it"), "{message}");
    }
}
