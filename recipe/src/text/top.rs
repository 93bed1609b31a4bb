//! Tokens -> the statements of the top level: variables with the place of their values, functions, imports.

use std::ops::Range;

use super::literal::{Value, literal};
use super::scan::{Kind, SyntaxError, Token, tokens};

/// A variable of the top level.
#[derive(Debug, Clone, PartialEq)]
pub struct Let {
    /// Its name.
    pub name: String,
    /// `const` instead of `let`.
    pub constant: bool,
    /// From `let` to behind `;`.
    pub span: Range<usize>,
    /// The value, without the space around it.
    pub value: Range<usize>,
    /// What the value is, if it is a literal.
    pub literal: Option<Value>,
}

/// A function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// From `fn` to behind its body.
    pub span: Range<usize>,
    /// How many parameters it has.
    pub parameters: usize,
}

/// The top level of a recipe.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Top {
    /// Variables in the order of the text; no name is there twice.
    pub lets: Vec<Let>,
    /// Functions in the order of the text.
    pub functions: Vec<Function>,
}

impl Top {
    /// Reads a text.
    ///
    /// # Errors
    /// Strings, comments or brackets do not end, a variable is there twice, or a statement does something.
    pub fn of(text: &str) -> Result<Self, SyntaxError> {
        Self::read(text, false)
    }

    /// As [`Top::of`], of a library, which may have `export`, too.
    ///
    /// # Errors
    /// As [`Top::of`].
    pub fn of_library(text: &str) -> Result<Self, SyntaxError> {
        Self::read(text, true)
    }

    fn read(text: &str, library: bool) -> Result<Self, SyntaxError> {
        let tokens = tokens(text)?;
        let mut reader = Reader { text, tokens: &tokens, at: 0, top: Self::default(), library };
        while reader.at < tokens.len() {
            reader.statement()?;
        }
        Ok(reader.top)
    }

    /// A variable by its name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Let> {
        self.lets.iter().find(|l| l.name == name)
    }

    /// Whether there is a function of this name.
    #[must_use]
    pub fn has_function(&self, name: &str) -> bool {
        self.functions.iter().any(|f| f.name == name)
    }
}

struct Reader<'a> {
    text: &'a str,
    tokens: &'a [Token],
    at: usize,
    top: Top,
    library: bool,
}

impl<'a> Reader<'a> {
    fn word(&self, at: usize) -> Option<&'a str> {
        self.tokens.get(at).filter(|t| t.kind == Kind::Word).map(|t| &self.text[t.span.clone()])
    }

    fn is_mark(&self, at: usize, mark: u8) -> bool {
        self.tokens.get(at).is_some_and(|t| t.kind == Kind::Mark(mark))
    }

    fn statement(&mut self) -> Result<(), SyntaxError> {
        let start = self.tokens[self.at].span.start;
        match self.word(self.at) {
            Some(word @ ("let" | "const")) => self.variable(word == "const"),
            Some("fn") => self.function(self.at + 1),
            Some("private") if self.word(self.at + 1) == Some("fn") => self.function(self.at + 2),
            Some("export") if self.library && matches!(self.word(self.at + 1), Some("let" | "const")) => {
                self.at += 1;
                self.statement()
            }
            Some(word) if word == "import" || (word == "export" && self.library) => {
                self.at = self.end(self.at)? + 1;
                Ok(())
            }
            _ if self.is_mark(self.at, b';') => {
                self.at += 1;
                Ok(())
            }
            _ => Err(SyntaxError::new(
                start,
                match self.library {
                    false => {
                        "only `let`, `const`, `import` and functions may be at the top level: it runs before every phase"
                    }
                    true => {
                        "only `let`, `const`, `import`, `export` and functions may be at the top level: it runs wherever the library is imported"
                    }
                },
            )),
        }
    }

    fn variable(&mut self, constant: bool) -> Result<(), SyntaxError> {
        let start = self.tokens[self.at].span.start;
        let name = self.word(self.at + 1).filter(|_| self.is_mark(self.at + 2, b'='));
        let name = name.ok_or_else(|| SyntaxError::new(start, "expected `let NAME = VALUE;`"))?.to_owned();
        let end = self.end(self.at)?;
        let value = &self.tokens[self.at + 3..end];
        let (Some(first), Some(last)) = (value.first(), value.last()) else {
            return Err(SyntaxError::new(start, format!("expected a value for `{name}`")));
        };
        if self.top.get(&name).is_some() {
            return Err(SyntaxError::new(start, format!("`{name}` is there twice")));
        }
        self.top.lets.push(Let {
            name,
            constant,
            span: start..self.tokens[end].span.end,
            value: first.span.start..last.span.end,
            literal: literal(self.text, value)?,
        });
        self.at = end + 1;
        Ok(())
    }

    fn function(&mut self, at: usize) -> Result<(), SyntaxError> {
        let start = self.tokens[self.at].span.start;
        let name = self.word(at).ok_or_else(|| SyntaxError::new(start, "expected a function's name"))?;
        let open = (at..self.tokens.len()).find(|i| self.is_mark(*i, b'{'));
        let open = open.ok_or_else(|| SyntaxError::new(start, format!("`{name}` has no body")))?;
        let close = self.closing(open)?;
        self.at = close + 1;
        let head = self.tokens[at..open].iter().skip_while(|t| t.kind != Kind::Mark(b'('));
        self.top.functions.push(Function {
            name: name.to_owned(),
            span: start..self.tokens[close].span.end,
            parameters: head.filter(|t| t.kind == Kind::Word).count(),
        });
        Ok(())
    }

    /// The `;` that ends the statement which begins here.
    fn end(&self, from: usize) -> Result<usize, SyntaxError> {
        let mut at = from;
        while let Some(token) = self.tokens.get(at) {
            match token.kind {
                Kind::Mark(b';') => return Ok(at),
                Kind::Map | Kind::Mark(b'{' | b'[' | b'(') => at = self.closing(at)? + 1,
                Kind::Mark(b'}' | b']' | b')') => {
                    return Err(SyntaxError::new(
                        token.span.start,
                        "nothing was opened that this could close",
                    ));
                }
                _ => at += 1,
            }
        }
        Err(SyntaxError::new(self.tokens[from].span.start, "this statement has no `;` at its end"))
    }

    /// The bracket that closes the one here.
    fn closing(&self, open: usize) -> Result<usize, SyntaxError> {
        let mut stack = Vec::new();
        for (at, token) in self.tokens.iter().enumerate().skip(open) {
            match token.kind {
                Kind::Map | Kind::Mark(b'{') => stack.push(b'}'),
                Kind::Mark(b'[') => stack.push(b']'),
                Kind::Mark(b'(') => stack.push(b')'),
                Kind::Mark(mark @ (b'}' | b']' | b')')) if stack.pop() != Some(mark) => {
                    return Err(SyntaxError::new(
                        token.span.start,
                        "nothing was opened that this could close",
                    ));
                }
                _ => {}
            }
            if stack.is_empty() {
                return Ok(at);
            }
        }
        Err(SyntaxError::new(self.tokens[open].span.start, "this bracket is never closed"))
    }
}
