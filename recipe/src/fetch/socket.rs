//! Sockets on which nobody waits longer than ^C allows: the bottom of ureq's chain of connectors.
//!
//! Each wait for the network is many short ones with a look at the flag between them. TLS is above this and knows nothing of it.
//! The limits are those of ureq's configuration, in sum. What ^C ends is an error like others here; who asked looks at the flag.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, sockopt};
use ureq::Error;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
};

use crate::interrupt::{Interrupt, PAUSE};

/// Opens sockets.
#[derive(Debug)]
pub(super) struct Sockets(pub(super) Interrupt);

impl<In: Transport> Connector<In> for Sockets {
    type Out = Either<In, Socket>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        // A proxy has made the connection.
        if let Some(chained) = chained {
            return Ok(Some(Either::A(chained)));
        }
        let patience = Patience::new(details.timeout, &self.0);
        let stream = first(&details.addrs, &patience)?;
        stream.set_nodelay(details.config.no_delay())?;
        stream.set_read_timeout(Some(PAUSE))?;
        stream.set_write_timeout(Some(PAUSE))?;
        let (input, output) = (details.config.input_buffer_size(), details.config.output_buffer_size());
        let buffers = LazyBuffers::new(input, output);
        Ok(Some(Either::B(Socket { stream, buffers, interrupt: self.0.clone() })))
    }
}

/// A connection.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    buffers: LazyBuffers,
    interrupt: Interrupt,
}

impl Transport for Socket {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let patience = Patience::new(timeout.for_write(), &self.interrupt);
        let mut rest = &self.buffers.output()[..amount];
        while !rest.is_empty() {
            match patience.with(|| self.stream.write(rest))? {
                0 => return Err(io::Error::from(ErrorKind::WriteZero).into()),
                n => rest = &rest[n..],
            }
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let patience = Patience::new(timeout.for_read(), &self.interrupt);
        let buffer = self.buffers.input_append_buf();
        let n = patience.with(|| self.stream.read(buffer))?;
        self.buffers.input_appended(n);
        Ok(n > 0)
    }

    fn is_open(&mut self) -> bool {
        // Bytes that nobody asked for are no better than its end.
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        matches!(rustix::net::recv(&self.stream, &mut [0; 1], flags), Err(Errno::WOULDBLOCK))
    }
}

/// How long somebody waits, and for what not.
struct Patience<'a> {
    timeout: NextTimeout,
    began: Instant,
    interrupt: &'a Interrupt,
}

impl<'a> Patience<'a> {
    fn new(timeout: NextTimeout, interrupt: &'a Interrupt) -> Self {
        Self { timeout, began: Instant::now(), interrupt }
    }

    /// What is left of it; all of `u64` seconds where there is no end.
    fn left(&self) -> Result<Duration, Error> {
        if self.interrupt.is_set() {
            return Err(io::Error::other("interrupted").into());
        }
        let left = self.timeout.after.saturating_sub(self.began.elapsed());
        if left.is_zero() { Err(Error::Timeout(self.timeout.reason)) } else { Ok(left) }
    }

    /// Does what waits for a moment at most, until it has not waited in vain.
    fn with<T>(&self, mut work: impl FnMut() -> io::Result<T>) -> Result<T, Error> {
        loop {
            self.left()?;
            match work() {
                Err(e) if is_vain(e.kind()) => {}
                result => return Ok(result?),
            }
        }
    }
}

fn is_vain(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// A connection to the first address that answers. Each has its part of the time: one that is silent keeps nobody from the others.
fn first(addresses: &[SocketAddr], patience: &Patience<'_>) -> Result<TcpStream, Error> {
    let mut last = Error::HostNotFound;
    for (at, address) in addresses.iter().enumerate() {
        let part = patience.left()? / u32::try_from(addresses.len() - at).unwrap_or(1);
        match connect(*address, part, patience) {
            Ok(Some(stream)) => return Ok(stream),
            Ok(None) => last = Error::Timeout(patience.timeout.reason),
            Err(e) => last = e,
        }
    }
    // Said before what the addresses said.
    patience.left()?;
    Err(last)
}

/// A connection to an address; none if it takes longer than that.
fn connect(address: SocketAddr, long: Duration, patience: &Patience<'_>) -> Result<Option<TcpStream>, Error> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let io = |e: Errno| Error::Io(e.into());
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None).map_err(io)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(e) => return Err(io(e)),
    }
    let began = Instant::now();
    loop {
        let left = patience.left()?.min(long.saturating_sub(began.elapsed())).min(PAUSE);
        if left.is_zero() {
            return Ok(None);
        }
        let left = Timespec::try_from(left).map_err(|_| io(Errno::INVAL))?;
        match poll(&mut [PollFd::new(&socket, PollFlags::OUT)], Some(&left)) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => break,
            Err(e) => return Err(io(e)),
        }
    }
    sockopt::socket_error(&socket).and_then(|result| result).map_err(io)?;
    let stream = TcpStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(Some(stream))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// An address that lets everybody wait: nobody takes connections, and there is no room for more.
    fn full() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        rustix::net::listen(&listener, 0).expect("listens");
        let address = listener.local_addr().expect("an address");
        let is_let_in = |()| TcpStream::connect_timeout(&address, Duration::from_millis(100)).ok();
        let inside = std::iter::repeat(()).map_while(is_let_in).collect();
        (listener, inside, address)
    }

    fn timeout(after: Duration) -> NextTimeout {
        NextTimeout { after: after.into(), ..NextTimeout::default() }
    }

    #[test]
    fn nobody_waits_for_an_address_that_says_nothing() {
        let (_listener, _inside, silent) = full();
        let interrupt = Interrupt::default();
        let began = Instant::now();
        let patience = Patience::new(timeout(Duration::from_secs(2)), &interrupt);
        let other = TcpListener::bind("127.0.0.1:0").expect("a port");
        let there = other.local_addr().expect("an address");
        let refused = SocketAddr::from(([127, 0, 0, 1], 1));
        let stream = first(&[refused, silent, there], &patience).expect("the last one answers");
        assert_eq!(stream.peer_addr().expect("connected"), there);
        assert!(began.elapsed() > Duration::from_millis(700), "{:?}", began.elapsed());
        let patience = Patience::new(timeout(Duration::from_millis(300)), &interrupt);
        assert!(matches!(first(&[silent], &patience), Err(Error::Timeout(_))));
    }

    #[test]
    fn an_interrupt_ends_waiting_for_a_connection() {
        let (_listener, _inside, silent) = full();
        let interrupt = Interrupt::default();
        let patience = Patience::new(timeout(Duration::from_secs(30)), &interrupt);
        let began = Instant::now();
        let result = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(200));
                interrupt.set();
            });
            first(&[silent], &patience)
        });
        let said = result.err().map(|e| e.to_string());
        assert!(said.is_some_and(|e| e.contains("interrupted")) && began.elapsed() < Duration::from_secs(3));
    }
}
