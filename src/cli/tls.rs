//! Certificates, as both servers of a cluster take them.

use std::path::PathBuf;

use clap::ValueHint;
use triplet_miner::config::Tls;

/// All three of them, or none.
#[derive(Debug, clap::Args)]
pub struct TlsFlags {
    /// Speak TLS: the certificate of this process (PEM); a scheduler's names its host
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires_all = ["tls_key", "tls_ca"])]
    tls_cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires_all = ["tls_cert", "tls_ca"])]
    tls_key: Option<PathBuf>,
    /// The certificate of the authority that has signed those of the cluster (PEM); others are not spoken to
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires_all = ["tls_cert", "tls_key"])]
    tls_ca: Option<PathBuf>,
}

impl TlsFlags {
    pub fn tls(&self) -> Option<Tls> {
        let Self { tls_cert, tls_key, tls_ca } = self;
        Some(Tls { cert: tls_cert.clone()?, key: tls_key.clone()?, ca: tls_ca.clone()? })
    }
}
