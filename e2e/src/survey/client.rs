//! Clients that choose the port they come from, which the usual programs cannot.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, connect, socket_with,
    sockopt::set_socket_reuseaddr,
};

use crate::Failure;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whether somebody listens on a port, on whatever address: asked of the kernel, since a connection made to find out
/// would be in the server's log.
#[must_use]
pub fn is_listening(port: u16) -> bool {
    // proc(5): the local address in hexadecimal, and 0A for a socket that listens.
    let wanted = format!(":{port:04X}");
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().any(|table| {
        let table = std::fs::read_to_string(table).unwrap_or_default();
        table.lines().any(|line| {
            let mut words = line.split_whitespace().skip(1);
            words.next().is_some_and(|local| local.ends_with(&wanted)) && words.nth(1) == Some("0A")
        })
    })
}

/// Connects from one endpoint to the same address' `port`.
///
/// # Errors
/// When the port is taken, or nobody listens.
pub fn connect_from(from: SocketAddr, port: u16) -> Result<TcpStream, Failure> {
    let made = || {
        let family = match from {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let socket: OwnedFd = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &from)?;
        connect(&socket, &SocketAddr::new(from.ip(), port))?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    };
    made().map_err(|source: std::io::Error| Failure::Start {
        command: format!("a connection from {from} to port {port}"),
        source,
    })
}

/// Says something and reads until the server closes.
///
/// # Errors
/// When the connection breaks.
pub fn ask(mut stream: TcpStream, words: &str) -> Result<String, Failure> {
    let mut answer = Vec::new();
    let asked = stream
        .write_all(words.as_bytes())
        .and_then(|()| stream.read_to_end(&mut answer));
    match asked {
        Ok(_) => Ok(String::from_utf8_lossy(&answer).into_owned()),
        Err(source) => Err(Failure::Start {
            command: format!("{words:?} to a server"),
            source,
        }),
    }
}

/// One HTTP request with its answer, after which the connection is closed.
///
/// # Errors
/// When there is no answer.
pub fn http(from: SocketAddr, port: u16) -> Result<(), Failure> {
    let stream = connect_from(from, port)?;
    let answer = ask(
        stream,
        "GET /index.html HTTP/1.1\r\nHost: www.example.org\r\nUser-Agent: survey [client 192.0.2.66:4242]\r\nConnection: close\r\n\r\n",
    )?;
    if answer.starts_with("HTTP/1.") {
        return Ok(());
    }
    Err(Failure::Unexpected {
        what: "an HTTP answer".to_owned(),
        text: answer,
    })
}

/// A conversation of lines: waits for each answer's beginning, then says the next.
///
/// # Errors
/// When the server says something else, or nothing.
pub fn converse(stream: TcpStream, turns: &[(&str, &str)]) -> Result<(), Failure> {
    let mut stream = stream;
    let mut heard = String::new();
    for (expected, reply) in turns {
        let mut buffer = [0; 4096];
        while !heard.contains(expected) {
            match stream.read(&mut buffer) {
                Ok(0) | Err(_) => {
                    return Err(Failure::Unexpected {
                        what: format!("an answer with {expected:?}"),
                        text: heard,
                    });
                }
                Ok(length) => {
                    heard += &String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
                }
            }
        }
        heard.clear();
        stream
            .write_all(reply.as_bytes())
            .map_err(|source| Failure::Start {
                command: format!("{reply:?} to a server"),
                source,
            })?;
    }
    Ok(())
}
