//! The layout of a JPEG file: the end of its first picture, its scans and its colour space.
//!
//! It is determined before a decoder runs, which would have to guess: phones append a video or a second picture, editors leave bytes
//! between headers, and some programs store one scan per component.

use std::borrow::Cow;

/// The first picture of a JPEG file.
#[derive(Debug)]
pub(super) struct Layout<'a> {
    /// The bytes from the start-of-image to the end-of-image marker, without bytes outside segments.
    pub(super) picture: Cow<'a, [u8]>,
    pub(super) frame: Frame,
    /// Components of each scan.
    pub(super) scans: Vec<u8>,
    /// True if a JFIF header declares luma and chroma.
    jfif: bool,
    /// The colour transform of an Adobe header; 0 for red, green and blue.
    adobe: Option<u8>,
}

/// The frame header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    /// 0xc0 to 0xcf: the coding of coefficients.
    pub(super) marker: u8,
    /// Bits per sample.
    pub(super) precision: u8,
    pub(super) height: u16,
    pub(super) width: u16,
    /// Name of each component.
    pub(super) ids: Vec<u8>,
    /// Horizontal and vertical sampling factors of each.
    pub(super) sampling: Vec<(u8, u8)>,
}

const CUT_OFF: &str = "the file is truncated: no end-of-image marker after the last scan";

/// Reads the segments of `bytes`, which begin with a start-of-image marker; the error is the problem.
pub(super) fn read(bytes: &[u8]) -> Result<Layout<'_>, String> {
    let (mut at, mut frame, mut scans) = (2, None, Vec::new());
    let (mut jfif, mut adobe) = (false, None);
    // The start of the current range to copy and, after junk between ranges, the bytes before it.
    let (mut from, mut kept) = (0, Vec::new());
    loop {
        let marker = next_marker(bytes, at).ok_or(CUT_OFF)?;
        if marker > at {
            kept.extend_from_slice(&bytes[from..at]);
            from = marker;
        }
        let kind = bytes[marker + 1];
        at = marker + 2;
        match kind {
            0xd9 => break,
            // Restarts and the like have no body.
            0x01 | 0xd0..=0xd7 => continue,
            0xd8 => return Err("a second picture begins inside the first".to_string()),
            _ => {}
        }
        let body = body(bytes, at).ok_or(CUT_OFF)?;
        at += 2 + body.len();
        match kind {
            0xc4 | 0xc8 | 0xcc => {}
            0xc0..=0xcf if frame.is_some() => return Err("two frame headers".to_string()),
            0xc0..=0xcf => frame = Some(Frame::read(kind, body).ok_or("a frame header that is too short")?),
            0xe0 if body.starts_with(b"JFIF\0") => jfif = true,
            0xee if body.starts_with(b"Adobe") => adobe = body.get(11).copied(),
            0xda => {
                scans.push(body.first().copied().unwrap_or(0));
                at = end_of_scan(bytes, at).ok_or(CUT_OFF)?;
            }
            _ => {}
        }
    }
    let frame = frame.ok_or("no frame header")?;
    if scans.is_empty() {
        return Err("no scan".to_string());
    }
    let picture = if kept.is_empty() {
        Cow::Borrowed(&bytes[..at])
    } else {
        kept.extend_from_slice(&bytes[from..at]);
        Cow::Owned(kept)
    };
    Ok(Layout { picture, frame, scans, jfif, adobe })
}

impl Layout<'_> {
    /// True if some scan lacks components.
    pub(super) fn is_split(&self) -> bool {
        self.scans.iter().any(|&scan| usize::from(scan) < self.frame.sampling.len())
    }

    /// True if the three components are red, green and blue, by libjpeg's rules.
    pub(super) fn is_rgb(&self) -> bool {
        match (self.jfif, self.adobe) {
            (true, _) => false,
            (false, Some(transform)) => transform == 0,
            (false, None) => self.frame.ids == *b"RGB",
        }
    }
}

/// The position of the next marker from `at` on: the last 0xff before a byte that is neither 0xff (padding) nor 0 (data).
fn next_marker(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    let place = rest.windows(2).position(|pair| pair[0] == 0xff && pair[1] != 0xff && pair[1] != 0)?;
    Some(at + place)
}

/// The content of a segment, after its length.
fn body(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let length = usize::from(u16::from_be_bytes(*bytes.get(at..at + 2)?.as_array()?));
    bytes.get(at + 2..at + length.max(2))
}

/// The end of the coded data that begin at `at`: a marker that is not a restart.
fn end_of_scan(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += find_ff(bytes.get(at..)?)?;
        match bytes.get(at + 1)? {
            0 | 0xd0..=0xd7 => at += 2,
            0xff => at += 1,
            _ => return Some(at),
        }
    }
}

/// Position of the first 0xff, searched in blocks for speed: most of a file passes through here.
fn find_ff(bytes: &[u8]) -> Option<usize> {
    let blocks = bytes.as_chunks::<32>().0;
    let clean = blocks.iter().position(|block| block.iter().fold(false, |found, &v| found | (v == 0xff)));
    let from = clean.unwrap_or(blocks.len()) * 32;
    bytes[from..].iter().position(|&v| v == 0xff).map(|place| from + place)
}

impl Frame {
    fn read(marker: u8, body: &[u8]) -> Option<Self> {
        let [precision, h1, h0, w1, w0, count, components @ ..] = body else { return None };
        let components = components.as_chunks::<3>().0.get(..usize::from(*count))?;
        Some(Self {
            marker,
            precision: *precision,
            height: u16::from_be_bytes([*h1, *h0]),
            width: u16::from_be_bytes([*w1, *w0]),
            ids: components.iter().map(|c| c[0]).collect(),
            sampling: components.iter().map(|c| (c[1] >> 4, c[1] & 15)).collect(),
        })
    }

    /// True if the first component has the most samples, in powers of two, as in nearly all files.
    pub(super) fn is_usual(&self) -> bool {
        let first = self.sampling.first().copied().unwrap_or((1, 1));
        self.sampling.iter().all(|&(h, v)| h <= first.0 && v <= first.1 && h.is_power_of_two() && v.is_power_of_two())
    }

    /// The message for a feature that no decoder here supports; `None` if all are supported.
    pub(super) fn unsupported(&self) -> Option<String> {
        let why = match self.marker {
            0xc3 | 0xc7 | 0xcb | 0xcf => "lossless coding",
            0xc5 | 0xc6 | 0xcd | 0xce => "hierarchical coding",
            0xc9 | 0xca => "arithmetic coding",
            _ if self.precision != 8 => "more than 8 bits per sample",
            _ if self.height == 0 => "its height after the first scan",
            _ if !matches!(self.sampling.len(), 1 | 3 | 4) => "a number of components other than 1, 3 and 4",
            _ => return None,
        };
        Some(format!("a JPEG with {why}, which is not supported; save it again as a plain JPEG or as PNG"))
    }

    /// True for one image pass with all coefficients: baseline and extended sequential.
    pub(super) fn is_sequential(&self) -> bool {
        self.marker < 0xc2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(marker: u8, body: &[u8]) -> Vec<u8> {
        [&[0xff, marker], &(body.len() as u16 + 2).to_be_bytes()[..], body].concat()
    }

    /// A frame of 3 x 5 with one component, and a scan of `data`.
    fn picture(data: &[u8]) -> Vec<u8> {
        let frame = segment(0xc0, &[8, 0, 3, 0, 5, 1, 1, 0x21, 0]);
        [&[0xff, 0xd8][..], &frame, &segment(0xda, &[1, 1, 0, 0, 63, 0]), data, &[0xff, 0xd9]].concat()
    }

    #[test]
    fn a_picture_ends_at_its_first_end_marker() {
        // In the data: a stuffed 0xff, a restart, padding before the end marker.
        let whole = picture(&[1, 0xff, 0, 2, 0xff, 0xd3, 3, 0xff]);
        let more = [&whole[..], b"video \xff\xda\x00\x04 \xff\xd8\xff\xd9"].concat();
        let layout = read(&more).unwrap();
        assert!(matches!(layout.picture, Cow::Borrowed(p) if p == whole));
        assert_eq!((layout.frame.height, layout.frame.width, &layout.frame.sampling[..]), (3, 5, &[(2, 1)][..]));
        assert_eq!(layout.scans, [1]);
        for length in 2..whole.len() - 1 {
            assert!(read(&whole[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn what_belongs_to_no_segment_is_left_out() {
        let whole = picture(&[1, 2, 3]);
        let dirty = [&whole[..2], &[0, 7, 0xff, 0], &whole[2..15], b"junk", &whole[15..]].concat();
        assert_eq!(read(&dirty).unwrap().picture[..], whole);
    }

    #[test]
    fn what_no_decoder_knows_is_named() {
        let with = |marker, precision, height: u16, components: usize| Frame {
            marker,
            precision,
            height,
            width: 5,
            ids: vec![1; components],
            sampling: vec![(1, 1); components],
        };
        assert_eq!(with(0xc0, 8, 3, 3).unsupported(), None);
        for (frame, word) in [
            (with(0xc9, 8, 3, 3), "arithmetic"),
            (with(0xc3, 8, 3, 3), "lossless"),
            (with(0xc5, 8, 3, 3), "hierarchical"),
            (with(0xc1, 12, 3, 3), "8 bits"),
            (with(0xc0, 8, 0, 3), "height"),
            (with(0xc0, 8, 3, 2), "components"),
        ] {
            assert!(frame.unsupported().unwrap().contains(word), "{frame:?}");
        }
    }

    #[test]
    fn the_first_ff_is_found_wherever_it_is() {
        for place in 0..100 {
            let mut bytes = vec![7; 100];
            bytes[place..].fill(0xff);
            assert_eq!(find_ff(&bytes), Some(place));
            assert_eq!(find_ff(&bytes[..place]), None);
        }
    }
}
