//! A web server on the loopback interface: it serves files below a directory, and misbehaves on paths where it is told to. It speaks http or
//! https; asked by CONNECT, or in SOCKS 5, it is a proxy for the loopback interface.

mod wire;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use common::hash::Sha256;
use rustls::{ServerConnection, StreamOwned};

use crate::certificates::Identity;
use wire::{Asked, CONNECTED, SOCKS_CONNECTED, ask, head, socks, tunnel};

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
    /// Breaks off in the middle, whatever is asked for.
    Half(Vec<u8>),
    /// Sends the first half, and then nothing more.
    Stalls(Vec<u8>),
    /// Waits until so many requests wait for this kind of answer, on any path, then sends this; 503 if they do not come.
    Together(usize, Vec<u8>),
    /// The first for the first request, and so on; the last for all that follow.
    Then(Vec<Answer>),
}

/// What the server calls a version of a file: its ETag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tags {
    /// One that only the same bytes have.
    Strong,
    /// One that similar bytes may have.
    Weak,
    /// None.
    No,
}

/// What the log says of a connection on which https did not come about.
pub const REFUSED: &str = "refused";

/// How long requests that come together wait for each other.
const TOGETHER: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Shared {
    /// None: it speaks http.
    identity: Option<Identity>,
    root: Option<PathBuf>,
    answers: Mutex<BTreeMap<String, Answer>>,
    log: Mutex<Vec<String>>,
    tags: Mutex<Tags>,
    together: AtomicUsize,
    /// Connections of which nobody knows yet whether https comes about.
    begun: AtomicUsize,
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
        Self::begin(answers, root, None)
    }

    /// The same over https, with this certificate.
    ///
    /// # Panics
    /// There is no free port.
    #[must_use]
    pub fn https(answers: &[(&str, Answer)], root: Option<PathBuf>, identity: &Identity) -> Self {
        Self::begin(answers, root, Some(identity.clone()))
    }

    fn begin(answers: &[(&str, Answer)], root: Option<PathBuf>, identity: Option<Identity>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let answers = answers.iter().map(|(path, a)| ((*path).to_owned(), a.clone())).collect();
        let shared = Arc::new(Shared {
            identity,
            root,
            answers: Mutex::new(answers),
            log: Mutex::default(),
            tags: Mutex::new(Tags::Strong),
            together: AtomicUsize::new(0),
            begun: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        });
        let in_thread = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if in_thread.stops() {
                    return;
                }
                let shared = in_thread.clone();
                // Clients that go away are part of the tests.
                std::thread::spawn(move || drop(shared.serve(stream)));
            }
        });
        Self { address, shared }
    }

    /// The URL of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.shared.identity.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{path}", self.address)
    }

    /// `HOST:PORT`, as proxies are told and errors say it.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.address
    }

    /// From now on a path is answered so. Those that came together for an earlier [`Answer::Together`] are forgotten.
    pub fn answer(&self, path: &str, answer: Answer) {
        if matches!(answer, Answer::Together(..)) {
            self.shared.together.store(0, Ordering::Relaxed);
        }
        lock(&self.shared.answers).insert(path.to_owned(), answer);
    }

    /// From now on files are called so.
    pub fn tags(&self, tags: Tags) {
        *lock(&self.shared.tags) = tags;
    }

    /// `PATH`, or `PATH FROM-` where a range was asked for, of every request so far; `HOST:PORT` where it was a proxy, and [`REFUSED`] for
    /// who went away when he saw the certificate.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        // Whoever refused it is gone before that is written down.
        let began = Instant::now();
        while self.shared.begun.load(Ordering::SeqCst) > 0 && began.elapsed() < TOGETHER {
            std::thread::sleep(Duration::from_millis(1));
        }
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

    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let Some(identity) = &self.identity else {
            let mut first = [0];
            if stream.peek(&mut first)? == 1 && first == [5] {
                let target = socks(&mut stream)?;
                lock(&self.log).push(target.clone());
                return tunnel(&stream, &stream, &target, SOCKS_CONNECTED);
            }
            let asked = self.asked(&mut stream)?;
            return match &asked.proxy_to {
                Some(target) => tunnel(&stream, &stream, target, CONNECTED),
                None => self.respond(&mut stream, &asked),
            };
        };
        let mut tls = ServerConnection::new(identity.0.clone()).map_err(std::io::Error::other)?;
        self.begun.fetch_add(1, Ordering::SeqCst);
        let done = tls.complete_io(&mut stream);
        if done.is_err() {
            lock(&self.log).push(REFUSED.to_owned());
        }
        self.begun.fetch_sub(1, Ordering::SeqCst);
        done?;
        let socket = stream.try_clone()?;
        let mut stream = StreamOwned::new(tls, stream);
        let asked = self.asked(&mut stream)?;
        match &asked.proxy_to {
            Some(target) => tunnel(stream, &socket, target, CONNECTED),
            None => self.respond(&mut stream, &asked),
        }
    }

    fn asked(&self, stream: &mut dyn Read) -> std::io::Result<Asked> {
        let asked = ask(stream)?;
        let Asked { path, from, .. } = &asked;
        lock(&self.log).push(from.map_or(path.clone(), |from| format!("{path} {from}-")));
        Ok(asked)
    }

    fn respond(&self, out: &mut dyn Write, asked: &Asked) -> std::io::Result<()> {
        let path = &asked.path;
        let answer = lock(&self.answers).get(path).cloned();
        let answer = self.next(path, answer.unwrap_or_else(|| self.file(path)));
        self.send(out, asked, answer)
    }

    /// The answer that it is this time.
    fn next(&self, path: &str, answer: Answer) -> Answer {
        let put = |answer| drop(lock(&self.answers).insert(path.to_owned(), answer));
        match answer {
            Answer::After(0, bytes) => Answer::Bytes(bytes),
            Answer::After(n, bytes) => {
                put(Answer::After(n - 1, bytes));
                Answer::Status(503)
            }
            Answer::Then(mut all) if all.len() > 1 => {
                let first = all.remove(0);
                put(Answer::Then(all));
                self.next(path, first)
            }
            Answer::Then(mut all) => all.pop().map_or(Answer::Status(404), |last| self.next(path, last)),
            answer => answer,
        }
    }

    fn send(&self, out: &mut dyn Write, asked: &Asked, answer: Answer) -> std::io::Result<()> {
        let from = asked.from;
        match (answer, from) {
            (Answer::Bytes(bytes), _) => self.range(out, &bytes, self.from(asked, &bytes)),
            (Answer::NoRanges(bytes) | Answer::WrongBytes(bytes), None) | (Answer::NoRanges(bytes), _) => {
                self.range(out, &bytes, None)
            }
            (Answer::HalfThenRest(bytes), Some(_)) => self.range(out, &bytes, self.from(asked, &bytes)),
            // It does not know of If-Range.
            (Answer::HalfThenOther(_, bytes), Some(_)) => self.range(out, &bytes, from),
            (
                Answer::HalfThenRest(bytes) | Answer::HalfThenOther(bytes, _) | Answer::WrongRange(bytes),
                None,
            )
            | (Answer::Half(bytes), _) => self.half(out, &bytes),
            (Answer::Stalls(bytes), _) => {
                self.half(out, &bytes)?;
                self.says_nothing();
                Ok(())
            }
            (Answer::WrongBytes(bytes), Some(from)) => {
                self.part(out, from, bytes.len() - from, &bytes)?;
                out.write_all(&bytes[..bytes.len() - from])
            }
            (Answer::WrongRange(bytes), Some(_)) => {
                self.part(out, 0, 3, &bytes)?;
                out.write_all(b"???")
            }
            (Answer::Length(len, bytes), _) => {
                head(out, "200 OK", &format!("Content-Length: {len}\r\n"))?;
                out.write_all(&bytes)
            }
            (Answer::Drip(pause), _) => self.for_ever(out, b"x", pause),
            (Answer::Endless, _) => self.for_ever(out, &[b'x'; 4096], Duration::ZERO),
            (Answer::Silent, _) => {
                self.says_nothing();
                Ok(())
            }
            (Answer::Status(status), _) => head(out, &format!("{status} Whatever"), "Content-Length: 0\r\n"),
            (Answer::Redirect(to), _) => {
                head(out, "302 Found", &format!("Location: {to}\r\nContent-Length: 0\r\n"))
            }
            (Answer::Together(n, bytes), _) if self.are_together(n) => {
                self.range(out, &bytes, self.from(asked, &bytes))
            }
            (Answer::Together(..) | Answer::After(..) | Answer::Then(_), _) => {
                head(out, "503 Later", "Content-Length: 0\r\n")
            }
        }
    }

    /// Whether so many came; those that did are counted until [`Server::answer`] is told of others.
    fn are_together(&self, n: usize) -> bool {
        self.together.fetch_add(1, Ordering::Relaxed);
        let began = Instant::now();
        while self.together.load(Ordering::Relaxed) < n {
            if self.stops() || began.elapsed() > TOGETHER {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }

    fn says_nothing(&self) {
        while !self.stops() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn for_ever(&self, out: &mut dyn Write, bytes: &[u8], pause: Duration) -> std::io::Result<()> {
        head(out, "200 OK", "")?;
        while !self.stops() {
            out.write_all(bytes)?;
            std::thread::sleep(pause);
        }
        Ok(())
    }

    /// What a file is called, as a line of the head.
    fn tag(&self, bytes: &[u8]) -> String {
        let tag = format!("\"{}\"", &Sha256::of(bytes).to_string()[..16]);
        match *lock(&self.tags) {
            Tags::Strong => format!("ETag: {tag}\r\n"),
            Tags::Weak => format!("ETag: W/{tag}\r\n"),
            Tags::No => String::new(),
        }
    }

    /// Where to begin, for who has a part of this file; none if it is another one's.
    fn from(&self, asked: &Asked, bytes: &[u8]) -> Option<usize> {
        let same = |tag: &String| self.tag(bytes).trim_end() == format!("ETag: {tag}");
        asked.from.filter(|_| asked.if_range.as_ref().is_none_or(same))
    }

    fn half(&self, out: &mut dyn Write, bytes: &[u8]) -> std::io::Result<()> {
        head(out, "200 OK", &format!("{}Content-Length: {}\r\n", self.tag(bytes), bytes.len()))?;
        out.write_all(&bytes[..bytes.len() / 2])
    }

    /// The head of an answer with `len` of the bytes.
    fn part(&self, out: &mut dyn Write, from: usize, len: usize, bytes: &[u8]) -> std::io::Result<()> {
        let range = format!("bytes {from}-{}/{}", from + len - 1, bytes.len());
        let tag = self.tag(bytes);
        let fields = format!("{tag}Content-Length: {len}\r\nContent-Range: {range}\r\n");
        head(out, "206 Partial Content", &fields)
    }

    /// What was asked for; all of it where that is no part.
    fn range(&self, out: &mut dyn Write, bytes: &[u8], from: Option<usize>) -> std::io::Result<()> {
        let from = from.filter(|from| *from < bytes.len());
        match from {
            Some(from) => self.part(out, from, bytes.len() - from, bytes)?,
            None => {
                let fields = format!("{}Content-Length: {}\r\n", self.tag(bytes), bytes.len());
                head(out, "200 OK", &fields)?;
            }
        }
        out.write_all(&bytes[from.unwrap_or(0)..])
    }

    fn file(&self, path: &str) -> Answer {
        let path = path.split('?').next().unwrap_or(path);
        let read = |root: &PathBuf| std::fs::read(root.join(path.trim_start_matches('/'))).ok();
        self.root.as_ref().and_then(read).map_or(Answer::Status(404), Answer::Bytes)
    }
}

/// What a test left that failed in the middle is a list all the same.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
