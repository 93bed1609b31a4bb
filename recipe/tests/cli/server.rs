//! A server of releases on the loopback interface; it misbehaves on request.

#![allow(dead_code, clippy::allow_attributes, reason = "each test binary uses a part of it")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How one path answers; those that are not set are files.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// Breaks off in the middle; the rest only by a range.
    HalfThenRest(Vec<u8>),
    /// As that, but has another file by then, of which the rest is sent.
    HalfThenOther(Vec<u8>, Vec<u8>),
    /// A range is answered with the wrong bytes.
    WrongRange(Vec<u8>),
    /// Bytes for ever.
    Drip,
    /// A status without a body.
    Status(u16),
    /// Fails with 503 so many times, then sends this.
    After(usize, Vec<u8>),
    /// A redirect.
    Redirect(String),
}

struct Shared {
    root: PathBuf,
    answers: Mutex<BTreeMap<String, Answer>>,
    log: Mutex<Vec<String>>,
    stop: AtomicBool,
}

/// The server; it stops when dropped.
pub(crate) struct Server {
    address: String,
    shared: Arc<Shared>,
}

impl Server {
    pub(crate) fn start(root: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let shared = Arc::new(Shared {
            root,
            answers: Mutex::default(),
            log: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let in_thread = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if in_thread.stop.load(Ordering::Relaxed) {
                    return;
                }
                let shared = in_thread.clone();
                // Clients that go away are part of the tests.
                std::thread::spawn(move || drop(serve(&stream, &shared)));
            }
        });
        Self { address, shared }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn answer(&self, path: &str, answer: Answer) {
        self.shared.answers.lock().expect("answers").insert(path.to_owned(), answer);
    }

    /// `PATH` or `PATH FROM-` of every request so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.shared.log.lock().expect("log").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // Wakes the listener.
        drop(TcpStream::connect(&self.address));
    }
}

fn serve(stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut out = stream.try_clone()?;
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut from = 0;
    for line in lines {
        let line = line?.to_ascii_lowercase();
        if let Some(range) = line.strip_prefix("range: bytes=") {
            from = range.trim_end_matches('-').parse::<usize>().unwrap_or(0);
        }
        if line.is_empty() {
            break;
        }
    }
    shared.log.lock().expect("log").push(if from > 0 { format!("{path} {from}-") } else { path.clone() });
    let answer = shared.answers.lock().expect("answers").get(&path).cloned();
    match answer {
        None => match file(&shared.root, &path) {
            Some(bytes) => range(&mut out, &bytes, from),
            None => head(&mut out, "404 Not Found", "Content-Length: 0\r\n"),
        },
        Some(Answer::HalfThenRest(bytes)) if from > 0 => range(&mut out, &bytes, from),
        Some(Answer::HalfThenOther(_, other)) if from > 0 => range(&mut out, &other, from),
        Some(Answer::WrongRange(bytes)) if from > 0 => {
            let fields = format!("Content-Length: 3\r\nContent-Range: bytes 0-2/{}\r\n", bytes.len());
            head(&mut out, "206 Partial Content", &fields)?;
            out.write_all(b"???")
        }
        Some(Answer::HalfThenRest(bytes) | Answer::HalfThenOther(bytes, _) | Answer::WrongRange(bytes)) => {
            head(&mut out, "200 OK", &format!("Content-Length: {}\r\n", bytes.len()))?;
            out.write_all(&bytes[..bytes.len() / 2])
        }
        Some(Answer::Drip) => {
            head(&mut out, "200 OK", "")?;
            while !shared.stop.load(Ordering::Relaxed) {
                out.write_all(b"x")?;
                std::thread::sleep(Duration::from_millis(10));
            }
            Ok(())
        }
        Some(Answer::Status(status)) => {
            head(&mut out, &format!("{status} Whatever"), "Content-Length: 0\r\n")
        }
        Some(Answer::After(0, bytes)) => range(&mut out, &bytes, from),
        Some(Answer::After(n, bytes)) => {
            shared.answers.lock().expect("answers").insert(path, Answer::After(n - 1, bytes));
            head(&mut out, "503 Later", "Content-Length: 0\r\n")
        }
        Some(Answer::Redirect(to)) => {
            head(&mut out, "302 Found", &format!("Location: {to}\r\nContent-Length: 0\r\n"))
        }
    }
}

fn file(root: &Path, path: &str) -> Option<Vec<u8>> {
    std::fs::read(root.join(path.trim_start_matches('/'))).ok()
}

fn head(out: &mut TcpStream, status: &str, fields: &str) -> std::io::Result<()> {
    write!(out, "HTTP/1.1 {status}\r\nConnection: close\r\n{fields}\r\n")
}

fn range(out: &mut TcpStream, bytes: &[u8], from: usize) -> std::io::Result<()> {
    if from == 0 || from >= bytes.len() {
        head(out, "200 OK", &format!("Content-Length: {}\r\n", bytes.len()))?;
        return out.write_all(bytes);
    }
    let (rest, last) = (bytes.len() - from, bytes.len() - 1);
    let fields = format!("Content-Length: {rest}\r\nContent-Range: bytes {from}-{last}/{}\r\n", bytes.len());
    head(out, "206 Partial Content", &fields)?;
    out.write_all(&bytes[from..])
}
