//! Connections to a scheduler, in the clear or in TLS.

use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::anyhow;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{self, pki_types::ServerName};
use tonic::Status;
use tonic::codegen::Service;
use tonic::codegen::http::Uri;
use tonic::transport::{Channel, Endpoint};

use super::tls::{self, TlsError};
use crate::config::{Scheduler, Tls};

/// How to reach a scheduler.
#[derive(Clone)]
pub struct Dial {
    scheduler: Scheduler,
    tls: Option<TlsConnector>,
}

/// Why a scheduler cannot be spoken to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// Nobody listens, or nobody is reached.
    #[error("{0}")]
    Away(String),
    #[error(
        "what listens there is no scheduler of this miner ({0}); is the address right, and is it of the same version?"
    )]
    Stranger(String),
    #[error(
        "the scheduler speaks TLS alone; name certificates: run.tls in a pipeline, --tls-cert, --tls-key and --tls-ca of an executor"
    )]
    Secret,
    #[error(
        "what listens there speaks no TLS; start the scheduler with --tls-cert, --tls-key and --tls-ca, or name no certificates here"
    )]
    Open,
    #[error(
        "the scheduler does not take the certificate that is shown here ({0}); expected one that the authority of its --tls-ca has signed"
    )]
    Unwelcome(String),
    #[error(
        "the certificate of what listens there is not believed ({0}); expected one for this host that the authority named here has signed"
    )]
    Doubtful(String),
}

/// For a machine to say that it listens, and who it is.
const CONNECT: Duration = Duration::from_secs(5);
/// Between two looks at whether a connection that nothing comes from is one.
const ALIVE: Duration = Duration::from_secs(60);

impl Dial {
    /// # Errors
    /// When the files of certificates cannot be used.
    pub fn new(scheduler: &Scheduler, tls: Option<&Tls>) -> Result<Self, TlsError> {
        Ok(Self { scheduler: scheduler.clone(), tls: tls.map(tls::connector).transpose()? })
    }

    /// A connection, on which an answer may take so long; it is made anew where it breaks.
    ///
    /// # Errors
    /// When there is none.
    pub async fn channel(&self, answer: Duration) -> Result<Channel, DialError> {
        let Scheduler { host, port } = &self.scheduler;
        let endpoint = Endpoint::from_shared(format!("http://{host}:{port}")).map_err(|error| DialError::of(&error))?;
        let endpoint = endpoint.timeout(answer).http2_keep_alive_interval(ALIVE).keep_alive_while_idle(true);
        endpoint.connect_with_connector(self.clone()).await.map_err(|error| DialError::of(&error))
    }

    async fn open(self) -> Result<Stream, Unreached> {
        match tokio::time::timeout(CONNECT, self.greet()).await {
            Ok(greeted) => greeted,
            Err(_) => Err(Unreached(DialError::Away(format!("no answer within {CONNECT:?}")))),
        }
    }

    async fn greet(&self) -> Result<Stream, Unreached> {
        let stream = self.reach().await.map_err(|error| Unreached(DialError::Away(error.to_string())))?;
        Ok(TokioIo::new(match &self.tls {
            None => Box::new(stream),
            Some(tls) => {
                let stream = tls.connect(self.name()?, stream).await;
                Box::new(stream.map_err(|error| Unreached(DialError::of_greeting(&error)))?)
            }
        }))
    }

    fn host(&self) -> &str {
        self.scheduler.host.trim_matches(['[', ']'])
    }

    fn name(&self) -> Result<ServerName<'static>, Unreached> {
        let name = ServerName::try_from(self.host().to_owned());
        name.map_err(|_| Unreached(DialError::Doubtful(format!("{} is no name of a host", self.host()))))
    }

    async fn reach(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect((self.host(), self.scheduler.port)).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// The same error, or what lies behind it: who is spoken to in the clear cannot say that it waits for TLS, and the word of one who
    /// hangs up may be lost with the call.
    pub async fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let Some(DialError::Stranger(_)) = error.downcast_ref() else { return error };
        let known = match &self.tls {
            None => self.is_secret().await.then_some(DialError::Secret),
            Some(_) => tokio::time::timeout(CONNECT, self.refusal()).await.ok().flatten(),
        };
        known.map_or(error, Into::into)
    }

    /// What is said to whoever shows this certificate and says nothing: to one who is let in, nothing.
    async fn refusal(&self) -> Option<DialError> {
        let mut stream = self.greet().await.ok()?.into_inner();
        match of_rustls(&stream.read(&mut [0]).await.err()?)? {
            rustls::Error::AlertReceived(alert) => Some(DialError::Unwelcome(format!("{alert:?}"))),
            _ => None,
        }
    }

    async fn is_secret(&self) -> bool {
        let greet = async {
            let (stream, name) = (self.reach().await.ok()?, self.name().ok()?);
            tls::stranger()?.connect(name, stream).await.err()
        };
        let greeted = tokio::time::timeout(CONNECT, greet).await.ok().flatten();
        greeted.as_ref().and_then(of_rustls).is_some_and(|error| matches!(error, rustls::Error::InvalidCertificate(_)))
    }
}

/// What goes to and fro.
type Stream = TokioIo<Box<dyn Flow>>;

/// Whatever it goes through.
pub trait Flow: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Flow for T {}

impl Service<Uri> for Dial {
    type Response = Stream;
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
pub struct Unreached(DialError);

/// What TLS has to say, out of what tokio made of it.
fn of_rustls(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// Precedes what the other side says before it hangs up, in an error that others have made a text of.
const ALERT: &str = "received fatal alert: ";

impl DialError {
    /// What lies below a chain of errors that say the same again and again.
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        let chain = || std::iter::successors(Some(error), |&error| error.source());
        if let Some(Unreached(known)) = chain().find_map(|error| error.downcast_ref()) {
            return known.clone();
        }
        let said = chain().last().map_or_else(String::new, ToString::to_string);
        // In TLS 1.3 a certificate is looked at after the greeting.
        match said.split_once(ALERT) {
            Some((_, alert)) => Self::Unwelcome(alert.to_owned()),
            None => Self::Stranger(said),
        }
    }

    fn of_greeting(error: &io::Error) -> Self {
        match of_rustls(error) {
            Some(rustls::Error::InvalidCertificate(why)) => Self::Doubtful(why.to_string()),
            Some(rustls::Error::AlertReceived(alert)) => Self::Unwelcome(format!("{alert:?}")),
            Some(rustls::Error::InvalidMessage(_)) => Self::Open,
            // An end without a word.
            _ if error.kind() == io::ErrorKind::UnexpectedEof => Self::Open,
            _ => Self::Stranger(error.to_string()),
        }
    }

    /// A call that failed: what its scheduler said, or why none said anything.
    pub fn of_call(status: Status) -> anyhow::Error {
        match status.source() {
            Some(source) => Self::of(source).into(),
            None => anyhow!("{}", status.message()),
        }
    }

    /// Whether time changes nothing about it.
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Away(_) | Self::Stranger(_))
    }
}
