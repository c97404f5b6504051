//! Downloads from a server of the test's own: whole, cut, resumed, refused, damaged.
#![cfg(feature = "download")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use flate2::Compression;
use flate2::write::GzEncoder;
use lookahead_data::{
    Error, Phase, Progress, Published, PublishedText, download, download_from, download_text, is_present,
};
use md5::{Digest as _, Md5};

/// How the server misbehaves.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Plain,
    /// Ends each connection after so many bytes.
    Cut(usize),
    /// As `Cut`, and answers 200 with the whole whatever was asked for.
    CutWithoutRanges(usize),
    /// As `Cut`, and refuses every range without the length of the whole.
    CutWithoutResuming(usize),
    /// Never sends a byte of the body.
    Silent,
    Status(u16),
    /// Answers the first request with another address on the same server.
    Redirect,
    /// Answers with another address every time.
    RedirectForEver,
    /// Asked to go on, sends a part that begins elsewhere.
    OtherRange,
    /// Calls the archive's own compression an encoding of the body, as some servers do for `.tgz`.
    Encoded,
}

struct Server {
    url: &'static str,
    requests: Arc<AtomicUsize>,
    ranges: Arc<Mutex<Vec<String>>>,
}

/// Serves `body` until the test process ends.
fn serve(body: Vec<u8>, manner: Manner) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/archive.tgz", listener.local_addr().unwrap());
    let server = Server { url: Box::leak(url.into_boxed_str()), requests: Arc::default(), ranges: Arc::default() };
    let (requests, ranges) = (Arc::clone(&server.requests), Arc::clone(&server.ranges));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let (mut path, mut start) = (String::new(), None);
            while let Some(Ok(line)) = lines.next() {
                if line.is_empty() {
                    break;
                }
                if let Some(rest) = line.strip_prefix("GET ") {
                    path = rest.to_string();
                }
                if let Some(range) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
                    ranges.lock().unwrap().push(range.to_string());
                    start = range.trim_end_matches('-').parse::<usize>().ok();
                }
            }
            requests.fetch_add(1, Ordering::SeqCst);
            let _ = answer(&mut stream, &body, manner, start, path.starts_with("/moved"));
        }
    });
    server
}

fn answer(
    stream: &mut std::net::TcpStream,
    body: &[u8],
    manner: Manner,
    start: Option<usize>,
    moved: bool,
) -> std::io::Result<()> {
    match manner {
        Manner::Status(code) => {
            let head = format!("HTTP/1.1 {code} No\r\nRetry-After: 0\r\n");
            return write!(stream, "{head}Content-Length: 0\r\nConnection: close\r\n\r\n");
        }
        Manner::Redirect | Manner::RedirectForEver if !moved || manner == Manner::RedirectForEver => {
            return write!(
                stream,
                "HTTP/1.1 302 Found\r\nLocation: /moved\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
        _ => {}
    }
    let ranges = !matches!(manner, Manner::CutWithoutRanges(_));
    let start = start.filter(|_| ranges);
    if start.is_some_and(|start| start >= body.len() || matches!(manner, Manner::CutWithoutResuming(_))) {
        let length =
            if manner == Manner::Plain { format!("Content-Range: bytes */{}\r\n", body.len()) } else { String::new() };
        return write!(stream, "HTTP/1.1 416 Range\r\n{length}Content-Length: 0\r\nConnection: close\r\n\r\n");
    }
    let start = start.map(|start| if manner == Manner::OtherRange { start / 2 } else { start });
    let part = &body[start.unwrap_or(0)..];
    let head = match start {
        Some(start) => format!("206 Partial\r\nContent-Range: bytes {start}-{}/{}", body.len() - 1, body.len()),
        None => "200 OK".to_string(),
    };
    let encoding = if manner == Manner::Encoded { "Content-Encoding: gzip\r\n" } else { "" };
    write!(stream, "HTTP/1.1 {head}\r\n{encoding}Content-Length: {}\r\nConnection: close\r\n\r\n", part.len())?;
    let sent = match manner {
        Manner::Cut(bytes) | Manner::CutWithoutRanges(bytes) | Manner::CutWithoutResuming(bytes) => {
            bytes.min(part.len())
        }
        Manner::Silent => 0,
        _ => part.len(),
    };
    stream.write_all(&part[..sent])
}

fn md5_of(bytes: &[u8]) -> &'static str {
    let sum: String = Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    Box::leak(sum.into_boxed_str())
}

fn tgz(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, bytes) in members {
        let mut header = tar::Header::new_gnu();
        // Written into the header as it stands: `set_path` would refuse what a hostile archive holds.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append(&header, bytes.as_slice()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

/// CIFAR-10's archive with one image a file.
fn cifar_archive() -> Vec<u8> {
    let train = (0..5u8).map(|i| (format!("cifar-10-batches-bin/data_batch_{}.bin", i + 1), support::record(&[i], i)));
    let members: Vec<(String, Vec<u8>)> =
        train.chain([("cifar-10-batches-bin/test_batch.bin".to_string(), support::record(&[9], 9))]).collect();
    tgz(&members.iter().map(|(path, bytes)| (path.as_str(), bytes.clone())).collect::<Vec<_>>())
}

fn set(server: &Server, archive: &[u8]) -> Published<'static> {
    Published { name: "cifar10", url: server.url, md5: md5_of(archive), bytes: None, hub: None }
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_whole_download_leaves_the_data_set_and_nothing_else() {
    let archive = cifar_archive();
    for manner in [Manner::Plain, Manner::Redirect] {
        let server = serve(archive.clone(), manner);
        let root = tempfile::tempdir().unwrap();
        let mut seen: Vec<Progress> = Vec::new();
        let dir = download_from(&set(&server, &archive), root.path(), &mut |p| seen.push(p)).unwrap();
        assert_eq!(lookahead_data::cifar10(&dir).unwrap().train.len(), 5);
        assert_eq!(names(root.path()), ["cifar10"]);
        let phases: Vec<Phase> = seen.iter().map(|p| p.phase).collect();
        assert!(
            phases.contains(&Phase::Download) && phases.contains(&Phase::Verify) && phases.contains(&Phase::Unpack)
        );
        assert!(seen.iter().any(|p| p.phase == Phase::Download && p.done == archive.len() as u64));
        // A second call asks for nothing.
        let before = server.requests.load(Ordering::SeqCst);
        download_from(&set(&server, &archive), root.path(), &mut |_| {}).unwrap();
        assert_eq!(server.requests.load(Ordering::SeqCst), before);
    }
}

#[test]
fn a_cut_download_goes_on_where_it_stopped() {
    let archive = cifar_archive();
    let step = archive.len() / 3 + 1;
    let server = serve(archive.clone(), Manner::Cut(step));
    let root = tempfile::tempdir().unwrap();
    download_from(&set(&server, &archive), root.path(), &mut |_| {}).unwrap();
    assert!(is_present(root.path(), "cifar10").unwrap());
    assert_eq!(*server.ranges.lock().unwrap(), [format!("{step}-"), format!("{}-", 2 * step)]);

    // So it does in another process, which finds the part.
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join(".cifar10.part"), &archive[..100]).unwrap();
    let server = serve(archive.clone(), Manner::Plain);
    download_from(&set(&server, &archive), root.path(), &mut |_| {}).unwrap();
    assert_eq!(*server.ranges.lock().unwrap(), ["100-"]);

    // A server that sends another part than it was asked for is asked for the whole.
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join(".cifar10.part"), &archive[..100]).unwrap();
    let other = serve(archive.clone(), Manner::OtherRange);
    download_from(&set(&other, &archive), root.path(), &mut |_| {}).unwrap();
    assert!(is_present(root.path(), "cifar10").unwrap());
    assert_eq!(other.requests.load(Ordering::SeqCst), 2);

    // A part that is whole already is only verified, where the server says how long the whole is; else it is fetched anew.
    for (manner, requests) in [(Manner::Plain, 1), (Manner::OtherRange, 2)] {
        let server = serve(archive.clone(), manner);
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join(".cifar10.part"), &archive).unwrap();
        download_from(&set(&server, &archive), root.path(), &mut |_| {}).unwrap();
        assert!(is_present(root.path(), "cifar10").unwrap());
        assert_eq!(server.requests.load(Ordering::SeqCst), requests);
    }

    // One that is too long is fetched anew as well.
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join(".cifar10.part"), [archive.as_slice(), b"more"].concat()).unwrap();
    download_from(&set(&server, &archive), root.path(), &mut |_| {}).unwrap();
    assert!(is_present(root.path(), "cifar10").unwrap());
}

/// What is stored, resumed and verified is what was sent.
#[test]
fn a_compressed_body_is_kept_as_it_is() {
    let archive = cifar_archive();
    let server = serve(archive.clone(), Manner::Encoded);
    for part in [&[][..], &archive[..100]] {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join(".cifar10.part"), part).unwrap();
        // A published sum may be in capitals.
        let md5 = md5_of(&archive).to_uppercase();
        let set = Published { md5: &md5, ..set(&server, &archive) };
        download_from(&set, root.path(), &mut |_| {}).unwrap();
        assert!(is_present(root.path(), "cifar10").unwrap());
    }
}

#[test]
fn a_server_without_ranges_sends_the_whole_again() {
    let archive = cifar_archive();
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join(".cifar10.part"), b"left over").unwrap();
    let server = serve(archive.clone(), Manner::CutWithoutRanges(usize::MAX));
    download_from(&set(&server, &archive), root.path(), &mut |_| {}).unwrap();
    assert!(is_present(root.path(), "cifar10").unwrap());

    // Cut each time at the same place, it never gets there, and says so.
    let root = tempfile::tempdir().unwrap();
    let server = serve(archive.clone(), Manner::CutWithoutRanges(archive.len() / 2));
    let error = download_from(&set(&server, &archive), root.path(), &mut |_| {}).unwrap_err();
    assert!(matches!(error, Error::Download { .. }), "{error}");

    // So does one that is cut, refuses to resume, and would start over for ever.
    let root = tempfile::tempdir().unwrap();
    let server = serve(archive.clone(), Manner::CutWithoutResuming(archive.len() / 2));
    let error = download_from(&set(&server, &archive), root.path(), &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("cannot resume"), "{error}");
    assert_eq!(server.requests.load(Ordering::SeqCst), 4, "half of it, then three failures");
}

#[test]
fn failures_say_what_to_do_and_leave_no_data_set() {
    let archive = cifar_archive();
    for manner in [Manner::Status(404), Manner::Status(503), Manner::Silent, Manner::RedirectForEver] {
        let server = serve(archive.clone(), manner);
        let root = tempfile::tempdir().unwrap();
        let error = download_from(&set(&server, &archive), root.path(), &mut |_| {}).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Download { .. }), "{text}");
        assert!(
            text.contains(server.url) && text.contains(&root.path().join("cifar10").display().to_string()),
            "{text}"
        );
        assert!(!text.contains('\n') && text.contains("data_batch_1.bin"), "{text}");
        assert!(!is_present(root.path(), "cifar10").unwrap());
        if manner == Manner::Status(404) {
            assert_eq!(server.requests.load(Ordering::SeqCst), 1, "404 is final");
        }
        if manner == Manner::Status(503) {
            assert_eq!(server.requests.load(Ordering::SeqCst), 3);
        }
    }
    // Nobody listens: as without a network.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url: &'static str = Box::leak(format!("http://{port}/x.tgz").into_boxed_str());
    let offline = Published { name: "cifar10", url, md5: "", bytes: None, hub: None };
    let root = tempfile::tempdir().unwrap();
    let error = download_from(&offline, root.path(), &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("by hand"), "{error}");
    assert_eq!(names(root.path()).len(), 0, "nothing is left behind");
    // Nor is a folder that was not there.
    let new = root.path().join("new");
    assert!(download_from(&offline, &new, &mut |_| {}).is_err() && !new.exists());
}

#[test]
fn other_bytes_than_the_published_ones_are_removed() {
    let archive = cifar_archive();
    let server = serve(archive.clone(), Manner::Plain);
    let root = tempfile::tempdir().unwrap();
    let wrong = Published { md5: "00000000000000000000000000000000", ..set(&server, &archive) };
    let error = download_from(&wrong, root.path(), &mut |_| {}).unwrap_err();
    assert!(matches!(&error, Error::Checksum { found, .. } if found == md5_of(&archive)), "{error}");
    assert_eq!(names(root.path()).len(), 0);
}

/// What could not be put in place in the end is not fetched.
#[test]
fn a_folder_with_something_else_in_it_is_noticed_before_the_download() {
    let archive = cifar_archive();
    let server = serve(archive.clone(), Manner::Plain);
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("cifar10")).unwrap();
    std::fs::write(root.path().join("cifar10/half.bin"), b"").unwrap();
    for _ in 0..2 {
        let error = download_from(&set(&server, &archive), root.path(), &mut |_| {}).unwrap_err();
        assert!(matches!(&error, Error::Occupied { path, .. } if path.ends_with("cifar10")), "{error}");
    }
    std::fs::remove_dir_all(root.path().join("cifar10")).unwrap();
    std::fs::write(root.path().join("cifar10"), b"").unwrap();
    let error = download_from(&set(&server, &archive), root.path(), &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("it is a file"), "{error}");
    assert_eq!(server.requests.load(Ordering::SeqCst), 0);
    // Nor is a link to an empty folder, which cannot be replaced.
    #[cfg(unix)]
    {
        let elsewhere = tempfile::tempdir().unwrap();
        std::fs::remove_file(root.path().join("cifar10")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), root.path().join("cifar10")).unwrap();
        let error = download_from(&set(&server, &archive), root.path(), &mut |_| {}).unwrap_err();
        assert!(error.to_string().contains("cannot take its place"), "{error}");
        assert_eq!(server.requests.load(Ordering::SeqCst), 0);
    }
    // An empty folder is no hindrance.
    std::fs::remove_file(root.path().join("cifar10")).unwrap();
    std::fs::create_dir(root.path().join("cifar10")).unwrap();
    download_from(&set(&server, &archive), root.path(), &mut |_| {}).unwrap();
    assert_eq!(names(root.path()), ["cifar10"]);
}

fn unpack(archive: &[u8]) -> (tempfile::TempDir, Result<(), Error>) {
    let server = serve(archive.to_vec(), Manner::Plain);
    let root = tempfile::tempdir().unwrap();
    let folder = Published { name: "flowers", ..set(&server, archive) };
    let result = download_from(&folder, &root.path().join("data"), &mut |_| {}).map(|_| ());
    (root, result)
}

#[test]
fn members_that_leave_the_folder_are_refused() {
    for name in ["../x", "flowers/../../x", "/tmp/x"] {
        let (root, result) = unpack(&tgz(&[("flowers/train/a/0.jpg", vec![1]), (name, vec![2])]));
        assert!(matches!(&result, Err(Error::Member { member, .. }) if member == name), "{name} {result:?}");
        assert_eq!(names(root.path()), ["data"]);
        assert!(!root.path().join("data/flowers").exists() && !root.path().join("data/.flowers.unpacking").exists());
    }
}

/// The archive holds the parts themselves, not a folder of the set's name, and an earlier process was killed while it unpacked them.
#[test]
fn parts_at_the_top_of_an_archive_arrive_together() {
    let archive = tgz(&[("train/a/0.jpg", vec![1]), ("val/a/0.jpg", vec![2])]);
    let server = serve(archive.clone(), Manner::Plain);
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join(".flowers.unpacking/train/b")).unwrap();
    assert!(!is_present(root.path(), "flowers").unwrap());
    let dir =
        download_from(&Published { name: "flowers", ..set(&server, &archive) }, root.path(), &mut |_| {}).unwrap();
    assert_eq!((names(root.path()), names(&dir)), (vec!["flowers".to_string()], vec!["train".into(), "val".into()]));
    assert_eq!(names(&dir.join("train")), ["a"]);

    // Nothing is added to a folder that holds something.
    let file = root.path().join("a.tgz");
    std::fs::write(&file, &archive).unwrap();
    let error = lookahead_data::unpack_archive("flowers", &file, root.path(), &mut |_| {}).unwrap_err();
    assert!(matches!(&error, Error::Io { path, .. } if *path == dir), "{error}");
    lookahead_data::unpack_archive("roses", &file, root.path(), &mut |_| {}).unwrap();
    assert!(is_present(root.path(), "roses").unwrap());
}

#[test]
fn links_are_refused() {
    for kind in [tar::EntryType::Symlink, tar::EntryType::Link, tar::EntryType::Fifo] {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        tar.append_link(&mut header, "flowers/train", "/etc").unwrap();
        let (_root, result) = unpack(&tar.into_inner().unwrap().finish().unwrap());
        assert!(matches!(result, Err(Error::Member { .. })), "{kind:?} {result:?}");
    }
}

#[test]
fn a_damaged_archive_with_the_right_checksum_is_an_error_all_the_same() {
    let noise: Vec<u8> = (0..20_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let whole = tgz(&[("flowers/train/a/0.jpg", noise.clone()), ("flowers/val/a/0.jpg", noise)]);
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 0x10;
    for archive in [&whole[..whole.len() / 2], &flipped, b"not an archive".as_slice()] {
        let (root, result) = unpack(archive);
        assert!(matches!(result, Err(Error::Io { .. })), "{result:?}");
        assert!(!root.path().join("data/flowers").exists());
    }
    assert!(unpack(&whole).1.is_ok());
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_named() {
    let archive = cifar_archive();
    let server = serve(archive.clone(), Manner::Plain);
    let root = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/full", root.path().join(".cifar10.part")).unwrap();
    let error = download_from(&set(&server, &archive), root.path(), &mut |_| {}).unwrap_err();
    assert!(matches!(&error, Error::Io { source, .. } if source.raw_os_error() == Some(28)), "{error:?}");
}

#[test]
fn two_at_once_fetch_once() {
    let archive = cifar_archive();
    let server = serve(archive.clone(), Manner::Plain);
    let root = tempfile::tempdir().unwrap();
    let set = set(&server, &archive);
    std::thread::scope(|scope| {
        let both = [(); 2].map(|()| scope.spawn(|| download_from(&set, root.path(), &mut |_| {})));
        both.into_iter().for_each(|thread| drop(thread.join().unwrap().unwrap()));
    });
    assert_eq!(server.requests.load(Ordering::SeqCst), 1);
    assert_eq!(names(root.path()), ["cifar10"]);
}

/// An archive is not unpacked while another process downloads or unpacks the same data set.
#[test]
fn unpacking_waits_for_its_turn() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("a.tgz");
    std::fs::write(&file, tgz(&[("train/a/0.jpg", vec![1]), ("val/a/0.jpg", vec![2])])).unwrap();
    let lock = std::fs::File::create(root.path().join(".flowers.lock")).unwrap();
    lock.lock().unwrap();
    let (mut held, mut waits) = (Some(lock), 0);
    let mut progress = |p: Progress| match p.phase {
        Phase::Wait => {
            waits += 1;
            held = None;
        }
        _ => assert!(held.is_none()),
    };
    lookahead_data::unpack_archive("flowers", &file, root.path(), &mut progress).unwrap();
    assert!(waits > 0);
    assert_eq!(names(root.path()), ["a.tgz", "flowers"]);
}

/// As on a file system without locks: the data set is there before this process can put its own in place.
#[test]
fn a_data_set_that_came_from_elsewhere_meanwhile_is_taken() {
    let archive = cifar_archive();
    let server = serve(archive.clone(), Manner::Plain);
    let root = tempfile::tempdir().unwrap();
    let mut progress = |p: Progress| {
        if p.phase == Phase::Verify {
            support::write_cifar10(&root.path().join("cifar10"));
        }
    };
    let dir = download_from(&set(&server, &archive), root.path(), &mut progress).unwrap();
    assert_eq!(lookahead_data::cifar10(&dir).unwrap().train.len(), 5);
}

/// Not a test of its own: what [`two_processes_at_once_fetch_once`] runs in each of its processes.
#[test]
fn one_of_two_processes() {
    let Some(root) = std::env::var_os("LOOKAHEAD_TEST_ROOT") else { return };
    let variable = |name| &*Box::leak(std::env::var(name).unwrap().into_boxed_str());
    let (url, md5) = (variable("LOOKAHEAD_TEST_URL"), variable("LOOKAHEAD_TEST_MD5"));
    let set = Published { name: "cifar10", url, md5, bytes: None, hub: None };
    download_from(&set, root.as_ref(), &mut |_| {}).unwrap();
}

#[test]
fn two_processes_at_once_fetch_once() {
    let archive = cifar_archive();
    let server = serve(archive.clone(), Manner::Plain);
    let root = tempfile::tempdir().unwrap();
    let both = [(); 2].map(|()| {
        std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "one_of_two_processes"])
            .env("LOOKAHEAD_TEST_ROOT", root.path())
            .env("LOOKAHEAD_TEST_URL", server.url)
            .env("LOOKAHEAD_TEST_MD5", md5_of(&archive))
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap()
    });
    for mut process in both {
        assert!(process.wait().unwrap().success());
    }
    assert_eq!(server.requests.load(Ordering::SeqCst), 1);
    assert_eq!(names(root.path()), ["cifar10"]);
    assert_eq!(lookahead_data::cifar10(&root.path().join("cifar10")).unwrap().train.len(), 5);
}

/// A little gzip that holds a name of 64 MB, and a header that promises 2^63 bytes.
#[test]
fn archives_that_blow_up_are_refused() {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.as_old_mut().name[..13].copy_from_slice(b"././@LongLink");
    header.set_size(64 << 20);
    header.set_cksum();
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(header.as_bytes()).unwrap();
    (0..64).for_each(|_| gz.write_all(&vec![b'n'; 1 << 20]).unwrap());
    let (_root, result) = unpack(&gz.finish().unwrap());
    assert!(
        matches!(&result, Err(Error::Io { source, .. }) if source.to_string().contains("larger than any known data set")),
        "{result:?}"
    );

    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    for size in [3, (1 << 63) + 1] {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..5].copy_from_slice(b"a/b/c");
        header.set_size(size);
        header.set_cksum();
        gz.write_all(header.as_bytes()).unwrap();
        gz.write_all(&[0; 512]).unwrap();
    }
    let (_root, result) = unpack(&gz.finish().unwrap());
    assert!(matches!(result, Err(Error::Member { .. })), "{result:?}");
}

#[test]
fn unknown_names_are_refused() {
    let root = tempfile::tempdir().unwrap();
    for name in ["mnist", "cifar-10", "shapes", "../cifar10", ""] {
        let error = download(root.path(), name, &mut |_| {}).unwrap_err();
        assert!(matches!(error, Error::Unpublished { .. }), "{name}");
        let names = lookahead_data::published().iter().map(|set| set.name);
        let mut names = names.chain(lookahead_data::published_texts().iter().map(|text| text.name));
        assert!(names.all(|name| error.to_string().contains(name)), "{error}");
    }
    let server = serve(Vec::new(), Manner::Plain);
    let outside = Published { name: "../cifar10", ..set(&server, b"") };
    assert!(matches!(download_from(&outside, root.path(), &mut |_| {}), Err(Error::Name { .. })));
}

/// A text comes file by file and is there as a whole or not at all.
#[test]
fn the_files_of_a_text_come_together() {
    let body = b"a b c\n".to_vec();
    let server = serve(body.clone(), Manner::Plain);
    let files = |train, valid| [("ptb.train.txt", train), ("ptb.valid.txt", valid)];
    let root = tempfile::tempdir().unwrap();
    // Another text, interrupted, has left a part of a file of the same name.
    std::fs::write(root.path().join(".other.ptb.train.txt.part"), b"xyz").unwrap();
    let damaged = files(md5_of(&body), md5_of(b"other"));
    let damaged = PublishedText { name: "ptb", url: server.url, files: &damaged };
    let error = download_text(&damaged, root.path(), &mut |_| ()).unwrap_err();
    assert!(matches!(error, Error::Checksum { .. }), "{error}");
    assert!(!root.path().join("ptb").exists());
    let whole = files(md5_of(&body), md5_of(&body));
    let whole = PublishedText { name: "ptb", url: server.url, files: &whole };
    let folder = download_text(&whole, root.path(), &mut |_| ()).unwrap();
    assert_eq!(names(&folder), ["ptb.train.txt", "ptb.valid.txt"]);
    assert_eq!(std::fs::read(folder.join("ptb.valid.txt")).unwrap(), body);
    let requests = server.requests.load(Ordering::SeqCst);
    download_text(&whole, root.path(), &mut |_| ()).unwrap();
    assert_eq!(server.requests.load(Ordering::SeqCst), requests, "it is there");
    assert_eq!(names(root.path()), [".other.ptb.train.txt.part", "ptb"]);
}
