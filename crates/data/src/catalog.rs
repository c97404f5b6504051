//! Data sets by name.

use std::path::{Component, Path, PathBuf};

use crate::{CifarLabels, Error, Result, Shapes, ShapesConfig, Splits};

/// Opens a data set by its name below the data folder `root`.
///
/// | name | what |
/// |---|---|
/// | `shapes` | drawn, no file is read: [`Shapes`] with its defaults |
/// | `cifar10` | [`cifar10`](crate::cifar10) of `root/cifar10` |
/// | `cifar100`, `cifar100-coarse` | [`cifar100`](crate::cifar100) of `root/cifar100` |
/// | anything else | [`image_folder`](crate::image_folder) of `root/NAME`, such as `imagenette2-160` |
///
/// # Errors
/// [`Error::Missing`] with the path looked at; [`Error::Name`] for a name that is no plain folder name; what reading gives.
///
/// ```
/// let error = lookahead_data::open("/nowhere".as_ref(), "cifar10").unwrap_err();
/// assert!(error.to_string().contains("/nowhere/cifar10"));
/// assert_eq!(error.exit_code(), 3);
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

/// True where [`open`] would find files for `name` below `root`; whether they are sound, only reading tells.
///
/// # Errors
/// [`Error::Name`] for a name that is no plain folder name, [`Error::Io`] where a folder cannot be listed.
pub fn is_present(root: &Path, name: &str) -> Result<bool> {
    match name {
        "shapes" => Ok(true),
        "cifar10" | "cifar100" | "cifar100-coarse" => crate::cifar::is_present(&folder(root, name)?, name),
        _ => Ok(folder(root, name)?.join("train").is_dir()),
    }
}

/// What to do about a data set that is not there.
pub(crate) fn how_to_get(name: &str) -> String {
    match name {
        "cifar10" | "cifar100" | "cifar100-coarse" | "imagenette2-160" | "imagenette2-320" | "imagenette2" => {
            format!("fetch it with `just data {name}`, or put its files there by hand")
        }
        _ => "put class folders of images into its folders train and val, or name one that is known: shapes, cifar10, cifar100, \
              cifar100-coarse, imagenette2-160, imagenette2-320, imagenette2"
            .to_string(),
    }
}

/// Where the files of `name` belong.
pub(crate) fn folder(root: &Path, name: &str) -> Result<PathBuf> {
    let mut parts = Path::new(name).components();
    match (parts.next(), parts.next()) {
        (Some(Component::Normal(_)), None) => Ok(root.join(if name == "cifar100-coarse" { "cifar100" } else { name })),
        _ => Err(Error::Name { name: name.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name that can be fetched is told how; a mistyped one is not sent to a command that does not know it.
    #[test]
    fn what_is_missing_can_be_had() {
        let message = |name| open(Path::new("/nowhere"), name).unwrap_err().to_string();
        assert!(message("cifar100").contains("`just data cifar100`"));
        let unknown = message("cifar-10");
        assert!(
            !unknown.contains("just data") && unknown.contains("/nowhere/cifar-10") && unknown.contains("cifar10,")
        );
        #[cfg(feature = "download")]
        for set in crate::published() {
            assert!(message(set.name).contains("just data"), "{}", set.name);
        }
    }

    #[test]
    fn names_stay_below_the_data_folder() {
        for name in ["", ".", "..", "../x", "a/b", "/etc"] {
            assert!(matches!(open(Path::new("/tmp"), name), Err(Error::Name { .. })), "{name:?}");
        }
    }
}
