//! QEMU's control socket (QMP: one JSON object a line), as far as we need it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::{Value, json};

/// A picture of the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Screenshot {
    /// The PNG.
    pub path: PathBuf,
    /// How many pixels are not dark: none on a blank screen.
    pub lit: usize,
}

/// A connection that has left negotiation mode.
#[derive(Debug)]
pub struct Qmp {
    reader: BufReader<UnixStream>,
}

impl Qmp {
    /// Connects to the socket, waiting for QEMU to make it.
    ///
    /// # Errors
    /// Nothing listens there within `limit`, or it does not speak QMP.
    pub fn connect(socket: &Path, limit: Duration) -> anyhow::Result<Self> {
        let stream = connect(socket, limit)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut qmp = Self { reader: BufReader::new(stream) };
        let greeting = qmp.line()?;
        if greeting.get("QMP").is_none() {
            bail!("expected a QMP greeting on {}, found {greeting}", socket.display());
        }
        qmp.call("qmp_capabilities", &json!({}))?;
        Ok(qmp)
    }

    /// Runs a command and returns its result.
    ///
    /// # Errors
    /// QEMU is gone, or answers with an error.
    pub fn call(&mut self, command: &str, arguments: &Value) -> anyhow::Result<Value> {
        let text = json!({ "execute": command, "arguments": arguments }).to_string();
        let mut stream = self.reader.get_ref();
        writeln!(stream, "{text}").with_context(|| format!("failed to send QMP command {command}"))?;
        loop {
            let mut answer = self.line()?;
            if let Some(result) = answer.get_mut("return") {
                return Ok(result.take());
            }
            if let Some(error) = answer.get("error") {
                bail!("QMP command {command} failed: {error}");
            }
            // Anything else is an event.
        }
    }

    /// Saves what the VGA screen shows as a PNG.
    ///
    /// # Errors
    /// QEMU cannot write the dump, or it is not a picture.
    pub fn screenshot(&mut self, png: &Path) -> anyhow::Result<Screenshot> {
        let ppm = png.with_extension("ppm");
        self.call("screendump", &json!({ "filename": ppm }))?;
        let bytes = common::fs::read(&ppm)?;
        let (width, height, pixels) =
            parse_ppm(&bytes).with_context(|| format!("{} is not a binary PPM", ppm.display()))?;
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, width, height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.write_header()?.write_image_data(pixels)?;
        common::fs::write_atomic(png, &out)?;
        std::fs::remove_file(&ppm).with_context(|| format!("failed to remove {}", ppm.display()))?;
        let lit = pixels.chunks_exact(3).filter(|rgb| rgb.iter().any(|&c| c > 64)).count();
        Ok(Screenshot { path: png.to_owned(), lit })
    }

    fn line(&mut self) -> anyhow::Result<Value> {
        let mut line = String::new();
        let n = self.reader.read_line(&mut line).context("failed to read from QEMU's control socket")?;
        if n == 0 {
            bail!("QEMU closed its control socket");
        }
        serde_json::from_str(&line).with_context(|| format!("QEMU sent what is not JSON: {line:?}"))
    }
}

/// Connects to a Unix socket that a program we started is about to make.
pub(crate) fn connect(socket: &Path, limit: Duration) -> anyhow::Result<UnixStream> {
    let until = Instant::now() + limit;
    loop {
        match UnixStream::connect(socket) {
            Ok(stream) => return Ok(stream),
            Err(_) if Instant::now() < until => std::thread::sleep(Duration::from_millis(20)),
            Err(e) => return Err(e).with_context(|| format!("failed to connect to {}", socket.display())),
        }
    }
}

/// Binary PPM (netpbm's ppm(5), P6, maximum 255) -> width, height, RGB pixels.
fn parse_ppm(bytes: &[u8]) -> Option<(u32, u32, &[u8])> {
    let mut rest = bytes.strip_prefix(b"P6")?;
    let mut numbers = [0u32; 3];
    for number in &mut numbers {
        let start = rest.iter().position(|b| !b.is_ascii_whitespace())?;
        let end = start + rest[start..].iter().position(u8::is_ascii_whitespace)?;
        *number = std::str::from_utf8(&rest[start..end]).ok()?.parse().ok()?;
        rest = &rest[end..];
    }
    let [width, height, 255] = numbers else { return None };
    let size = usize::try_from(u64::from(width) * u64::from(height) * 3).ok()?;
    Some((width, height, rest.get(1..=size)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ppm_is_read_to_the_last_pixel_and_no_further() {
        let picture = b"P6\n2 1\n255\nabcdef";
        assert_eq!(parse_ppm(picture), Some((2, 1, &b"abcdef"[..])));
        assert_eq!(parse_ppm(&picture[..picture.len() - 1]), None);
        assert_eq!(parse_ppm(b"P5\n2 1\n255\nabcdef"), None);
    }
}
