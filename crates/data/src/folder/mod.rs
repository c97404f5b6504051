//! Folders of image files, one folder per class: Imagenette, ImageNet and your own.

mod content;
mod flat;
mod labels;
mod left_out;
mod list;
mod splits;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

pub use left_out::LeftOut;
pub use splits::{image_folder, image_folder_parts};

use crate::decode::{Origin, decode};
use crate::fingerprint::Fingerprint;
use crate::report::{Report, quiet};
use crate::{Dataset, Error, Result, Sample, whole_file};

/// Maximum size of an image file: 256 MiB.
const MAX_FILE_BYTES: u64 = 1 << 28;

/// One part of a data set as a folder of class folders, read like torchvision's `ImageFolder`.
///
/// Classes are the folder names in byte order. Samples are the JPEG and PNG files in a class folder and its subfolders, sorted by name
/// within their class, a subfolder's files in the place of its name; torchvision lists the class folder's own files first. Files with the
/// extension `.jpg`, `.jpeg`, `.jpe`, `.jfif` or `.png` (in any case) are always samples, and an error when read if they are neither JPEG nor
/// PNG; other files are samples if their content is an image. [`left_out`](Self::left_out) lists the rest. Files are decoded on access.
///
/// The digest covers class names, labels, file names and file contents at the time of the first request. Contents are read once for it.
/// With [`keep_digests`](Self::keep_digests), a later start reads only files whose length or times have changed.
#[derive(Debug, Clone)]
#[doc(alias = "DatasetFolder")]
pub struct ImageFolder {
    name: String,
    dir: PathBuf,
    classes: Vec<String>,
    files: Vec<(Box<Path>, u32)>,
    left_out: LeftOut,
    kept: Option<PathBuf>,
    /// Computed digests, by their indices.
    digests: Arc<Mutex<HashMap<Option<Vec<usize>>, String>>>,
}

impl ImageFolder {
    /// Lists the class folders of `dir`; with `classes`, no others, in that order. A class without a folder has no samples, and the others keep
    /// their numbers; torchvision numbers the folders that it finds.
    ///
    /// # Errors
    /// [`Error::Io`] if a folder cannot be read; [`Error::Layout`] if there is no class folder, if one holds no image or is not among
    /// `classes`, or if a name is not UTF-8; [`Error::Setting`] if a name is twice in `classes`.
    pub fn open(name: impl Into<String>, dir: &Path, classes: Option<&[String]>) -> Result<Self> {
        Self::open_reporting(name, dir, classes, &mut quiet)
    }

    /// Like [`open`](Self::open); `report` receives the number of files listed.
    ///
    /// # Errors
    /// Those of [`open`](Self::open), and [`Error::Stopped`].
    pub fn open_reporting(
        name: impl Into<String>,
        dir: &Path,
        classes: Option<&[String]>,
        report: &mut Report<'_>,
    ) -> Result<Self> {
        Ok(Self::of(name.into(), dir, list::list(dir, classes, report)?))
    }

    /// Lists the images of `dir` itself, whose classes are in the file `labels`: ImageNet's validation images as they are published. `classes`
    /// are those of the training part. Samples have the order, and the data set the digest, that class folders would give.
    ///
    /// | `labels` | a line |
    /// |---|---|
    /// | a `.csv` file, such as Kaggle's `LOC_val_solution.csv` | `ILSVRC2012_val_00000001,n01751748 111 108 230 366`: only the class is read |
    /// | any other text | `ILSVRC2012_val_00000001.JPEG n01751748` |
    /// | the same, with places in `classes` instead of names, as in caffe's `val.txt` | `ILSVRC2012_val_00000001.JPEG 65` |
    ///
    /// Images are named with or without their ending.
    ///
    /// # Errors
    /// [`Error::Labels`], with the line, for a line that is none of these, a class that is not among `classes`, an image that is listed twice
    /// or not there, and for an image without a line; [`Error::Layout`] if there is no image; [`Error::Setting`] if a name is twice in
    /// `classes`; [`Error::TooLarge`] for a list of more than 64 MiB; [`Error::Io`] if something cannot be read.
    ///
    /// ```
    /// use lookahead_data::{Dataset, ImageFolder};
    ///
    /// # let dir = std::env::temp_dir().join(format!("lookahead-listed-{}", std::process::id()));
    /// # std::fs::create_dir_all(dir.join("val"))?;
    /// # for name in ["0.png", "1.png"] {
    /// #     image::RgbImage::new(2, 2).save(dir.join("val").join(name))?;
    /// # }
    /// std::fs::write(dir.join("val.txt"), "0.png cats\n1.png ants\n")?;
    /// let classes = ["ants".to_string(), "cats".to_string()];
    /// let valid = ImageFolder::open_listed("pets/val", &dir.join("val"), &dir.join("val.txt"), &classes)?;
    /// assert_eq!(valid.path(0), Some(&*dir.join("val/1.png"))); // ants come first
    /// assert_eq!((valid.label(0)?, valid.label(1)?), (0, 1));
    /// # std::fs::remove_dir_all(dir)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open_listed(name: impl Into<String>, dir: &Path, labels: &Path, classes: &[String]) -> Result<Self> {
        Ok(Self::of(name.into(), dir, flat::listed(dir, labels, classes)?))
    }

    /// Lists the images of `dir` itself as one class, named like the folder: for images without classes.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder cannot be read; [`Error::Layout`] if it holds no image or its name is not UTF-8.
    pub fn open_unsorted(name: impl Into<String>, dir: &Path) -> Result<Self> {
        Ok(Self::of(name.into(), dir, list::unsorted(dir)?))
    }

    fn of(name: String, dir: &Path, listing: list::Listing) -> Self {
        let list::Listing { classes, files, left_out } = listing;
        Self { name, dir: dir.to_path_buf(), classes, files, left_out, kept: None, digests: Arc::default() }
    }

    /// The file of sample `index`.
    pub fn path(&self, index: usize) -> Option<&Path> {
        self.files.get(index).map(|(path, _)| &**path)
    }

    /// The files and folders that are not samples.
    pub fn left_out(&self) -> &LeftOut {
        &self.left_out
    }

    /// Stores digests of files in the file `path`, which may be deleted at any time. Failure to write it is ignored.
    pub fn keep_digests(&mut self, path: impl Into<PathBuf>) {
        self.kept = Some(path.into());
    }

    fn entry(&self, index: usize) -> Result<(&Path, u32)> {
        let entry = self.files.get(index).ok_or(Error::Index { index, len: self.files.len() })?;
        Ok((&entry.0, entry.1))
    }
}

impl Dataset for ImageFolder {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> usize {
        self.files.len()
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> Result<u32> {
        Ok(self.entry(index)?.1)
    }

    fn get(&self, index: usize) -> Result<Sample> {
        let (path, label) = self.entry(index)?;
        let bytes = whole_file::read(path, MAX_FILE_BYTES, "save the image with fewer bytes")?;
        let image = decode(&bytes, Origin { path, row: None })?;
        Ok(Sample { image, label })
    }

    fn file(&self, index: usize) -> Option<&Path> {
        self.path(index)
    }

    fn digest(&self) -> Result<String> {
        self.digest_of(None, &mut quiet)
    }

    fn digest_of(&self, indices: Option<&[usize]>, report: &mut Report<'_>) -> Result<String> {
        let asked = indices.map(<[usize]>::to_vec);
        // A panic while the lock is held leaves only complete entries.
        let known = || self.digests.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(digest) = known().get(&asked) {
            return Ok(digest.clone());
        }
        let chosen: Vec<(&Path, u32)> = match indices {
            Some(indices) => indices.iter().map(|&index| self.entry(index)).collect::<Result<_>>()?,
            None => self.files.iter().map(|(path, label)| (&**path, *label)).collect(),
        };
        let paths: Vec<&Path> = chosen.iter().map(|(path, _)| *path).collect();
        let contents = content::digests(&self.dir, &paths, self.kept.as_deref(), SystemTime::now(), report)?;
        let mut hash = Fingerprint::new("image-folder");
        self.classes.iter().for_each(|class| hash.text(class));
        for ((path, label), content) in chosen.iter().zip(&contents) {
            hash.number(*label as usize);
            hash.text(&path.file_name().unwrap_or_default().to_string_lossy());
            hash.bytes(content);
        }
        let digest = hash.finish();
        known().insert(asked, digest.clone());
        Ok(digest)
    }
}
