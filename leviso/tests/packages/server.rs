//! An HTTP/1.1 server on the loopback interface that misbehaves on request.

#![allow(dead_code, clippy::allow_attributes, reason = "each test file uses a part of it")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How one path answers.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// 200, or 206 when asked for a range.
    Bytes(Vec<u8>),
    /// 200 with the whole file, whatever range is asked for.
    NoRanges(Vec<u8>),
    /// Breaks off in the middle; the rest only by a range.
    HalfThenRest(Vec<u8>),
    /// 206 with the wrong half.
    WrongRange(Vec<u8>),
    /// Promises one length, sends these bytes.
    Length(usize, Vec<u8>),
    /// One byte every few milliseconds, for ever.
    Drip(Duration),
    /// Bytes at full speed, for ever, no length.
    Endless,
    /// Accepts the request and says nothing.
    Silent,
    /// A status without a body.
    Status(u16),
    /// A redirect.
    Redirect(String),
}

/// The server; it stops when dropped.
pub(crate) struct Server {
    address: String,
    stop: Arc<AtomicBool>,
    log: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Serves these paths, and else files below `root`.
    pub(crate) fn start(answers: &[(&str, Answer)], root: Option<PathBuf>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let stop = Arc::new(AtomicBool::new(false));
        let log = Arc::new(Mutex::new(Vec::new()));
        let answers: BTreeMap<String, Answer> =
            answers.iter().map(|(path, a)| ((*path).to_owned(), a.clone())).collect();
        let (stopped, logged) = (stop.clone(), log.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (answers, root, log, stop) =
                    (answers.clone(), root.clone(), logged.clone(), stopped.clone());
                std::thread::spawn(move || drop(serve(&stream, &answers, root, &log, &stop)));
            }
        });
        Self { address, stop, log }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// `path` or `path range` of every request so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the listener.
        drop(TcpStream::connect(&self.address));
    }
}

fn serve(
    stream: &TcpStream,
    answers: &BTreeMap<String, Answer>,
    root: Option<PathBuf>,
    log: &Mutex<Vec<String>>,
    stop: &AtomicBool,
) -> std::io::Result<()> {
    let mut out = stream.try_clone()?;
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut from = None;
    for line in lines.by_ref() {
        let line = line?.to_ascii_lowercase();
        if let Some(range) = line.strip_prefix("range: bytes=") {
            from = range.trim_end_matches('-').parse::<usize>().ok();
        }
        if line.is_empty() {
            break;
        }
    }
    log.lock().unwrap().push(from.map_or(path.clone(), |f| format!("{path} {f}-")));
    let file = || {
        let bytes = root.and_then(|r| std::fs::read(r.join(path.trim_start_matches('/'))).ok());
        bytes.map_or(Answer::Status(404), Answer::Bytes)
    };
    let answer = answers.get(&path).cloned().unwrap_or_else(file);
    let head = |out: &mut TcpStream, status: &str, fields: &str| {
        write!(out, "HTTP/1.1 {status}\r\nConnection: close\r\n{fields}\r\n")
    };
    let whole = |out: &mut TcpStream, bytes: &[u8]| {
        head(out, "200 OK", &format!("Content-Length: {}\r\n", bytes.len()))?;
        out.write_all(bytes)
    };
    let part = |out: &mut TcpStream, bytes: &[u8], from: usize, len: usize| {
        let fields = format!(
            "Content-Length: {len}\r\nContent-Range: bytes {from}-{}/{}\r\n",
            bytes.len() - 1,
            bytes.len()
        );
        head(out, "206 Partial Content", &fields)
    };
    match answer {
        Answer::Bytes(bytes) => match from.filter(|f| *f < bytes.len()) {
            None => whole(&mut out, &bytes),
            Some(from) => {
                part(&mut out, &bytes, from, bytes.len() - from)?;
                out.write_all(&bytes[from..])
            }
        },
        Answer::NoRanges(bytes) => whole(&mut out, &bytes),
        Answer::HalfThenRest(bytes) => match from {
            None => {
                head(&mut out, "200 OK", &format!("Content-Length: {}\r\n", bytes.len()))?;
                out.write_all(&bytes[..bytes.len() / 2])
            }
            Some(from) => {
                part(&mut out, &bytes, from, bytes.len() - from)?;
                out.write_all(&bytes[from..])
            }
        },
        Answer::WrongRange(bytes) => match from {
            None => whole(&mut out, &bytes),
            Some(from) => {
                part(&mut out, &bytes, from, bytes.len() - from)?;
                out.write_all(&bytes[..bytes.len() - from])
            }
        },
        Answer::Length(len, bytes) => {
            head(&mut out, "200 OK", &format!("Content-Length: {len}\r\n"))?;
            out.write_all(&bytes)
        }
        Answer::Drip(pause) => {
            head(&mut out, "200 OK", "")?;
            while !stop.load(Ordering::Relaxed) {
                out.write_all(b"x")?;
                std::thread::sleep(pause);
            }
            Ok(())
        }
        Answer::Endless => {
            head(&mut out, "200 OK", "")?;
            while !stop.load(Ordering::Relaxed) {
                out.write_all(&[b'x'; 4096])?;
            }
            Ok(())
        }
        Answer::Silent => {
            while !stop.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(())
        }
        Answer::Status(status) => head(&mut out, &format!("{status} Whatever"), "Content-Length: 0\r\n"),
        Answer::Redirect(to) => {
            head(&mut out, "302 Found", &format!("Location: {to}\r\nContent-Length: 0\r\n"))
        }
    }
}
