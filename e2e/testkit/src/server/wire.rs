//! The head of a request -> what was asked for; the head of an answer.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

/// What was asked for.
pub(super) struct Asked {
    pub(super) path: String,
    pub(super) from: Option<usize>,
    pub(super) if_range: Option<String>,
}

/// Reads a request.
pub(super) fn ask(stream: &TcpStream) -> std::io::Result<Asked> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut asked = Asked { path, from: None, if_range: None };
    for line in lines {
        let line = line?.to_ascii_lowercase();
        if let Some(range) = line.strip_prefix("range: bytes=") {
            asked.from = range.trim_end_matches('-').parse::<usize>().ok();
        }
        if let Some(tag) = line.strip_prefix("if-range: ") {
            asked.if_range = Some(tag.to_owned());
        }
        if line.is_empty() {
            break;
        }
    }
    Ok(asked)
}

/// Writes the head of an answer, with these fields.
pub(super) fn head(out: &mut TcpStream, status: &str, fields: &str) -> std::io::Result<()> {
    write!(out, "HTTP/1.1 {status}\r\nConnection: close\r\n{fields}\r\n")
}
