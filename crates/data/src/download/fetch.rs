//! Downloads one file over HTTP, resuming where it was interrupted, and verifies its checksum.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write as _};
use std::path::Path;
use std::time::Duration;

use md5::{Digest as _, Md5};

use super::{Phase, Published, Report};
use crate::error::one_line;
use crate::{Error, Result};

/// Number of attempts without progress before a download fails.
const ATTEMPTS: usize = 3;

/// Timeout for connecting and for each read.
const SILENCE: Duration = Duration::from_secs(60);

/// The pause after a server's answer that it is busy, unless it asks for another.
const PAUSE: Duration = Duration::from_secs(2);

/// The longest pause that a server can ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Bytes read at a time, and between two reports.
const CHUNK: usize = 1 << 20;

/// Downloads `set` to `file`, or resumes an earlier download.
pub(super) fn fetch(set: &Published<'_>, file: &Path, target: &Path, report: &mut Report<'_>) -> Result<()> {
    let failed = |problem: String| Error::Download {
        url: set.url.to_string(),
        problem: one_line(problem),
        path: target.to_path_buf(),
        contents: crate::catalog::belongs_there(set.name),
    };
    // Progress is more than was ever there: a server that cuts each connection and refuses to resume would start over for ever.
    let mut farthest = length(file)?;
    let mut failures = 0;
    loop {
        let (problem, pause) = match attempt(set.url, file, length(file)?, report) {
            Ok(()) => return Ok(()),
            Err(Failure::Local(e)) => return Err(Error::io(file, e)),
            Err(Failure::Final(problem)) => return Err(failed(problem)),
            Err(Failure::Cut(problem)) => (problem, Duration::ZERO),
            Err(Failure::Busy(problem, pause)) => (problem, pause),
        };
        let reached = length(file)?;
        failures = if reached > farthest { 0 } else { failures + 1 };
        farthest = farthest.max(reached);
        if failures >= ATTEMPTS {
            return Err(failed(problem));
        }
        std::thread::sleep(pause);
    }
}

enum Failure {
    /// A retry cannot succeed.
    Final(String),
    /// A retry may succeed.
    Cut(String),
    /// A retry may succeed after a pause.
    Busy(String, Duration),
    /// The disk failed, not the network.
    Local(std::io::Error),
}

fn length(file: &Path) -> Result<u64> {
    match std::fs::metadata(file) {
        Ok(metadata) => Ok(metadata.len()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(e) => Err(Error::io(file, e)),
    }
}

/// One request for the bytes from `start` on, appended to `file`.
fn attempt(url: &str, file: &Path, start: u64, report: &mut Report<'_>) -> std::result::Result<(), Failure> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_connect(Some(SILENCE))
        .timeout_per_read(Some(SILENCE))
        .http_status_as_error(false)
        .build()
        .into();
    // A body that the server compresses has other offsets and another checksum than the file.
    let request = agent.get(url).header("Accept-Encoding", "identity");
    let request = if start > 0 { request.header("Range", format!("bytes={start}-")) } else { request };
    let mut response = request.call().map_err(|e| Failure::Cut(e.to_string()))?;
    let start = match response.status().as_u16() {
        200 => 0,
        206 if content_start(&response) == Some(start) => start,
        // The file is complete: an earlier run was stopped before unpacking it.
        416 if whole_length(&response) == Some(start) => return Ok(()),
        // The file is too long, or the server sent another part: start over.
        206 | 416 => {
            std::fs::remove_file(file).map_err(Failure::Local)?;
            return Err(Failure::Cut("the server cannot resume the download".to_string()));
        }
        status @ (429 | 500..=599) => {
            return Err(Failure::Busy(
                format!("the server answered {status}"),
                pause(header(&response, "retry-after")),
            ));
        }
        status => return Err(Failure::Final(format!("the server answered {status}"))),
    };
    let announced = response.body().content_length();
    let total = announced.map(|length| start + length);
    let mut out = OpenOptions::new()
        .create(true)
        .write(true)
        .append(start > 0)
        .truncate(start == 0)
        .open(file)
        .map_err(Failure::Local)?;
    let end = copy(&mut response.body_mut().as_reader(), &mut out, start, total, report)?;
    out.sync_all().map_err(Failure::Local)?;
    match total {
        Some(total) if end != total => {
            Err(Failure::Cut(format!("the connection was cut after {end} of {total} bytes")))
        }
        _ => Ok(()),
    }
}

fn header<'a>(response: &'a ureq::http::Response<ureq::Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

/// The pause that `Retry-After` asks for, in seconds; its other form, a date, is not read.
fn pause(retry_after: Option<&str>) -> Duration {
    let asked = retry_after.and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
    asked.unwrap_or(PAUSE).min(LONGEST_PAUSE)
}

/// First byte of a partial response: the 5 of `Content-Range: bytes 5-9/10`.
fn content_start(response: &ureq::http::Response<ureq::Body>) -> Option<u64> {
    header(response, "content-range")?.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}

/// Total length in a range error: the 10 of `Content-Range: bytes */10`.
fn whole_length(response: &ureq::http::Response<ureq::Body>) -> Option<u64> {
    header(response, "content-range")?.strip_prefix("bytes */")?.trim().parse().ok()
}

fn copy(
    from: &mut impl Read,
    out: &mut File,
    start: u64,
    total: Option<u64>,
    report: &mut Report<'_>,
) -> std::result::Result<u64, Failure> {
    let mut buffer = vec![0; CHUNK];
    let (mut done, mut reported) = (start, start);
    report(Phase::Download, done, total);
    loop {
        let count = from.read(&mut buffer).map_err(|e| Failure::Cut(e.to_string()))?;
        if count == 0 {
            report(Phase::Download, done, total);
            return Ok(done);
        }
        out.write_all(&buffer[..count]).map_err(Failure::Local)?;
        done += count as u64;
        if done - reported >= CHUNK as u64 {
            reported = done;
            report(Phase::Download, done, total);
        }
    }
}

/// Compares `file` with the published checksum and removes it if they differ.
pub(super) fn verify(set: &Published<'_>, file: &Path, report: &mut Report<'_>) -> Result<()> {
    let io = |e| Error::io(file, e);
    let mut input = File::open(file).map_err(io)?;
    let total = input.metadata().map_err(io)?.len();
    let (mut hash, mut buffer, mut done) = (Md5::new(), vec![0; CHUNK], 0);
    loop {
        let count = input.read(&mut buffer).map_err(io)?;
        if count == 0 {
            break;
        }
        hash.update(&buffer[..count]);
        done += count as u64;
        report(Phase::Verify, done, Some(total));
    }
    let found: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if found.eq_ignore_ascii_case(set.md5) {
        return Ok(());
    }
    std::fs::remove_file(file).map_err(io)?;
    Err(Error::Checksum { path: file.to_path_buf(), expected: set.md5.to_string(), found })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_server_is_left_alone_as_long_as_it_asks() {
        assert_eq!(pause(None), PAUSE);
        assert_eq!(pause(Some(" 7 ")), Duration::from_secs(7));
        assert_eq!(pause(Some("86400")), LONGEST_PAUSE);
        assert_eq!(pause(Some("Wed, 21 Oct 2026 07:28:00 GMT")), PAUSE);
    }
}
