//! The port of a scheduler that speaks TLS: whoever has not shown a certificate reaches nothing behind it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A port, and those who are on their way in.
pub struct TlsListener {
    port: TcpListener,
    acceptor: TlsAcceptor,
    /// Each on a task of its own, as one may take its time.
    greeted: JoinSet<Option<(TlsStream<TcpStream>, SocketAddr)>>,
}

/// To show a certificate.
const GREETING: Duration = Duration::from_secs(10);
/// Those who are on their way in, at most; others wait outside.
const GREETED: usize = 256;
/// When there are no more files to open, some are closed meanwhile.
const MOMENT: Duration = Duration::from_millis(500);

impl TlsListener {
    pub fn new(port: TcpListener, acceptor: TlsAcceptor) -> Self {
        Self { port, acceptor, greeted: JoinSet::new() }
    }

    fn greet(&mut self, stream: TcpStream, address: SocketAddr) {
        let acceptor = self.acceptor.clone();
        self.greeted.spawn(async move {
            stream.set_nodelay(true).ok()?;
            // Who is sent away learns why; it is of no interest here.
            let greeted = tokio::time::timeout(GREETING, acceptor.accept(stream)).await.ok()?.ok()?;
            Some((greeted, address))
        });
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            tokio::select! {
                Some(greeted) = self.greeted.join_next() => {
                    if let Ok(Some(greeted)) = greeted {
                        return greeted;
                    }
                }
                came = self.port.accept(), if self.greeted.len() < GREETED => match came {
                    Ok((stream, address)) => self.greet(stream, address),
                    Err(_) => tokio::time::sleep(MOMENT).await,
                },
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.port.local_addr()
    }
}
