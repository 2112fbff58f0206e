//! A web server of single files, with the manners of those that there are.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::wire::Message;

/// How it answers.
#[derive(Debug, Clone, Default)]
pub struct Manners {
    /// The file's version, in its quotes, if it is told.
    pub tag: Option<&'static str>,
    /// It sends whole files alone.
    pub no_ranges: bool,
    /// It answers only who gives this query.
    pub signature: Option<&'static str>,
    /// The size it claims, if not the true one.
    pub claims: Option<u64>,
    /// So many answers end in the middle of the body.
    pub cuts: u32,
}

/// Listens until the process ends.
pub struct Web {
    pub address: SocketAddr,
    answers: Arc<Mutex<usize>>,
}

impl Web {
    /// Serves one file under every path that ends with its name.
    pub fn serving(name: &'static str, bytes: Vec<u8>, manners: Manners) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let web = Self { address: listener.local_addr().unwrap(), answers: Arc::default() };
        let (answers, manners) = (web.answers.clone(), Arc::new(Mutex::new(manners)));
        let bytes = Arc::new(bytes);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (bytes, manners, answers) = (bytes.clone(), manners.clone(), answers.clone());
                thread::spawn(move || drop(serve(stream, name, &bytes, &manners, &answers)));
            }
        });
        web
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// How often it sent some of the file.
    pub fn answers(&self) -> usize {
        *self.answers.lock().unwrap()
    }
}

fn serve(
    mut client: TcpStream,
    name: &str,
    bytes: &[u8],
    manners: &Mutex<Manners>,
    answers: &Mutex<usize>,
) -> io::Result<()> {
    let Some(request) = Message::request(&mut client)? else { return Ok(()) };
    let Manners { tag, no_ranges, signature, claims, .. } = manners.lock().unwrap().clone();
    let target = request.head.split(' ').nth(1).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut answer = |status: &str, headers: &str, body: &[u8], length: usize| {
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n");
        client.write_all(head.as_bytes())?;
        client.write_all(body)
    };
    if !path.ends_with(name) {
        return answer("404 Not Found", "", b"", 0);
    }
    if signature.is_some_and(|signature| query != signature) {
        return answer("403 Forbidden", "", b"", 0);
    }
    if request.header("if-match").is_some_and(|wanted| Some(wanted) != tag) {
        return answer("412 Precondition Failed", "", b"", 0);
    }
    *answers.lock().unwrap() += 1;
    let tag = tag.map(|tag| format!("etag: {tag}\r\n")).unwrap_or_default();
    let range = request.header("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let Some((start, end)) = range.filter(|_| !no_ranges) else {
        return answer("200 OK", &tag, bytes, bytes.len());
    };
    let (start, end): (usize, usize) = (start.parse().unwrap(), end.parse().unwrap());
    let end = end.min(bytes.len() - 1);
    let whole = claims.unwrap_or(bytes.len() as u64);
    let body = &bytes[start..=end];
    let spoilt = {
        let mut manners = manners.lock().unwrap();
        // The look at the first byte is no fun.
        let spoilt = manners.cuts > 0 && body.len() > 1;
        manners.cuts -= u32::from(spoilt);
        spoilt
    };
    let sent = if spoilt { &body[..body.len() / 2] } else { body };
    let headers = format!("{tag}content-range: bytes {start}-{end}/{whole}\r\n");
    answer("206 Partial Content", &headers, sent, body.len())
}
