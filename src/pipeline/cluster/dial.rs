//! Connections to a scheduler.

use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tonic::Status;
use tonic::codegen::Service;
use tonic::codegen::http::Uri;
use tonic::transport::{Channel, Endpoint};

use crate::config::Scheduler;

/// How to reach a scheduler.
#[derive(Debug, Clone)]
pub struct Dial {
    scheduler: Scheduler,
}

/// Why a scheduler cannot be spoken to.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// Nobody listens, or nobody is reached.
    #[error("{0}")]
    Away(String),
    #[error(
        "what listens there is no scheduler of this miner ({0}); is the address right, and is it of the same version?"
    )]
    Stranger(String),
}

/// For a machine to say that it listens.
const CONNECT: Duration = Duration::from_secs(5);

impl Dial {
    pub fn new(scheduler: &Scheduler) -> Self {
        Self { scheduler: scheduler.clone() }
    }

    /// A connection, on which an answer may take so long.
    ///
    /// # Errors
    /// When there is none.
    pub async fn channel(&self, answer: Duration) -> Result<Channel, DialError> {
        let Scheduler { host, port } = &self.scheduler;
        let endpoint = Endpoint::from_shared(format!("http://{host}:{port}")).map_err(|error| DialError::of(&error))?;
        let connected = endpoint.timeout(answer).connect_with_connector(self.clone()).await;
        connected.map_err(|error| DialError::of(&error))
    }

    async fn open(self) -> Result<TokioIo<TcpStream>, Unreached> {
        let Scheduler { host, port } = &self.scheduler;
        let connect = TcpStream::connect((host.trim_matches(['[', ']']), *port));
        let stream = tokio::time::timeout(CONNECT, connect).await.map_err(|_| io::ErrorKind::TimedOut.into());
        let stream = stream.flatten().map_err(Unreached)?;
        stream.set_nodelay(true).map_err(Unreached)?;
        Ok(TokioIo::new(stream))
    }
}

impl Service<Uri> for Dial {
    type Response = TokioIo<TcpStream>;
    type Error = Unreached;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        Box::pin(self.clone().open())
    }
}

/// There was no connection.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreached(io::Error);

impl DialError {
    /// What lies below a chain of errors that say the same again and again.
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        let chain = || std::iter::successors(Some(error), |&error| error.source());
        match chain().find_map(|error| error.downcast_ref::<Unreached>()) {
            Some(unreached) => Self::Away(unreached.to_string()),
            None => Self::Stranger(chain().last().map_or_else(String::new, ToString::to_string)),
        }
    }

    /// A call that failed: what its scheduler said, or why none said anything.
    pub fn of_call(status: Status) -> anyhow::Error {
        match status.source() {
            Some(source) => Self::of(source).into(),
            None => anyhow::anyhow!("{}", status.message()),
        }
    }
}
