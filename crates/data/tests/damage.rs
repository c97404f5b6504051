//! Damaged, odd and hostile files: a clear error with path and row, or the right image.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod support;

use std::fs;
use std::path::Path;

use image::ImageFormat;
use lookahead_data::{
    Dataset as _, Error, ImageFolder, ImageSize, Sample, TextCorpus, TextFiles, TextUnit, cifar10, image_folder, open,
};
use support::{encoded, pixels, record, write_cifar10};

#[test]
fn nothing_there() {
    let root = tempfile::tempdir().unwrap();
    for name in ["cifar10", "cifar100", "imagenette2-160"] {
        let error = open(root.path(), name).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Missing { .. }), "{text}");
        assert!(text.contains(&root.path().join(name).display().to_string()) && text.lines().count() == 1, "{text}");
    }
}

#[test]
fn binary_files_cut_off_or_mislabelled() {
    let dir = tempfile::tempdir().unwrap();
    write_cifar10(dir.path());
    let path = dir.path().join("data_batch_3.bin");
    let mut two = [record(&[2], 2), record(&[10], 3)].concat();
    fs::write(&path, &two).unwrap();
    let error = cifar10(dir.path()).unwrap_err();
    assert!(matches!(&error, Error::Label { path: p, row: 1, label: 10, classes: 10 } if *p == path), "{error}");
    two.truncate(5000);
    fs::write(&path, &two).unwrap();
    let error = cifar10(dir.path()).unwrap_err();
    assert!(matches!(&error, Error::Length { path: p, expected: 6146, found: 5000 } if *p == path), "{error}");
    fs::write(&path, []).unwrap();
    assert!(matches!(cifar10(dir.path()), Err(Error::Length { found: 0, .. })));
    fs::remove_file(&path).unwrap();
    assert!(matches!(cifar10(dir.path()), Err(Error::Io { .. })));
}

/// Their length says so, and they are not read: these have no content on the disk.
#[test]
fn files_that_are_too_large() {
    let dir = tempfile::tempdir().unwrap();
    let enlarge = |path: &Path, length: u64| {
        fs::File::create(path).unwrap().set_len(length + 1).unwrap();
    };
    write_cifar10(dir.path());
    enlarge(&dir.path().join("data_batch_3.bin"), 1 << 28);
    let error = cifar10(dir.path()).unwrap_err().to_string();
    assert!(
        error.ends_with("data_batch_3.bin: more than 268435456 bytes; use a file of the published archive"),
        "{error}"
    );

    let set = folder_with(&dir.path().join("set"), b"");
    enlarge(set.path(0).unwrap(), 1 << 28);
    let error = set.get(0).unwrap_err().to_string();
    assert!(error.ends_with("a/0.jpg: more than 268435456 bytes; save the image with fewer bytes"), "{error}");

    let list = dir.path().join("val.txt");
    enlarge(&list, 1 << 26);
    let error = ImageFolder::open_listed("val", &dir.path().join("set/a"), &list, &["a".to_string()]).unwrap_err();
    assert!(matches!(&error, Error::TooLarge { path, limit: 67_108_864, .. } if *path == list), "{error}");

    let text = dir.path().join("text");
    enlarge(&text, 5 << 30);
    let files = TextFiles { train: text, valid: None, test: None };
    let error = TextCorpus::read("text", &files, TextUnit::Characters, 1).unwrap_err().to_string();
    assert!(error.ends_with("text: more than 5368709120 bytes; cut the text into smaller files"), "{error}");
}

/// A folder with one class whose file 0.jpg holds `bytes`.
fn folder_with(dir: &Path, bytes: &[u8]) -> ImageFolder {
    let class = dir.join("a");
    fs::create_dir_all(&class).unwrap();
    fs::write(class.join("0.jpg"), bytes).unwrap();
    ImageFolder::open("test", dir, None).unwrap()
}

fn read(bytes: &[u8]) -> Result<Sample, Error> {
    let dir = tempfile::tempdir().unwrap();
    folder_with(dir.path(), bytes).get(0)
}

fn refused(bytes: &[u8], what: &str) {
    match read(bytes) {
        Err(Error::Decode { path, problem, .. }) => {
            assert!(path.ends_with("a/0.jpg") && !problem.contains('\n'), "{what}: {problem}");
        }
        other => panic!("{what}: {other:?}"),
    }
}

fn jpeg() -> Vec<u8> {
    encoded(pixels(90), 32, 32, ImageFormat::Jpeg)
}

/// 19 x 17, in several scans, as the web has them.
const PROGRESSIVE: &[u8] = include_bytes!("fixtures/progressive.jpg");

#[test]
fn jpegs_cut_off_anywhere_are_refused() {
    for jpeg in [jpeg(), PROGRESSIVE.to_vec()] {
        for length in 0..jpeg.len() - 2 {
            refused(&jpeg[..length], &format!("{length} of {} bytes", jpeg.len()));
        }
        assert!(read(&jpeg).is_ok());
        // What follows the end is no part of the picture.
        assert!(read(&[jpeg.as_slice(), b"appended"].concat()).is_ok());
    }
}

#[test]
fn flipped_bits_give_an_image_or_an_error() {
    let dir = tempfile::tempdir().unwrap();
    for (bytes, format) in [(jpeg(), "jpeg"), (PROGRESSIVE.to_vec(), "progressive"), (support::png(3), "png")] {
        let mut errors = 0;
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            errors += usize::from(folder_with(dir.path(), &damaged).get(0).is_err());
        }
        assert!(errors > bytes.len() / 10, "{format}: {errors} of {}", bytes.len());
    }
}

#[test]
fn headers_that_promise_too_much_are_refused_before_anything_is_allocated() {
    let mut jpeg = jpeg();
    let frame = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xea, 0x60, 0xea, 0x60]);
    match read(&jpeg) {
        Err(Error::Decode { problem, .. }) => assert!(problem.contains("60000x60000"), "{problem}"),
        other => panic!("{other:?}"),
    }
    let mut png = support::png(0);
    png[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    refused(&png, "png");
}

#[test]
fn no_images() {
    refused(b"", "empty");
    refused(b"GIF89a", "gif");
    let named = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
    assert!(named(b"GIF89a").contains("a GIF file; convert it"));
    assert!(named(b"RIFF\0\0\0\0WEBPVP8 ").contains("a WebP file"));
    assert!(named(b"<!DOCTYPE html>").contains("a web page"));
    refused(&[0xff, 0xd8, 0xff], "three bytes");
    refused(&[0x89, b'P', b'N', b'G', 13, 10, 26, 10], "png signature alone");
}

#[test]
fn grey_and_transparent_and_deep_images_become_rgb() {
    let mut grey = std::io::Cursor::new(Vec::new());
    image::GrayImage::from_pixel(5, 3, image::Luma([77])).write_to(&mut grey, ImageFormat::Jpeg).unwrap();
    let sample = read(grey.get_ref()).unwrap();
    assert_eq!(sample.image.size(), ImageSize::new(3, 5));
    assert!(sample.image.pixels().iter().all(|&v| v.abs_diff(77) <= 1));

    let sample = read(include_bytes!("fixtures/cmyk.jpg")).unwrap();
    assert_eq!(sample.image.size(), ImageSize::new(6, 8));
    let [red, green, blue] = sample.image.view().pixel(2, 2);
    assert!(red > 245 && green < 10 && blue < 10, "{red} {green} {blue}");

    let mut png = std::io::Cursor::new(Vec::new());
    image::RgbaImage::from_pixel(2, 1, image::Rgba([1, 2, 3, 0])).write_to(&mut png, ImageFormat::Png).unwrap();
    // A PNG named .jpg: what counts is the content.
    assert_eq!(read(png.get_ref()).unwrap().image.pixels(), [1, 2, 3, 1, 2, 3]);

    let mut deep = std::io::Cursor::new(Vec::new());
    let image = image::ImageBuffer::from_pixel(1, 1, image::Rgb([0u16, 0x80ff, 0xffff]));
    image::DynamicImage::ImageRgb16(image).write_to(&mut deep, ImageFormat::Png).unwrap();
    let deep = read(deep.get_ref()).unwrap();
    assert_eq!((deep.image.pixels()[0], deep.image.pixels()[2]), (0, 255));
    assert!(deep.image.pixels()[1].abs_diff(0x81) <= 1);
}

#[test]
fn folders_without_the_parts_they_need() {
    let dir = tempfile::tempdir().unwrap();
    let set = dir.path().join("set");
    fs::create_dir_all(set.join("train")).unwrap();
    let problem = |set: &Path| match image_folder(set) {
        Err(Error::Layout { problem, path }) => (path, problem),
        other => panic!("{other:?}"),
    };
    assert_eq!(problem(&set).0, set);
    fs::create_dir_all(set.join("val/a")).unwrap();
    assert!(problem(&set).1.contains("no class folders"));
    fs::create_dir_all(set.join("train/a")).unwrap();
    assert_eq!(problem(&set), (set.join("train/a"), "a class folder without files".to_string()));
    fs::write(set.join("train/a/0.JPEG"), jpeg()).unwrap();
    fs::write(set.join("train/a/.hidden.jpg"), b"").unwrap();
    fs::write(set.join("train/a/notes.txt"), b"").unwrap();
    assert_eq!(problem(&set).0, set.join("val/a"));
    fs::write(set.join("val/a/0.jpg"), jpeg()).unwrap();
    assert_eq!(image_folder(&set).unwrap().train.len(), 1);
    fs::create_dir_all(set.join("val/b")).unwrap();
    assert!(problem(&set).1.contains("training part"));
}

/// The order of the samples is that of the classes, and a class without a folder has none.
#[test]
fn samples_have_the_order_of_the_classes_given() {
    let dir = tempfile::tempdir().unwrap();
    for class in ["a", "b", "c"] {
        fs::create_dir(dir.path().join(class)).unwrap();
        fs::write(dir.path().join(class).join("0.jpg"), jpeg()).unwrap();
    }
    let open = |classes: &[&str]| {
        let classes: Vec<String> = classes.iter().map(ToString::to_string).collect();
        ImageFolder::open("test", dir.path(), Some(&classes))
    };
    let set = open(&["c", "a", "b"]).unwrap();
    assert!((0..3).all(|i| set.label(i).unwrap() == i as u32));
    assert_eq!(set.path(0).unwrap(), dir.path().join("c/0.jpg"));
    let more = open(&["d", "c", "a", "e", "b"]).unwrap();
    assert_eq!([0, 1, 2].map(|i| more.label(i).unwrap()), [1, 2, 4]);
    let refused = |classes: &[&str]| open(classes).unwrap_err().to_string();
    assert!(refused(&["a", "b"]).contains("c: this class is not in the training part"));
    let twice = "classes is a list with `b` twice, but must be a list of different names";
    assert_eq!(refused(&["a", "b", "c", "b"]), twice);
    let list = dir.path().join("a.txt");
    fs::write(&list, "0.jpg b\n").unwrap();
    let classes = ["b", "b"].map(String::from);
    let error = ImageFolder::open_listed("test", &dir.path().join("a"), &list, &classes).unwrap_err();
    assert_eq!(error.to_string(), twice);
}

/// What is a sample, its content decides; what is none is counted.
#[test]
fn what_is_left_out_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let class = dir.path().join("a");
    fs::create_dir_all(class.join("@eaDir")).unwrap();
    fs::create_dir_all(dir.path().join("__MACOSX")).unwrap();
    for (name, bytes) in [
        ("0.jfif", jpeg()),
        ("1", jpeg()),
        ("2.JPE", jpeg()),
        ("3.txt", support::png(1)),
        ("4.webp", b"RIFF\0\0\0\0WEBPVP8 ".to_vec()),
        ("5.WEBP", Vec::new()),
        ("6", b"notes".to_vec()),
        ("._0.jpg", jpeg()),
        ("@eaDir/0.jpg", jpeg()),
        ("../readme.md", Vec::new()),
        ("../__MACOSX/0.jpg", jpeg()),
    ] {
        fs::write(class.join(name), bytes).unwrap();
    }
    let set = ImageFolder::open("test", dir.path(), None).unwrap();
    let names: Vec<_> = (0..set.len()).map(|i| set.path(i).unwrap().file_name().unwrap()).collect();
    assert_eq!(names, ["0.jfif", "1", "2.JPE", "3.txt"]);
    assert!((0..4).all(|i| set.get(i).is_ok()));
    let text = set.left_out().to_string();
    for part in ["2 .webp", "1 without an ending", "1 hidden", "1 beside the class folders", "__MACOSX and 1 like it"] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(set.left_out().files(), 5);

    // Nothing but what cannot be read: said with what there is.
    fs::create_dir(dir.path().join("b")).unwrap();
    fs::write(dir.path().join("b/0.webp"), b"RIFF\0\0\0\0WEBPVP8 ").unwrap();
    let error = ImageFolder::open("test", dir.path(), None).unwrap_err().to_string();
    assert!(error.contains("without JPEG or PNG images (in it: 1 .webp)"), "{error}");

    // ImageNet's validation images come without class folders.
    fs::create_dir(dir.path().join("flat")).unwrap();
    (0..3).for_each(|i| fs::write(dir.path().join(format!("flat/{i}.JPEG")), jpeg()).unwrap());
    let error = ImageFolder::open("test", &dir.path().join("flat"), None).unwrap_err().to_string();
    assert!(error.contains("3 files and no class folders") && error.contains("ImageNet"), "{error}");
}

/// The digest covers content: other pixels under the same names and lengths are other data.
#[test]
fn swapped_pictures_have_another_digest() {
    let dir = tempfile::tempdir().unwrap();
    for class in ["a", "b"] {
        fs::create_dir(dir.path().join(class)).unwrap();
    }
    let write = |a: &[u8], b: &[u8]| {
        fs::write(dir.path().join("a/0.png"), a).unwrap();
        fs::write(dir.path().join("b/0.png"), b).unwrap();
        let set = std::sync::Arc::new(ImageFolder::open("test", dir.path(), None).unwrap());
        (set.digest().unwrap(), lookahead_data::limit(set, 1).digest().unwrap())
    };
    // Stored colours of one value each: the files have one length.
    let [one, two] = [[10, 20, 30], [30, 20, 10]].map(|p| encoded(p.repeat(64), 8, 8, ImageFormat::Png));
    assert_eq!(one.len(), two.len());
    let before = write(&one, &two);
    assert_eq!(write(&one, &two), before);
    let swapped = write(&two, &one);
    assert!(swapped.0 != before.0 && swapped.1 != before.1);
    // A part of a set does not change with what is outside it.
    assert_eq!(write(&one, &one).1, before.1);
}

/// An image that a pipeline cannot take is named with its file.
#[test]
fn images_that_a_pipeline_refuses_are_named() {
    use lookahead_data::{CachePlan, Loader, LoaderConfig, PadCrop, Pipeline, ShortSide, Transform};

    let dir = tempfile::tempdir().unwrap();
    let strip = encoded(vec![7; 10_000 * 3], 10_000, 1, ImageFormat::Png);
    let set = std::sync::Arc::new(folder_with(dir.path(), &strip));
    let first = |pipeline| {
        let loader = Loader::new(set.clone(), pipeline, LoaderConfig::evaluation(1)).unwrap();
        loader.epoch(0, 0).next().unwrap().unwrap_err()
    };
    let error = first(Pipeline::imagenet_eval(147, 128).unwrap());
    assert!(
        matches!(&error, Error::Sample { origin, source } if origin.ends_with("0.jpg")
        && matches!(**source, Error::Setting { .. })),
        "{error}"
    );
    // A batch of 8192 x 81,920,000 is refused before two terabytes are allocated for it.
    let error = first(Pipeline::new(vec![Transform::ShortSide(ShortSide { size: 8192 })]).unwrap()).to_string();
    assert!(error.contains("0.jpg: output size is 8192x81920000, but must be 1 to 2^26 pixels"), "{error}");
    let crop = PadCrop { pad: 1, size: Some(32), ..PadCrop::default() };
    let error = first(Pipeline::new(vec![Transform::PadCrop(crop)]).unwrap()).to_string();
    assert!(error.contains("0.jpg: a crop of 32x32 does not fit into an image of 3x10002"), "{error}");
    // 1 x 10,000 is below any side, so it is kept as it is; 20 x 10,000 is scaled, which is fine.
    let cache = CachePlan::new(set, dir.path(), 8, &mut |_, _| std::ops::ControlFlow::Continue(())).unwrap();
    assert_eq!(cache.bytes(), 30_000);
}

#[cfg(unix)]
#[test]
fn names_that_are_not_utf8_links_and_unreadable_files() {
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::symlink;

    let dir = tempfile::tempdir().unwrap();
    folder_with(dir.path(), &jpeg());
    let odd = std::ffi::OsStr::from_bytes(b"\xff.jpg");
    fs::write(dir.path().join("a").join(odd), jpeg()).unwrap();
    // A link to a file is read; one that leads nowhere is an error when it is.
    symlink(dir.path().join("a/0.jpg"), dir.path().join("a/1.jpg")).unwrap();
    symlink("/nowhere", dir.path().join("a/2.jpg")).unwrap();
    let set = ImageFolder::open("test", dir.path(), None).unwrap();
    assert_eq!(set.len(), 4);
    assert!(set.get(0).is_ok() && set.get(1).is_ok() && set.get(3).is_ok());
    assert!(matches!(set.get(2), Err(Error::Io { path, .. }) if path.ends_with("a/2.jpg")));

    // A socket, like a pipe or a device, is no file that could be read to its end, even with the name of one.
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("a/3.jpg")).unwrap();
    symlink(dir.path().join("a/3.jpg"), dir.path().join("a/4.jpg")).unwrap();
    let set = ImageFolder::open("test", dir.path(), None).unwrap();
    assert_eq!((set.len(), set.left_out().to_string().as_str()), (4, "2 .jpg"));
    assert_eq!(ImageFolder::open_unsorted("test", &dir.path().join("a")).unwrap().len(), 4);

    // A link that leads back up ends in an error, not in a loop.
    symlink(dir.path(), dir.path().join("a/up")).unwrap();
    assert!(matches!(ImageFolder::open("test", dir.path(), None), Err(Error::Layout { .. })));
    fs::remove_file(dir.path().join("a/up")).unwrap();

    fs::create_dir(dir.path().join(std::ffi::OsStr::from_bytes(b"\xfe"))).unwrap();
    assert!(matches!(ImageFolder::open("test", dir.path(), None), Err(Error::Layout { .. })));
}

#[cfg(feature = "parquet")]
mod hub {
    use super::*;
    use support::hub::{schema, write};

    fn in_place(train: impl FnOnce(&Path)) -> (tempfile::TempDir, Result<usize, Error>) {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("test.parquet"), &schema(&["label"]), &[support::png(1)], &[vec![1]]);
        train(&dir.path().join("train.parquet"));
        let result = cifar10(dir.path()).map(|splits| splits.train.len());
        (dir, result)
    }

    fn rows(images: Vec<Vec<u8>>, labels: Vec<i64>) -> Result<usize, Error> {
        in_place(|path| write(path, &schema(&["label"]), &images, &[labels])).1
    }

    #[test]
    fn wrong_columns_labels_and_images() {
        let images = vec![support::png(0), support::png(1)];
        let (_dir, result) = in_place(|path| write(path, &schema(&["class"]), &images, &[vec![0, 1]]));
        assert!(matches!(&result, Err(Error::Columns { found, .. }) if found.contains("class")), "{result:?}");
        for label in [10, -1, i64::MAX] {
            let result = rows(images.clone(), vec![0, label]);
            assert!(matches!(&result, Err(Error::Label { row: 1, label: l, .. }) if *l == label), "{result:?}");
        }
        let result = rows(vec![support::png(0), b"no image".to_vec()], vec![0, 1]);
        assert!(matches!(&result, Err(Error::Decode { row: Some(1), .. })), "{result:?}");
        let small = encoded(vec![0; 12], 2, 2, ImageFormat::Png);
        let result = rows(vec![small, support::png(0)], vec![0, 1]);
        assert!(matches!(&result, Err(Error::Size { row: Some(0), .. })), "{result:?}");
        assert_eq!(rows(images, vec![0, 9]).unwrap(), 2);
    }

    /// Equal rows take next to no room in the file, and 3 KB each in memory.
    #[test]
    fn more_rows_than_any_set_has_are_refused_before_they_are_read() {
        let count = (1 << 17) + 1;
        let result = rows(vec![b"no image".to_vec(); count], vec![0; count]);
        assert!(
            matches!(&result, Err(Error::Parquet { problem, .. }) if problem.contains("131073 rows")),
            "{result:?}"
        );
    }

    #[test]
    fn cut_and_flipped_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("whole.parquet");
        let images: Vec<Vec<u8>> = (0..3).map(support::png).collect();
        write(&path, &schema(&["label"]), &images, &[vec![0, 1, 2]]);
        let whole = fs::read(&path).unwrap();
        for length in [0, 3, 4, 12, whole.len() / 2, whole.len() - 9, whole.len() - 1] {
            let (dir, result) = in_place(|path| fs::write(path, &whole[..length]).unwrap());
            let train = dir.path().join("train.parquet");
            assert!(matches!(&result, Err(Error::Parquet { path, .. }) if *path == train), "{length}: {result:?}");
        }
        // One flipped bit anywhere: rows or an error, never a panic.
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8);
            let _ = in_place(|path| fs::write(path, &damaged).unwrap());
        }
    }
}
