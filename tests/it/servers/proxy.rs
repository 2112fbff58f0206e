//! A proxy that passes requests on, but for those that it was told to spoil, and remembers all of them.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use super::wire::Message;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is answered with this status, and goes no further.
    Status(u16),
    /// It is passed on; of the answer's body the first half comes back, and then the connection ends.
    Cut,
    /// It goes no further, and nothing comes back until the client gives up.
    Stall,
    /// It is passed on, and nothing comes back until the client gives up.
    Mute,
}

/// A request that came by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub method: String,
    /// As in `/bucket/key?query`.
    pub path: String,
    /// `bytes=0-99`, where a part was asked for.
    pub range: Option<String>,
    /// Of the body that it brought.
    pub bytes: usize,
    /// What it was answered with, by the server or by a fault; nothing where it was left without an answer.
    pub status: Option<u16>,
    pub fault: Option<Fault>,
}

impl Seen {
    /// Whether the client has its whole answer, and it was a good one.
    pub fn is_done(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status)) && self.fault.is_none()
    }
}

type Condition = Box<dyn Fn(&Seen) -> bool + Send>;

#[derive(Default)]
struct State {
    seen: Vec<Seen>,
    /// Which requests, how many of them still, and what becomes of them.
    rules: Vec<(Condition, u32, Fault)>,
}

/// Listens until the process ends.
pub struct Proxy {
    pub address: SocketAddr,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl Proxy {
    pub fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new((Mutex::new(State::default()), Condvar::new()));
        let shared = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = shared.clone();
                // A client that was killed is none of our trouble.
                thread::spawn(move || drop(serve(stream, server, &state)));
            }
        });
        Self { address, state }
    }

    /// Spoils the next `times` requests that fit.
    pub fn spoil(&self, times: u32, fault: Fault, fits: impl Fn(&Seen) -> bool + Send + 'static) {
        self.state.0.lock().unwrap().rules.push((Box::new(fits), times, fault));
    }

    /// Spoils nothing any more.
    pub fn relent(&self) {
        self.state.0.lock().unwrap().rules.clear();
    }

    /// All requests so far, in the order in which they were answered.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.0.lock().unwrap().seen.clone()
    }

    /// Waits for a request that fits; half a minute at most.
    #[track_caller]
    pub fn wait_for(&self, fits: impl Fn(&Seen) -> bool) {
        let state = self.state.0.lock().unwrap();
        let waiting = |state: &mut State| !state.seen.iter().any(&fits);
        let (state, waited) = self.state.1.wait_timeout_while(state, Duration::from_secs(30), waiting).unwrap();
        assert!(!waited.timed_out(), "no such request came by: {:#?}", state.seen);
    }
}

fn serve(mut client: TcpStream, server: SocketAddr, state: &(Mutex<State>, Condvar)) -> io::Result<()> {
    let Some(request) = Message::request(&mut client)? else { return Ok(()) };
    let mut begin = request.head.split(' ').map(str::to_owned);
    let mut seen = Seen {
        method: begin.next().unwrap_or_default(),
        path: begin.next().unwrap_or_default(),
        range: request.header("range").map(str::to_owned),
        bytes: request.body.len(),
        status: None,
        fault: None,
    };
    seen.fault = {
        let mut state = state.0.lock().unwrap();
        let rule = state.rules.iter_mut().find(|(fits, times, _)| *times > 0 && fits(&seen));
        rule.map(|(_, times, fault)| {
            *times -= 1;
            *fault
        })
    };
    // Headers of one hop: each of ours has one request.
    let hop = |line: &&str| !line.to_lowercase().starts_with("connection:");
    let head: Vec<&str> = request.head.trim_end().lines().filter(hop).collect();
    let head = head.join("\r\n") + "\r\nconnection: close\r\n\r\n";
    let pass_on = || Message::answer(server, &head, &request.body);
    let answer = match seen.fault {
        Some(Fault::Status(status)) => {
            let body = format!("<Error><Code>Spoilt</Code><Message>status {status} was asked for</Message></Error>");
            let length = body.len();
            let head = format!("HTTP/1.1 {status} Spoilt\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
            Some(Message { head, body: body.into_bytes() })
        }
        Some(Fault::Stall) => None,
        Some(Fault::Mute) => {
            pass_on()?;
            None
        }
        Some(Fault::Cut) => pass_on().map(|Message { head, mut body }| {
            body.truncate(body.len() / 2);
            Some(Message { head, body })
        })?,
        None => Some(pass_on()?),
    };
    seen.status = answer.as_ref().map(Message::status);
    {
        let mut state = state.0.lock().unwrap();
        state.seen.push(seen);
    }
    state.1.notify_all();
    match answer {
        Some(Message { head, body }) => {
            client.write_all(head.as_bytes())?;
            client.write_all(&body)
        }
        // Ends when the client closes its side.
        None => client.read(&mut [0]).map(|_| ()),
    }
}
