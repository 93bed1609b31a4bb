//! The head of a request -> what was asked for; the head of an answer; what a proxy passes on.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, TcpStream};
use std::time::Duration;

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

/// Reads what somebody wants of a SOCKS 5 proxy (RFC 1928), and lets everybody in -> whom to connect with.
pub(super) fn socks(stream: &mut TcpStream) -> std::io::Result<String> {
    let [_, methods] = take(stream)?;
    stream.read_exact(&mut vec![0; usize::from(methods)])?;
    stream.write_all(&[5, 0])?;
    let [_, _, _, kind] = take(stream)?;
    let host = match kind {
        1 => Ipv4Addr::from(take(stream)?).to_string(),
        3 => {
            let [len] = take(stream)?;
            let mut name = vec![0; usize::from(len)];
            stream.read_exact(&mut name)?;
            String::from_utf8_lossy(&name).into_owned()
        }
        _ => format!("[{}]", Ipv6Addr::from(take(stream)?)),
    };
    Ok(format!("{host}:{}", u16::from_be_bytes(take(stream)?)))
}

fn take<const N: usize>(stream: &mut TcpStream) -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// That the connection is there: for CONNECT, and in SOCKS 5.
pub(super) const CONNECTED: &[u8] = b"HTTP/1.1 200 Connected\r\n\r\n";
pub(super) const SOCKS_CONNECTED: &[u8] = &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0];

/// Passes on what two say to each other, until one of them ends. Whatever host is wanted, it is this one. `socket` is what `client` reads
/// from.
pub(super) fn tunnel(
    mut client: impl Read + Write,
    socket: &TcpStream,
    target: &str,
    connected: &[u8],
) -> std::io::Result<()> {
    let port = target.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or_default();
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    client.write_all(connected)?;
    for socket in [socket, &server] {
        socket.set_read_timeout(Some(Duration::from_millis(2)))?;
    }
    while pass(&mut client, &mut server)? && pass(&mut server, &mut client)? {}
    Ok(())
}

/// Passes on what is there; false at the end.
fn pass(from: &mut impl Read, to: &mut impl Write) -> std::io::Result<bool> {
    let mut buffer = [0; 16 << 10];
    match from.read(&mut buffer) {
        Ok(0) => Ok(false),
        Ok(n) => to.write_all(&buffer[..n]).and_then(|()| to.flush()).map(|()| true),
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(true),
        Err(e) => Err(e),
    }
}
