//! As much HTTP as tests need: one request a connection.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// Begin and headers of a message, with the empty line that ends them, and the body.
pub struct Message {
    pub head: String,
    pub body: Vec<u8>,
}

impl Message {
    /// Reads a request; nothing where the connection ends before one.
    pub fn request(stream: &mut TcpStream) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if !more(stream, &mut bytes)? {
                return Ok(None);
            }
        };
        let body = bytes.split_off(end);
        let mut message = Self { head: String::from_utf8_lossy(&bytes).into_owned(), body };
        let length: usize = message.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        while message.body.len() < length {
            if !more(stream, &mut message.body)? {
                return Ok(None);
            }
        }
        Ok(Some(message))
    }

    /// The whole answer to a request, from a server that closes the connection after it.
    pub fn answer(server: SocketAddr, head: &str, body: &[u8]) -> io::Result<Self> {
        let mut stream = TcpStream::connect(server)?;
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)? + 4;
        let body = bytes.split_off(end);
        Ok(Self { head: String::from_utf8_lossy(&bytes).into_owned(), body })
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }

    /// Of an answer.
    pub fn status(&self) -> u16 {
        self.head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
    }
}

fn more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; 1 << 16];
    let read = stream.read(&mut buffer)?;
    bytes.extend(&buffer[..read]);
    Ok(read > 0)
}
