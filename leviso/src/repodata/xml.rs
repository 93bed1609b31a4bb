//! A pull reader over quick-xml with what hostile input needs: caps on nesting and on the size of one tag or text,
//! no entities but the five of XML itself, errors that say where.

use std::io::{self, BufRead, Read};

use anyhow::{Context, anyhow, bail};
use common::cli::Mark;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};

use crate::exit;

/// One tag or stretch of text. The longest in real repodata is a description of some 20 kB.
const MAX_EVENT: usize = 1 << 20;
/// Elements inside each other; repodata has five.
const MAX_DEPTH: usize = 16;
/// Attributes and texts that are kept (names, versions, paths). PATH_MAX is 4096, rich dependencies are longer.
pub(super) const MAX_STRING: usize = 64 << 10;

/// What [`Xml::next`] met. Names are without prefix.
pub(super) enum Item<'a> {
    /// `<name ...>` or `<name .../>`; the latter is followed by its `Close`. Depth counts this element.
    Open(Tag<'a>),
    /// `</name>`.
    Close(usize),
    /// Text, entities resolved; one element's text may come in pieces.
    Text(&'a str),
    /// The end of the document.
    End,
}

/// An opening tag.
pub(super) struct Tag<'a> {
    start: &'a BytesStart<'a>,
    /// 1 for the root element.
    pub(super) depth: usize,
}

impl Tag<'_> {
    /// The element's name without prefix.
    pub(super) fn name(&self) -> &str {
        self.start.local_name().into_inner()
    }

    /// The value of an attribute, by its full name.
    pub(super) fn attr(&self, name: &str) -> anyhow::Result<Option<String>> {
        let Some(attr) = self.start.try_get_attribute(name).context("bad attributes")? else {
            return Ok(None);
        };
        let value = attr.normalized_value(XmlVersion::Implicit1_0).context("bad attribute value")?;
        if value.len() > MAX_STRING {
            bail!("attribute {name} is longer than {MAX_STRING} bytes");
        }
        Ok(Some(value.into_owned()))
    }

    /// The value of an attribute that must be there.
    pub(super) fn need(&self, name: &str) -> anyhow::Result<String> {
        self.attr(name)?.ok_or_else(|| anyhow!("<{}> has no {name}", self.name()))
    }
}

/// The reader.
pub(super) struct Xml<R> {
    reader: quick_xml::Reader<Capped<R>>,
    buf: Vec<u8>,
    depth: usize,
}

impl<R: BufRead> Xml<R> {
    pub(super) fn new(inner: R) -> Self {
        let mut reader = quick_xml::Reader::from_reader(Capped { inner, left: MAX_EVENT });
        // `<a/>` becomes `<a></a>`: one way to close an element instead of two.
        reader.config_mut().expand_empty_elements = true;
        Self { reader, buf: Vec::new(), depth: 0 }
    }

    /// Reads a whole document: calls `visit` for each item until the end. Errors get `what` and the position.
    pub(super) fn read(
        &mut self,
        what: &str,
        mut visit: impl FnMut(Item<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        loop {
            match self.step(&mut visit) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(e) => {
                    let at = self.reader.buffer_position();
                    return Err(e)
                        .with_context(|| format!("{what} is malformed near byte {at}"))
                        .exit(exit::VERIFY);
                }
            }
        }
    }

    fn step(&mut self, visit: &mut impl FnMut(Item<'_>) -> anyhow::Result<()>) -> anyhow::Result<bool> {
        self.buf.clear();
        self.reader.get_mut().left = MAX_EVENT;
        match self.reader.read_event_into(&mut self.buf)? {
            Event::Start(start) => {
                self.depth += 1;
                if self.depth > MAX_DEPTH {
                    bail!("elements are nested deeper than {MAX_DEPTH}");
                }
                visit(Item::Open(Tag { start: &start, depth: self.depth }))?;
            }
            Event::End(_) => {
                visit(Item::Close(self.depth))?;
                self.depth = self.depth.saturating_sub(1);
            }
            Event::Text(text) => visit(Item::Text(&text))?,
            Event::CData(text) => visit(Item::Text(&text))?,
            Event::GeneralRef(name) => {
                if let Some(c) = name.resolve_char_ref()? {
                    visit(Item::Text(c.encode_utf8(&mut [0; 4])))?;
                } else {
                    let text = quick_xml::escape::resolve_predefined_entity(&name)
                        .ok_or_else(|| anyhow!("unknown entity &{};", &*name))?;
                    visit(Item::Text(text))?;
                }
            }
            Event::DocType(_) => bail!("a document type declaration does not belong here"),
            Event::Eof if self.depth > 0 => bail!("the document ends inside an element"),
            Event::Eof => {
                visit(Item::End)?;
                return Ok(true);
            }
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
        Ok(false)
    }
}

/// Appends a piece of text to a field; fails when it grows too long.
pub(super) fn append(field: &mut String, piece: &str) -> anyhow::Result<()> {
    if field.len() + piece.len() > MAX_STRING {
        bail!("a text is longer than {MAX_STRING} bytes");
    }
    field.push_str(piece);
    Ok(())
}

/// Fails once more than `left` bytes were consumed since it was last set: quick-xml itself buffers without limit.
struct Capped<R> {
    inner: R,
    left: usize,
}

impl<R: BufRead> Read for Capped<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(buf)?;
        self.consume(n);
        Ok(n)
    }
}

impl<R: BufRead> BufRead for Capped<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Err(io::Error::other(format!("a tag or text is longer than {MAX_EVENT} bytes")));
        }
        let buf = self.inner.fill_buf()?;
        Ok(&buf[..buf.len().min(self.left)])
    }

    fn consume(&mut self, n: usize) {
        self.left = self.left.saturating_sub(n);
        self.inner.consume(n);
    }
}
