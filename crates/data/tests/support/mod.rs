//! Files that tests read: one asymmetric image, in every layout.
#![allow(dead_code, reason = "each test file uses a part")]

use std::io::Cursor;
use std::path::Path;

use image::{ImageFormat, RgbImage};

/// Red grows downwards by 8 a row, green to the right by 4 a column, blue tells the image: no turn or mirror of it is the same.
pub(crate) fn pixels(blue: u8) -> Vec<u8> {
    (0..32u8).flat_map(|y| (0..32u8).flat_map(move |x| [y * 8, x * 4, blue])).collect()
}

/// The image as a PNG file.
pub(crate) fn png(blue: u8) -> Vec<u8> {
    encoded(pixels(blue), 32, 32, ImageFormat::Png)
}

/// Any image as a file.
pub(crate) fn encoded(pixels: Vec<u8>, width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::from_raw(width, height, pixels).unwrap().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A record of the binary archives: labels, then the planes.
pub(crate) fn record(labels: &[u8], blue: u8) -> Vec<u8> {
    let pixels = pixels(blue);
    let planes = (0..3).flat_map(|c| pixels.iter().skip(c).step_by(3).copied());
    labels.iter().copied().chain(planes).collect()
}

/// CIFAR-10's archive with one image a file, image i having label and blue i.
pub(crate) fn write_cifar10(dir: &Path) {
    std::fs::create_dir_all(dir).unwrap();
    for i in 0..5 {
        std::fs::write(dir.join(format!("data_batch_{}.bin", i + 1)), record(&[i], i)).unwrap();
    }
    std::fs::write(dir.join("test_batch.bin"), record(&[9], 9)).unwrap();
}

#[cfg(feature = "parquet")]
pub(crate) mod hub {
    use std::fs::File;
    use std::path::Path;
    use std::sync::Arc;

    use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    /// The hub's schema with the given label columns.
    pub(crate) fn schema(labels: &[&str]) -> String {
        let labels: String = labels.iter().map(|name| format!("optional int64 {name};")).collect();
        format!(
            "message schema {{ optional group img {{ optional binary bytes; optional binary path (UTF8); }} {labels} }}"
        )
    }

    /// A file of `schema` whose rows are images and, for each label column, a label.
    pub(crate) fn write(path: &Path, schema: &str, images: &[Vec<u8>], labels: &[Vec<i64>]) {
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let mut writer = SerializedFileWriter::new(File::create(path).unwrap(), schema, Default::default()).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let present = vec![2; images.len()];
        let bytes: Vec<ByteArray> = images.iter().map(|image| ByteArray::from(image.clone())).collect();
        for values in [&bytes, &vec![ByteArray::from("x.png"); images.len()]] {
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<ByteArrayType>().write_batch(values, Some(&present), None).unwrap();
            column.close().unwrap();
        }
        for labels in labels {
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<Int64Type>().write_batch(labels, Some(&vec![1; labels.len()]), None).unwrap();
            column.close().unwrap();
        }
        group.close().unwrap();
        writer.close().unwrap();
    }
}
