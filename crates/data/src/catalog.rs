//! Data sets by name.

use std::path::{Component, Path, PathBuf};

use crate::{CifarLabels, Error, Result, Shapes, ShapesConfig, Splits};

/// Opens a data set by its name below the data folder `root`.
///
/// | name | data set |
/// |---|---|
/// | `shapes` | [`Shapes`] with its defaults; drawn, so no file is read |
/// | `cifar10` | [`cifar10`](crate::cifar10) of `root/cifar10` |
/// | `cifar100`, `cifar100-coarse` | [`cifar100`](crate::cifar100) of `root/cifar100` |
/// | anything else | [`image_folder`](crate::image_folder) of `root/NAME`, such as `imagenette2-160` |
///
/// # Errors
/// [`Error::Missing`] with the path that was tried; [`Error::Name`] if `name` is not a plain folder name; errors of reading.
///
/// ```
/// let error = lookahead_data::open("/nowhere".as_ref(), "cifar10").unwrap_err();
/// assert!(error.to_string().contains("/nowhere/cifar10"));
/// ```
pub fn open(root: &Path, name: &str) -> Result<Splits> {
    match name {
        "shapes" => Shapes::draw(&ShapesConfig::default()),
        "cifar10" => crate::cifar10(&folder(root, name)?),
        "cifar100" => crate::cifar100(&folder(root, name)?, CifarLabels::Fine),
        "cifar100-coarse" => crate::cifar100(&folder(root, name)?, CifarLabels::Coarse),
        _ => crate::image_folder(&folder(root, name)?),
    }
}

/// True if `root` has files for `name`: a data set for [`open`], or the text `ptb`. The files are not checked.
///
/// # Errors
/// [`Error::Name`] if `name` is not a plain folder name, [`Error::Io`] if a folder cannot be listed.
pub fn is_present(root: &Path, name: &str) -> Result<bool> {
    match name {
        "shapes" => Ok(true),
        "cifar10" | "cifar100" | "cifar100-coarse" => crate::cifar::is_present(&folder(root, name)?, name),
        "ptb" => Ok(folder(root, name)?.join("ptb.train.txt").is_file()),
        _ => Ok(folder(root, name)?.join("train").is_dir()),
    }
}

/// The expected files of a data set, for messages.
pub(crate) fn belongs_there(name: &str) -> String {
    match name {
        "cifar10" => "cifar-10-batches-bin/data_batch_1.bin to data_batch_5.bin and test_batch.bin".to_string(),
        "cifar100" | "cifar100-coarse" => "cifar-100-binary/train.bin and test.bin".to_string(),
        "ptb" => "ptb.train.txt, ptb.valid.txt and ptb.test.txt".to_string(),
        "imagenet" => "train/CLASS/*.JPEG, and val/CLASS/*.JPEG or val/*.JPEG with LOC_val_solution.csv".to_string(),
        _ => "the folders train and val, each with a folder of images for each class".to_string(),
    }
}

/// The names that can be downloaded, for messages.
#[cfg(feature = "download")]
pub(crate) fn downloads() -> String {
    let sets = crate::published().iter().map(|set| set.name);
    sets.chain(crate::published_texts().iter().map(|text| text.name)).collect::<Vec<_>>().join(", ")
}

#[cfg(not(feature = "download"))]
pub(crate) fn downloads() -> &'static str {
    "nothing, since this build lacks the feature `download`"
}

/// The folder for the files of `name`.
pub(crate) fn folder(root: &Path, name: &str) -> Result<PathBuf> {
    let mut parts = Path::new(name).components();
    match (parts.next(), parts.next()) {
        // Equal, because `x/` and `x/.` are one component, too.
        (Some(Component::Normal(part)), None) if part == name => {
            Ok(root.join(if name == "cifar100-coarse" { "cifar100" } else { name }))
        }
        _ => Err(Error::Name { name: name.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A library does not know what its programs are called.
    #[test]
    fn what_is_missing_is_named_with_its_files() {
        let message = |name| open(Path::new("/nowhere"), name).unwrap_err().to_string();
        assert!(message("cifar10").contains("/nowhere/cifar10") && message("cifar10").contains("data_batch_1.bin"));
        assert!(message("cifar100").contains("train.bin"));
        assert!(message("photos").contains("/nowhere/photos") && message("photos").contains("train and val"));
        assert!(
            message("imagenet").contains("/nowhere/imagenet") && message("imagenet").contains("LOC_val_solution.csv")
        );
        for name in ["cifar10", "cifar100", "imagenette2", "imagenet", "photos"] {
            assert!(!["just", "--", "LOOKAHEAD"].iter().any(|word| message(name).contains(word)), "{}", message(name));
        }
    }

    #[test]
    fn names_stay_below_the_data_folder() {
        for name in ["", ".", "..", "../x", "a/b", "/etc", "x/", "x/."] {
            assert!(matches!(open(Path::new("/tmp"), name), Err(Error::Name { .. })), "{name:?}");
        }
    }
}
