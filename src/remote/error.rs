//! What went wrong with a store, in words that say what to do about it.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use object_store::client::{HttpError, HttpErrorKind};

use super::address::Kind;
use crate::words::{thousands, without_credentials};

/// Something could not be done with what lies under an address.
#[derive(Debug, thiserror::Error)]
#[error("{url}: cannot be {act}: {fault}")]
pub struct RemoteError {
    /// Without its secrets.
    pub url: String,
    /// `listed`, `fetched`, …
    pub act: &'static str,
    pub fault: Fault,
}

impl RemoteError {
    /// Whether the same may go better later.
    pub fn may_pass(&self) -> bool {
        self.fault.may_pass()
    }
}

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("there is no such {0}")]
    Missing(&'static str),
    #[error("there is no such {0}; check its name{1}")]
    NoBucket(&'static str, &'static str),
    #[error("no credentials were found; {0}")]
    NoCredentials(&'static str),
    #[error("the store refuses it ({found}); {needs}{cure}")]
    Forbidden { found: String, needs: &'static str, cure: &'static str },
    /// What the environment says of the store is wrong, or is missing.
    #[error("{found}; {cure}")]
    Settings { found: String, cure: String },
    #[error("it has changed since it was listed; run the same command again")]
    Changed,
    #[error("a web server does not list; name a single file, or copy the folder to a store that does")]
    CannotList,
    #[error("the server cannot send a part of a file (HTTP ranges); copy the file here and name the copy")]
    NoRanges,
    #[error("its size is {found} bytes, and at most {most} are expected")]
    TooLarge { found: u64, most: u64 },
    #[error("it holds more than {} objects; name a deeper folder", thousands(*.0 as u64))]
    TooMany(usize),
    #[error("{found}{}; {cure}", tried(*.tries))]
    Unreachable { found: String, tries: usize, cure: String },
    #[error("the body ended early")]
    Cut,
    #[error("{found}{}", tried(*.tries))]
    Server { found: String, tries: usize },
    #[error("{}: {source}", .path.display())]
    Io { path: PathBuf, source: io::Error },
}

fn tried(tries: usize) -> String {
    if tries > 1 { format!(" ({tries} tries)") } else { String::new() }
}

impl Fault {
    /// Whether the next try may go better.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Cut | Self::Server { .. })
    }

    /// Whether the next try may go better, and the store's client has made none itself: it does not begin again where a body ended
    /// early, nor send twice what two must not do.
    pub(super) fn is_worth_another(&self) -> bool {
        match self {
            Self::Cut => true,
            Self::Unreachable { tries, .. } | Self::Server { tries, .. } => *tries == 1,
            _ => false,
        }
    }

    pub(super) fn of(kind: Kind, error: &object_store::Error) -> Self {
        use object_store::Error as E;

        let causes = causes(error);
        let says = |words: &[&str]| words.iter().any(|word| causes.iter().any(|cause| cause.contains(word)));
        if says(&METADATA) {
            return Self::NoCredentials(kind.credentials());
        }
        match error {
            _ if says(&["NoSuchBucket", "specified bucket does not exist"]) => {
                Self::NoBucket("bucket", if kind == Kind::S3 { ", AWS_REGION and AWS_ENDPOINT_URL" } else { "" })
            }
            _ if says(&["ContainerNotFound"]) => Self::NoBucket("container", ""),
            E::NotFound { .. } => Self::Missing(kind.object()),
            E::Precondition { .. } | E::NotModified { .. } => Self::Changed,
            E::PermissionDenied { .. } | E::Unauthenticated { .. } => Self::forbidden(kind, &causes),
            // Of lists the client does not tell it apart.
            _ if ["401 ", "403 "].iter().any(|status| answer(&causes).starts_with(status)) => {
                Self::forbidden(kind, &causes)
            }
            _ if says(&["Range request not supported", "non-partial response"]) => Self::NoRanges,
            _ if says(&["incorrectly configured region", "AuthorizationHeaderMalformed"]) => Self::Settings {
                found: "the bucket is in another region".to_owned(),
                cure: "set AWS_REGION to it".to_owned(),
            },
            _ => Self::by_transport(kind, error, &causes),
        }
    }

    /// Of a store that could not be set up.
    pub(super) fn of_settings(kind: Kind, error: &object_store::Error) -> Self {
        let cure = format!("see to the environment variables that begin with {}_", kind.prefix());
        Self::Settings { found: root(&causes(error)), cure }
    }

    fn forbidden(kind: Kind, causes: &[String]) -> Self {
        Self::Forbidden { found: answer(causes), needs: kind.needs(), cure: kind.credentials() }
    }

    /// By what happened on the way.
    fn by_transport(kind: Kind, error: &object_store::Error, causes: &[String]) -> Self {
        let (found, tries) = (root(causes), tries(causes));
        let says = |word: &str| causes.iter().any(|cause| cause.contains(word));
        let prefix = kind.prefix();
        let check = || match kind {
            Kind::S3 => "check AWS_ENDPOINT_URL, AWS_REGION and the network".to_owned(),
            Kind::Http => "check the URL and the network".to_owned(),
            Kind::Google | Kind::Azure => "check the network".to_owned(),
        };
        let unreachable = |found: String, cure: String| Self::Unreachable { found, tries, cure };
        let http = chain(error).find_map(|cause| cause.downcast_ref::<HttpError>());
        match http.map(HttpError::kind) {
            _ if says("scheme is not allowed") => Self::Settings {
                found: "the store's endpoint is not encrypted (http)".to_owned(),
                cure: format!("set {prefix}_ALLOW_HTTP=true where that is meant"),
            },
            _ if says("certificate") => unreachable(
                format!("the server's certificate is not trusted: {found}"),
                "let SSL_CERT_FILE name the certificate of its authority".to_owned(),
            ),
            _ if says("dns error") => unreachable(format!("there is no such host: {found}"), check()),
            Some(HttpErrorKind::Timeout) => unreachable(
                "no answer came in time".to_owned(),
                format!("{}; {prefix}_TIMEOUT=120s waits longer", check()),
            ),
            Some(HttpErrorKind::Connect) => unreachable(found, check()),
            Some(_) => unreachable(found, "check the network, and run the same command again".to_owned()),
            None if says("Server returned") => Self::Server { found: answer(causes), tries },
            None => Self::Server { found, tries },
        }
    }
}

/// Where machines of a cloud ask for their own credentials: what is asked last, where no others are.
const METADATA: [&str; 4] =
    ["/latest/api/token ", "//169.254.170.2/", "/computeMetadata/v1/", "/metadata/identity/oauth2/"];

fn chain(error: &object_store::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    std::iter::from_fn(move || {
        let this = next?;
        next = this.source();
        Some(this)
    })
}

/// What each says, URLs without their signatures.
fn causes(error: &object_store::Error) -> Vec<String> {
    chain(error).map(|cause| without_credentials(&cause.to_string()).into_owned()).collect()
}

/// The innermost cause: those around it quote URLs and each other.
fn root(causes: &[String]) -> String {
    causes.last().cloned().unwrap_or_default()
}

/// What the server answered: status, and the code and message in the body. The rest of it may hold what it was asked.
fn answer(causes: &[String]) -> String {
    let told = root(causes);
    let (_, told) = told.split_once("status code: ").unwrap_or(("", &told));
    let (status, body) = told.split_once(": ").unwrap_or((told, ""));
    let tag = |name: &str| {
        let (_, after) = body.split_once(&format!("<{name}>"))?;
        Some(after.split_once("</")?.0.trim().to_owned())
    };
    let words: Vec<String> = [Some(status.to_owned()), tag("Code"), tag("Message")].into_iter().flatten().collect();
    words.join(": ")
}

/// How often it was asked.
fn tries(causes: &[String]) -> usize {
    let after = |cause: &String| cause.split_once(", after ")?.1.split(' ').next()?.parse::<usize>().ok();
    causes.iter().find_map(after).map_or(1, |again| again + 1)
}
