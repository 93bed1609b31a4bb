//! A web server on the loopback interface: it serves files below a directory, and misbehaves on paths where it is told to.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How one path answers.
#[derive(Debug, Clone)]
pub enum Answer {
    /// 200, or 206 when asked for a range.
    Bytes(Vec<u8>),
    /// 200 with the whole file, whatever range is asked for.
    NoRanges(Vec<u8>),
    /// Breaks off in the middle; the rest only by a range.
    HalfThenRest(Vec<u8>),
    /// As that, but has another file by then, of which the rest is sent.
    HalfThenOther(Vec<u8>, Vec<u8>),
    /// 206 for the range that was asked for, with the bytes of another one.
    WrongBytes(Vec<u8>),
    /// Breaks off in the middle; a range is answered with another range.
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
    /// Fails with 503 so many times, then sends this.
    After(usize, Vec<u8>),
    /// A redirect.
    Redirect(String),
}

#[derive(Debug)]
struct Shared {
    root: Option<PathBuf>,
    answers: Mutex<BTreeMap<String, Answer>>,
    log: Mutex<Vec<String>>,
    stop: AtomicBool,
}

/// The server; it stops when dropped.
#[derive(Debug)]
pub struct Server {
    address: String,
    shared: Arc<Shared>,
}

impl Server {
    /// Answers so on these paths, and else with files below `root`.
    ///
    /// # Panics
    /// There is no free port.
    #[must_use]
    pub fn start(answers: &[(&str, Answer)], root: Option<PathBuf>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let answers = answers.iter().map(|(path, a)| ((*path).to_owned(), a.clone())).collect();
        let (log, stop) = (Mutex::default(), AtomicBool::new(false));
        let shared = Arc::new(Shared { root, answers: Mutex::new(answers), log, stop });
        let in_thread = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if in_thread.stops() {
                    return;
                }
                let shared = in_thread.clone();
                // Clients that go away are part of the tests.
                std::thread::spawn(move || drop(shared.serve(&stream)));
            }
        });
        Self { address, shared }
    }

    /// The URL of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// From now on a path is answered so.
    pub fn answer(&self, path: &str, answer: Answer) {
        lock(&self.shared.answers).insert(path.to_owned(), answer);
    }

    /// `PATH`, or `PATH FROM-` where a range was asked for, of every request so far.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        lock(&self.shared.log).clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // Wakes the listener.
        drop(TcpStream::connect(&self.address));
    }
}

impl Shared {
    fn stops(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn serve(&self, stream: &TcpStream) -> std::io::Result<()> {
        let mut out = stream.try_clone()?;
        let mut lines = BufReader::new(stream).lines();
        let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
        let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut from = None;
        for line in lines {
            let line = line?.to_ascii_lowercase();
            if let Some(range) = line.strip_prefix("range: bytes=") {
                from = range.trim_end_matches('-').parse::<usize>().ok();
            }
            if line.is_empty() {
                break;
            }
        }
        lock(&self.log).push(from.map_or(path.clone(), |from| format!("{path} {from}-")));
        let answer = lock(&self.answers).get(&path).cloned();
        match (answer.unwrap_or_else(|| self.file(&path)), from) {
            (Answer::Bytes(bytes) | Answer::After(0, bytes), _) => range(&mut out, &bytes, from),
            (Answer::NoRanges(bytes) | Answer::WrongBytes(bytes), None) | (Answer::NoRanges(bytes), _) => {
                range(&mut out, &bytes, None)
            }
            (Answer::HalfThenRest(bytes) | Answer::HalfThenOther(_, bytes), Some(_)) => {
                range(&mut out, &bytes, from)
            }
            (
                Answer::HalfThenRest(bytes) | Answer::HalfThenOther(bytes, _) | Answer::WrongRange(bytes),
                None,
            ) => {
                head(&mut out, "200 OK", &format!("Content-Length: {}\r\n", bytes.len()))?;
                out.write_all(&bytes[..bytes.len() / 2])
            }
            (Answer::WrongBytes(bytes), Some(from)) => {
                part(&mut out, from, bytes.len() - from, bytes.len())?;
                out.write_all(&bytes[..bytes.len() - from])
            }
            (Answer::WrongRange(bytes), Some(_)) => {
                part(&mut out, 0, 3, bytes.len())?;
                out.write_all(b"???")
            }
            (Answer::Length(len, bytes), _) => {
                head(&mut out, "200 OK", &format!("Content-Length: {len}\r\n"))?;
                out.write_all(&bytes)
            }
            (Answer::Drip(pause), _) => {
                head(&mut out, "200 OK", "")?;
                while !self.stops() {
                    out.write_all(b"x")?;
                    std::thread::sleep(pause);
                }
                Ok(())
            }
            (Answer::Endless, _) => {
                head(&mut out, "200 OK", "")?;
                while !self.stops() {
                    out.write_all(&[b'x'; 4096])?;
                }
                Ok(())
            }
            (Answer::Silent, _) => {
                while !self.stops() {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Ok(())
            }
            (Answer::Status(status), _) => {
                head(&mut out, &format!("{status} Whatever"), "Content-Length: 0\r\n")
            }
            (Answer::After(n, bytes), _) => {
                lock(&self.answers).insert(path, Answer::After(n - 1, bytes));
                head(&mut out, "503 Later", "Content-Length: 0\r\n")
            }
            (Answer::Redirect(to), _) => {
                head(&mut out, "302 Found", &format!("Location: {to}\r\nContent-Length: 0\r\n"))
            }
        }
    }

    fn file(&self, path: &str) -> Answer {
        let path = path.split('?').next().unwrap_or(path);
        let read = |root: &PathBuf| std::fs::read(root.join(path.trim_start_matches('/'))).ok();
        self.root.as_ref().and_then(read).map_or(Answer::Status(404), Answer::Bytes)
    }
}

fn head(out: &mut TcpStream, status: &str, fields: &str) -> std::io::Result<()> {
    write!(out, "HTTP/1.1 {status}\r\nConnection: close\r\n{fields}\r\n")
}

/// The head of an answer with `len` of `total` bytes.
fn part(out: &mut TcpStream, from: usize, len: usize, total: usize) -> std::io::Result<()> {
    let range = format!("bytes {from}-{}/{total}", from + len - 1);
    head(out, "206 Partial Content", &format!("Content-Length: {len}\r\nContent-Range: {range}\r\n"))
}

/// What was asked for; all of it where that is no part.
fn range(out: &mut TcpStream, bytes: &[u8], from: Option<usize>) -> std::io::Result<()> {
    let from = from.filter(|from| *from < bytes.len());
    match from {
        Some(from) => part(out, from, bytes.len() - from, bytes.len())?,
        None => head(out, "200 OK", &format!("Content-Length: {}\r\n", bytes.len()))?,
    }
    out.write_all(&bytes[from.unwrap_or(0)..])
}

/// What a test left that failed in the middle is a list all the same.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
