//! `data`: downloads, verifies and unpacks a data set, lists the data sets, or checks the images of a folder.

use std::path::PathBuf;

use clap::Parser;
use lookahead_report::console::print;

use super::check::check;
use super::data::data_root;
use super::download::download;
use crate::error::Result;
use crate::screen::Progress;

/// Downloads, verifies and unpacks a data set, unless it is already present; or checks the images of a folder.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "data",
    version,
    after_help = "Examples:\n  just data cifar10\n  just data imagenette2-160 --data /data\n  just data --list\n  just data --check photos"
)]
pub struct FetchFlags {
    /// Data set: cifar10, cifar100, imagenette2-160, imagenette2-320, imagenette2 or ptb
    #[arg(required_unless_present_any = ["list", "check"], value_name = "DATASET")]
    pub dataset: Option<String>,
    /// Folder of the data sets [default: $LOOKAHEAD_DATA, else datasets]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// List the data sets that can be downloaded and whether each is present
    #[arg(long)]
    pub list: bool,
    /// Read all images of a folder and list the broken ones; it may have train and val, class folders, or unsorted
    /// images
    #[arg(long, value_name = "DIR", conflicts_with_all = ["dataset", "list"])]
    pub check: Option<PathBuf>,
    /// Print only errors
    #[arg(long)]
    pub quiet: bool,
}

/// Does what `flags` request.
///
/// # Errors
/// Download errors: no network, a wrong checksum, a folder that cannot be written. Broken images.
pub fn fetch(flags: &FetchFlags) -> Result<()> {
    if let Some(folder) = &flags.check {
        return check(folder, &Progress::new(0, flags.quiet));
    }
    let root = data_root(flags.data.as_deref());
    if flags.list {
        return list(&root);
    }
    let Some(name) = &flags.dataset else { return Ok(()) };
    let progress = Progress::new(0, flags.quiet);
    let folder = download(&root, name, &progress)?;
    if !flags.quiet {
        print(&format!("{}\n", folder.display()))?;
    }
    Ok(())
}

#[cfg(feature = "download")]
fn list(root: &std::path::Path) -> Result<()> {
    let mut lines = String::new();
    let texts = lookahead_data::published_texts().iter().map(|text| (text.name, text.url));
    for (name, url) in lookahead_data::published().iter().map(|set| (set.name, set.url)).chain(texts) {
        let there = if lookahead_data::is_present(root, name)? { "present" } else { "missing" };
        lines += &format!("{name:<16} {there:<10} {url}\n");
    }
    Ok(print(&lines)?)
}

#[cfg(not(feature = "download"))]
fn list(_root: &std::path::Path) -> Result<()> {
    Ok(print("this build lacks the `download` feature and cannot download data sets\n")?)
}
