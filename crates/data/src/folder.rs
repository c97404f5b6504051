//! Folders of image files, one folder a class: Imagenette, and any set of one's own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::decode::{Origin, decode};
use crate::fingerprint::Fingerprint;
use crate::{Dataset, Error, Normalize, Result, Sample, Splits};

/// Most bytes an image file may have: 256 MiB.
const MAX_FILE_BYTES: u64 = 1 << 28;

/// One part of a data set as a folder of class folders, as torchvision's `ImageFolder` reads it.
///
/// Classes are the folders' names in byte order, samples the files ending in `.jpg`, `.jpeg` or `.png` (in any case), sorted by name within their class;
/// folders within a class folder are read as well. What a file is, its content decides. Hidden files and folders are left out. Files are decoded when asked for.
///
/// The digest covers class names and the names and lengths of all files, not their content.
#[derive(Debug, Clone)]
pub struct ImageFolder {
    name: String,
    classes: Vec<String>,
    files: Vec<(PathBuf, u32)>,
}

impl ImageFolder {
    /// Lists the class folders of `dir`; with `classes`, those and no others, in that order.
    ///
    /// # Errors
    /// [`Error::Io`] where a folder cannot be read; [`Error::Layout`] where there is no class folder, one holds no image, one is not among
    /// `classes`, or a name is not UTF-8.
    pub fn open(name: impl Into<String>, dir: &Path, classes: Option<&[String]>) -> Result<Self> {
        let mut found = Vec::new();
        for path in sorted_entries(dir)? {
            if path.is_dir() {
                found.push((file_name(&path)?, path));
            }
        }
        if found.is_empty() {
            return Err(layout(dir, "no class folders in it"));
        }
        let classes = match classes {
            Some(classes) => classes.to_vec(),
            None => found.iter().map(|(class, _)| class.clone()).collect(),
        };
        let mut files = Vec::new();
        for (class, path) in &found {
            let Some(label) = classes.iter().position(|c| c == class) else {
                return Err(layout(path, "a class that the training part does not have"));
            };
            let before = files.len();
            list_images(path, label as u32, &mut files, MAX_DEPTH)?;
            if files.len() == before {
                return Err(layout(path, "a class folder without images (.jpg, .jpeg, .png)"));
            }
        }
        Ok(Self { name: name.into(), classes, files })
    }

    /// The file of sample `index`.
    pub fn path(&self, index: usize) -> Option<&Path> {
        self.files.get(index).map(|(path, _)| path.as_path())
    }

    fn entry(&self, index: usize) -> Result<&(PathBuf, u32)> {
        self.files.get(index).ok_or(Error::Index { index, len: self.files.len() })
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
        let image = decode(&read_image_file(path)?, Origin { path, row: None })?;
        Ok(Sample { image, label: *label })
    }

    fn digest(&self) -> Result<String> {
        let mut hash = Fingerprint::new("image-folder");
        self.classes.iter().for_each(|class| hash.text(class));
        for (path, label) in &self.files {
            let length = std::fs::metadata(path).map_err(|e| Error::io(path, e))?.len();
            hash.number(*label as usize);
            hash.text(&path.file_name().unwrap_or_default().to_string_lossy());
            hash.number(length as usize);
        }
        Ok(hash.finish())
    }
}

/// Folders below a class folder that are followed: a link that leads back up ends there.
const MAX_DEPTH: usize = 8;

/// Reads a data set laid out as Imagenette is: `dir/train/CLASS/*` and `dir/val/CLASS/*` (or `valid`, or `test`).
///
/// Normalisation is ImageNet's.
///
/// # Errors
/// [`Error::Missing`] where `dir` is no folder, [`Error::Layout`] where a part is missing, and those of [`ImageFolder::open`].
pub fn image_folder(dir: &Path) -> Result<Splits> {
    let name = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if !dir.is_dir() {
        return Err(Error::Missing { name, path: dir.to_path_buf() });
    }
    let valid = ["val", "valid", "test"].iter().map(|part| dir.join(part)).find(|part| part.is_dir());
    let (true, Some(valid)) = (dir.join("train").is_dir(), valid) else {
        return Err(layout(dir, "needs the folders train and val, with a folder for each class in them"));
    };
    let train = ImageFolder::open(format!("{name}/train"), &dir.join("train"), None)?;
    let valid = ImageFolder::open(format!("{name}/valid"), &valid, Some(&train.classes))?;
    Ok(Splits { name, train: Arc::new(train), valid: Arc::new(valid), normalize: Normalize::IMAGENET })
}

fn layout(path: &Path, problem: &str) -> Error {
    Error::Layout { path: path.to_path_buf(), problem: problem.to_string() }
}

fn file_name(path: &Path) -> Result<String> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.map(str::to_string).ok_or_else(|| layout(path, "a class folder whose name is not UTF-8"))
}

/// What is in a folder, hidden entries left out, in byte order of the names.
fn sorted_entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|e| Error::io(dir, e))? {
        let entry = entry.map_err(|e| Error::io(dir, e))?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            entries.push(entry.path());
        }
    }
    entries.sort();
    Ok(entries)
}

fn list_images(dir: &Path, label: u32, files: &mut Vec<(PathBuf, u32)>, depth: usize) -> Result<()> {
    for path in sorted_entries(dir)? {
        if path.is_dir() {
            if depth == 0 {
                return Err(layout(&path, "folders nested too deep, or a link that leads back up"));
            }
            list_images(&path, label, files, depth - 1)?;
        } else if is_image_name(&path) {
            files.push((path, label));
        }
    }
    Ok(())
}

fn is_image_name(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    ["jpg", "jpeg", "png"].iter().any(|known| extension.eq_ignore_ascii_case(known))
}

fn read_image_file(path: &Path) -> Result<Vec<u8>> {
    use std::io::Read as _;

    let file = std::fs::File::open(path).map_err(|e| Error::io(path, e))?;
    let length = file.metadata().map_err(|e| Error::io(path, e))?.len().min(MAX_FILE_BYTES);
    // One more than there are, so that the end is found without growing.
    let mut bytes = Vec::with_capacity(length as usize + 1);
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|e| Error::io(path, e))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let found = bytes.len() as u64;
        return Err(Error::Length { path: path.to_path_buf(), expected: MAX_FILE_BYTES, found });
    }
    Ok(bytes)
}
