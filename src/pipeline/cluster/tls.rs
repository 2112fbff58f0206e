//! Who the processes of a cluster are to each other: each shows a certificate, and speaks to those alone that show one of the same
//! authority.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::config::Tls;

/// Certificates that nobody can work with.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{}: cannot be read: {why}; expected a file of PEM that holds {expected}", .path.display())]
    Unread { path: PathBuf, expected: &'static str, why: String },
    #[error("{}: {why}; expected {expected}", .path.display())]
    Unfit { path: PathBuf, expected: &'static str, why: String },
}

const CERT: &str = "a certificate, and those of the authorities between it and the one of all";
const KEY: &str = "the private key of the certificate, without a password";
const CA: &str = "the certificate of the authority that has signed all others";

/// Both ends are of this program: HTTP/2 for calls, HTTP/1.1 for whoever looks with a client of his own.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What the files of a process hold.
struct Papers {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    roots: Arc<RootCertStore>,
}

impl Papers {
    fn read(tls: &Tls) -> Result<Self, TlsError> {
        let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| unread(&tls.key, KEY, error))?;
        let mut roots = RootCertStore::empty();
        for authority in certificates(&tls.ca, CA)? {
            let unfit = |why: String| TlsError::Unfit { path: tls.ca.clone(), expected: CA, why };
            roots.add(authority).map_err(|error| unfit(error.to_string()))?;
        }
        Ok(Self { chain: certificates(&tls.cert, CERT)?, key, roots: Arc::new(roots) })
    }
}

fn certificates(path: &Path, expected: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match all {
        Ok(all) if all.is_empty() => Err(unread(path, expected, pem::Error::NoItemsFound)),
        all => all.map_err(|error| unread(path, expected, error)),
    }
}

/// Without what is in the file: it may be a key.
fn unread(path: &Path, expected: &'static str, error: pem::Error) -> TlsError {
    let why = match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "there is none in it".to_owned(),
        _ => "it is damaged".to_owned(),
    };
    TlsError::Unread { path: path.to_owned(), expected, why }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// What a scheduler speaks: to nobody who shows no certificate.
///
/// # Errors
/// When the files cannot be read, or do not go together.
pub fn acceptor(tls: &Tls) -> Result<TlsAcceptor, TlsError> {
    let Papers { chain, key, roots } = Papers::read(tls)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build();
    let verifier =
        verifier.map_err(|error| TlsError::Unfit { path: tls.ca.clone(), expected: CA, why: error.to_string() })?;
    let config = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13]);
    let config = config.and_then(|config| config.with_client_cert_verifier(verifier).with_single_cert(chain, key));
    let mut config = config.map_err(|error| mismatch(tls, &error))?;
    config.alpn_protocols = PROTOCOLS.map(Vec::from).to_vec();
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// What everybody else speaks, to a scheduler.
///
/// # Errors
/// When the files cannot be read, or do not go together.
pub fn connector(tls: &Tls) -> Result<TlsConnector, TlsError> {
    let Papers { chain, key, roots } = Papers::read(tls)?;
    let config = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13]);
    let config = config.and_then(|config| config.with_root_certificates(roots).with_client_auth_cert(chain, key));
    let mut config = config.map_err(|error| mismatch(tls, &error))?;
    config.alpn_protocols = vec![PROTOCOLS[0].to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

fn mismatch(tls: &Tls, error: &tokio_rustls::rustls::Error) -> TlsError {
    TlsError::Unfit { path: tls.key.clone(), expected: KEY, why: error.to_string() }
}

/// One that believes nobody: enough to find out that the other side speaks TLS.
pub fn stranger() -> Option<TlsConnector> {
    let config = ClientConfig::builder_with_provider(provider()).with_protocol_versions(&[&TLS13]).ok()?;
    let config = config.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    Some(TlsConnector::from(Arc::new(config)))
}
