//! What can go wrong, each with the path, row or value it went wrong at.

use std::path::{Path, PathBuf};

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Every failure of this crate. Messages are one line and name what to change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The data set is not below the data folder.
    #[error("data set `{name}` is not at {path}, which should hold {}", crate::catalog::belongs_there(.name))]
    Missing {
        /// Name of the data set, also that of its folder.
        name: String,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A name that would leave the data folder, or an empty one.
    #[error(
        "`{name}` is not the name of a data set: use cifar10, cifar100, cifar100-coarse, shapes or a folder's name"
    )]
    Name {
        /// The name given.
        name: String,
    },
    /// A data set that nobody publishes as an archive known here.
    #[error(
        "`{name}` cannot be downloaded; available: cifar10, cifar100, imagenette2-160, imagenette2-320, imagenette2 (shapes needs no files, \
         and a set of your own goes into the data folder as it is)"
    )]
    Unpublished {
        /// The name given.
        name: String,
    },
    /// A folder of images without the parts or classes it should have.
    #[error("{path}: {problem}")]
    Layout {
        /// The folder.
        path: PathBuf,
        /// What it lacks.
        problem: String,
    },
    /// A folder that a download would have to fill holds something else.
    #[error("{path} exists, but is no whole `{name}`: {problem}; move it away or use another data folder")]
    Occupied {
        /// Name of the data set.
        name: String,
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A file or folder could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is shorter or longer than its format says.
    #[error("{path}: {found} bytes where the format needs {expected}; the file is cut off or not what its name says")]
    Length {
        /// The file.
        path: PathBuf,
        /// Bytes that the format needs.
        expected: u64,
        /// Bytes there are.
        found: u64,
    },
    /// A parquet file without the columns of the hub's layout.
    #[error("{path}: needs the columns {expected}, has {found}")]
    Columns {
        /// The file.
        path: PathBuf,
        /// What the layout needs.
        expected: String,
        /// What the file has.
        found: String,
    },
    /// A parquet file that is damaged.
    #[error("{path}: damaged parquet file, {problem}")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What the parquet reader said.
        problem: String,
    },
    /// A text that cannot be one.
    #[error("{path}: {problem}")]
    Text {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// A label that names no class.
    #[error("{path}: label {label} in row {row}, but the classes are 0 to {last}", last = .classes - 1)]
    Label {
        /// The file.
        path: PathBuf,
        /// Row of the sample, from 0.
        row: usize,
        /// The label found.
        label: i64,
        /// Number of classes.
        classes: usize,
    },
    /// Bytes that are no image, or a damaged one.
    #[error("{path}{}: not a readable image, {problem}", row_suffix(.row))]
    Decode {
        /// The file.
        path: PathBuf,
        /// Row of the sample, from 0, where the file holds many.
        row: Option<usize>,
        /// What the decoder said.
        problem: String,
    },
    /// An image of another size than the data set's or the batch's.
    #[error("{path}{}: image of {found}, expected {expected}", row_suffix(.row))]
    Size {
        /// The file, or the data set's name.
        path: PathBuf,
        /// Row of the sample, from 0.
        row: Option<usize>,
        /// Size that was needed (height x width).
        expected: crate::ImageSize,
        /// Size found (height x width).
        found: crate::ImageSize,
    },
    /// An index past the end of a data set.
    #[error("sample index {index} is out of range: the data set has {len} samples")]
    Index {
        /// The index asked for.
        index: usize,
        /// Samples there are.
        len: usize,
    },
    /// A setting out of its range.
    #[error("{setting} is {value}, but must be {rule}")]
    Setting {
        /// Name of the setting.
        setting: &'static str,
        /// The value given.
        value: String,
        /// The range it must be in.
        rule: &'static str,
    },
    /// Pixels that do not fill images of the given size.
    #[error("{found} bytes of pixels for {}", needed(*.images, .size, *.found))]
    Pixels {
        /// The size given (height x width).
        size: crate::ImageSize,
        /// Images there should be.
        images: usize,
        /// Bytes given.
        found: usize,
    },
    /// A crop that is larger than the image it is cut from.
    #[error(
        "a crop of {crop} does not fit into an image of {padded} (padding included); scale the image up first, or pad more"
    )]
    Crop {
        /// Size of the crop (height x width).
        crop: crate::ImageSize,
        /// Size of the image with its padding.
        padded: crate::ImageSize,
    },
    /// What went wrong with one sample of a data set.
    #[error("{origin}: {source}")]
    Sample {
        /// Where the sample is from: its file, or the set and its index.
        origin: String,
        /// What went wrong.
        source: Box<Error>,
    },
    /// Images that cannot be read.
    #[error("{first}{}", rest(*.others, *.checked))]
    Broken {
        /// What is wrong with the first.
        first: Box<Error>,
        /// How many more are broken.
        others: usize,
        /// How many images were read to find them.
        checked: usize,
    },
    /// An error of the caller's own code: an [`Augment`](crate::Augment), [`Examples`](crate::Examples) or an order.
    #[error("{name}: {source}")]
    Own {
        /// What reported it.
        name: String,
        /// The error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The caller's progress function asked to stop.
    #[error("stopped after {done} of {total} images")]
    Stopped {
        /// Images done.
        done: usize,
        /// Images to do.
        total: usize,
    },
    /// The thread that prepares batches ended without its last word.
    #[error("the thread that prepares batches stopped: {problem}")]
    Loader {
        /// What is known.
        problem: String,
    },
    /// A download that did not come through.
    #[error(
        "{url}: {problem}; without a network, get it elsewhere; {path} must hold {contents}"
    )]
    Download {
        /// The address.
        url: String,
        /// What went wrong.
        problem: String,
        /// Where the files belong.
        path: PathBuf,
        /// What belongs there.
        contents: String,
    },
    /// A download whose bytes are not the published ones.
    #[error("{path}: checksum {found}, but the published one is {expected}; the file was removed, try again")]
    Checksum {
        /// The file.
        path: PathBuf,
        /// The published MD5 sum.
        expected: String,
        /// The MD5 sum found.
        found: String,
    },
    /// An archive with a member that has no place below the folder it is unpacked to.
    #[error("{archive}: member `{member}` refused, {problem}")]
    Member {
        /// The archive.
        archive: PathBuf,
        /// The member's name.
        member: String,
        /// Why it was refused.
        problem: &'static str,
    },
    /// candle could not make a tensor.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// What so many images need, and what a wrong number of channels looks like.
fn needed(images: usize, size: &crate::ImageSize, found: usize) -> String {
    let each = size.height.saturating_mul(size.width);
    let need = each.saturating_mul(images).saturating_mul(crate::CHANNELS);
    let grey = if found > 0 && found == each.saturating_mul(images) {
        "; one channel is `InMemory::grey`, other shapes are `Examples`"
    } else {
        ""
    };
    format!("{images} images of {size} with 3 channels, which need {need}{grey}")
}

fn rest(others: usize, checked: usize) -> String {
    match others {
        0 => format!(" (the only one of {checked} images)"),
        others => format!(" (and {others} more of {checked} images)"),
    }
}

fn row_suffix(row: &Option<usize>) -> String {
    row.map(|row| format!(" row {row}")).unwrap_or_default()
}

impl Error {
    pub(crate) fn io(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::Io { path: path.as_ref().to_path_buf(), source }
    }

    pub(crate) fn setting(setting: &'static str, value: impl ToString, rule: &'static str) -> Self {
        Self::Setting { setting, value: value.to_string(), rule }
    }
}
