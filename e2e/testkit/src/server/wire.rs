//! The head of a request -> what was asked for; the head of an answer; what a proxy passes on.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};

/// What was asked for.
pub(super) struct Asked {
    pub(super) path: String,
    pub(super) from: Option<usize>,
    pub(super) if_range: Option<String>,
    /// Whom to connect with, by CONNECT.
    pub(super) proxy_to: Option<String>,
}

/// Reads a request.
pub(super) fn ask(stream: &mut dyn Read) -> std::io::Result<Asked> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let proxy_to = request.starts_with("CONNECT ").then(|| path.clone());
    let mut asked = Asked { path, from: None, if_range: None, proxy_to };
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
pub(super) fn head(out: &mut dyn Write, status: &str, fields: &str) -> std::io::Result<()> {
    write!(out, "HTTP/1.1 {status}\r\nConnection: close\r\n{fields}\r\n")
}

/// Passes on what two say to each other, until one of them ends.
pub(super) fn tunnel(mut client: TcpStream, target: &str) -> std::io::Result<()> {
    let mut server = TcpStream::connect(target)?;
    client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        drop(std::io::copy(&mut from_client, &mut to_server));
        to_server.shutdown(Shutdown::Both)
    });
    std::io::copy(&mut server, &mut client)?;
    client.shutdown(Shutdown::Both)
}
