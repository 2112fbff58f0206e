//! Exit status and message of a failure.

use std::error::Error;
use std::process::ExitCode;

use triplet_miner::config::{ConfigError, Named};
use triplet_miner::manifest::{
    ColumnsError, DestinationError, DiffError, EarlierError, LoadError, Obstacle, SealError,
};
#[cfg(feature = "cluster")]
use triplet_miner::pipeline::TlsError;
use triplet_miner::pipeline::{
    CopyError, Interrupted, NoWorkFolder, SeveralLabels, TooFewClasses, TooLittleMemory, UploadError, Veiled,
};
use triplet_miner::remote::{AddressError, Fault, RemoteError};
use triplet_miner::report::ReportError;
use triplet_miner::store::{FitError, InspectError, PrepareError, SurveyError};
use triplet_miner::words::{visible, without_credentials};

use super::signals;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Done = 0,
    /// Something failed on the way.
    Failed = 1,
    /// The pipeline or the command line is wrong.
    Wrong = 2,
    /// The data was refused.
    Refused = 3,
    /// By a signal; the status says which.
    Interrupted,
}

impl Status {
    /// As the process exits with it.
    pub fn code(self) -> u8 {
        match self {
            Self::Interrupted => signals::status(),
            status => status as u8,
        }
    }

    /// Told by the innermost error that a status belongs to, whatever context was put around it.
    pub fn of(error: &anyhow::Error) -> Self {
        if let Some(veiled) = error.downcast_ref::<Veiled>() {
            return Self::of(veiled.bare());
        }
        let known = |cause: &(dyn Error + 'static)| match cause {
            c if c.is::<Interrupted>() => Some(Self::Interrupted),
            c if c.is::<ConfigError>() || c.is::<SeveralLabels>() => Some(Self::Wrong),
            c if c.is::<TooLittleMemory>() || c.is::<TooFewClasses>() || c.is::<NoWorkFolder>() => Some(Self::Wrong),
            #[cfg(feature = "cluster")]
            c if c.is::<TlsError>() => Some(Self::Wrong),
            c if c.is::<SurveyError>() || c.is::<InspectError>() => Some(Self::Refused),
            c if c.is::<ColumnsError>() => Some(Self::Wrong),
            c if c.is::<DestinationError>() => c.downcast_ref().map(of_destination),
            c if c.is::<SealError>() => match c.downcast_ref()? {
                SealError::Destination(error) => Some(of_destination(error)),
                _ => Some(Self::Failed),
            },
            c if c.is::<UploadError>() => match c.downcast_ref()? {
                UploadError::Destination(error) => Some(of_destination(error)),
                UploadError::Remote(error) => of_store(error),
                _ => None,
            },
            c if c.is::<AddressError>() => Some(Self::Wrong),
            c if c.is::<RemoteError>() => c.downcast_ref().and_then(of_store),
            c if c.is::<Refusal>() => c.downcast_ref().map(|refusal: &Refusal| refusal.status),
            c if c.is::<LoadError>() => c.downcast_ref().map(of_manifest),
            c if c.is::<ReportError>() => match c.downcast_ref()? {
                ReportError::Absent(_) | ReportError::Malformed { .. } | ReportError::NotAReport { .. } => {
                    Some(Self::Refused)
                }
                ReportError::Io { .. } | ReportError::Figure(_) => Some(Self::Failed),
            },
            c if c.is::<CopyError>() => match c.downcast_ref::<CopyError>()? {
                CopyError::Remote(error) => of_store(error),
                CopyError::Io { .. } | CopyError::NoRoom { .. } | CopyError::Folder { .. } => None,
                _ => Some(Self::Refused),
            },
            c if c.is::<EarlierError>() => c.downcast_ref().map(of_earlier),
            c if c.is::<DiffError>() => match c.downcast_ref()? {
                DiffError::Earlier(error) => Some(of_earlier(error)),
                DiffError::IdsDiffer { .. } | DiffError::NotComparable { .. } => Some(Self::Refused),
                DiffError::Sort(_) | DiffError::Arrow(_) => Some(Self::Failed),
            },
            // A full disk is no fault of the data.
            c if c.is::<FitError>() => match c.downcast_ref::<FitError>()? {
                FitError::Write(_) | FitError::Open(_) => Some(Self::Failed),
                _ => Some(Self::Refused),
            },
            c => match c.downcast_ref::<PrepareError>()? {
                PrepareError::Write(_) => Some(Self::Failed),
                _ => Some(Self::Refused),
            },
        };
        match error.chain().filter_map(known).last().unwrap_or(Self::Failed) {
            // Data that could not be read was not refused.
            Self::Refused if error.chain().any(is_of_the_system) => Self::Failed,
            status => status,
        }
    }
}

/// Whether the system could not do what it was asked to, and may be able to another time. That something is not there, or is
/// something else, will not change by itself.
fn is_of_the_system(error: &(dyn Error + 'static)) -> bool {
    use std::io::{self, ErrorKind};

    let lasts = |kind| {
        matches!(
            kind,
            ErrorKind::NotFound
                | ErrorKind::IsADirectory
                | ErrorKind::NotADirectory
                | ErrorKind::InvalidInput
                | ErrorKind::InvalidFilename
        )
    };
    error.downcast_ref::<io::Error>().is_some_and(|error| error.raw_os_error().is_some() && !lasts(error.kind()))
}

/// An output that was to be read.
fn of_earlier(error: &EarlierError) -> Status {
    match error {
        EarlierError::Load(error) => of_manifest(error),
        _ => Status::Refused,
    }
}

/// The manifest of an output that was to be read.
fn of_manifest(error: &LoadError) -> Status {
    match error {
        LoadError::Io { .. } => Status::Failed,
        _ => Status::Refused,
    }
}

/// The place of an output that was to be written: another one, or leave to replace what is there, is for a person to give.
fn of_destination(DestinationError { obstacle, .. }: &DestinationError) -> Status {
    match obstacle {
        Obstacle::Io(_) => Status::Failed,
        Obstacle::Occupied(_) | Obstacle::Foreign(_) | Obstacle::NotAFolder(_) => Status::Wrong,
    }
}

/// What went wrong with a store: none where the same command may do better the next time.
fn of_store(RemoteError { fault, .. }: &RemoteError) -> Option<Status> {
    match fault {
        Fault::NoBucket(..) | Fault::NoCredentials(_) | Fault::Forbidden { .. } | Fault::Settings { .. } => {
            Some(Status::Wrong)
        }
        Fault::CannotList | Fault::NoRanges | Fault::TooMany(_) => Some(Status::Wrong),
        Fault::Missing(_) | Fault::Changed | Fault::TooLarge { .. } => Some(Status::Refused),
        Fault::Unreachable { .. } | Fault::Cut | Fault::Server { .. } | Fault::Io { .. } => None,
    }
}

/// What a command finds wrong itself.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    status: Status,
    message: String,
}

/// The command line is wrong.
pub fn wrong(message: impl Into<String>) -> anyhow::Error {
    Refusal { status: Status::Wrong, message: message.into() }.into()
}

/// The data cannot serve.
pub fn refused(message: impl Into<String>) -> anyhow::Error {
    Refusal { status: Status::Refused, message: message.into() }.into()
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status.code())
    }
}

/// The error and its causes in one line, unless one of them has a layout of its own. A cause is left out where the error above it has
/// quoted it already.
pub fn message(error: &anyhow::Error) -> String {
    let (mut told, mut message) = (Vec::<String>::new(), String::new());
    for cause in error.chain() {
        let text = cause.to_string();
        if told.iter().any(|told| told.contains(&text)) {
            continue;
        }
        if !message.is_empty() {
            message += ": ";
        }
        message += &if has_lines(cause) { text.clone() } else { visible(&text).to_string() };
        told.push(text);
    }
    let message = without_credentials(&message).into_owned();
    // However deep in another library it was met, the system's number is in its text.
    match FULL.iter().any(|number| message.contains(&format!("(os error {number})"))) {
        true => message + "; make room, and run the same command again",
        false => message,
    }
}

/// Whether an error is told in several lines. These make the words of a store visible.
fn has_lines(error: &(dyn Error + 'static)) -> bool {
    if let Some(veiled) = error.downcast_ref::<Veiled>() {
        return veiled.bare().chain().any(has_lines);
    }
    matches!(error.downcast_ref(), Some(PrepareError::BadRows(_)))
}

/// What to show below the message of an error in a pipeline: where it is.
pub fn excerpt(error: &anyhow::Error) -> Option<&str> {
    if let Some(veiled) = error.downcast_ref::<Veiled>() {
        return excerpt(veiled.bare());
    }
    error.chain().find_map(|cause| {
        let of_key = match cause.downcast_ref() {
            Some(ConfigError::Key(error)) => error.excerpt.as_deref(),
            Some(ConfigError::Syntax { excerpt, .. }) => excerpt.as_deref(),
            _ => None,
        };
        let of_input = || cause.downcast_ref::<Named>()?.excerpt.as_deref();
        let of_labels = || cause.downcast_ref::<SeveralLabels>()?.excerpt.as_deref();
        of_key
            .or_else(of_input)
            .or_else(of_labels)
            .or_else(|| cause.downcast_ref::<TooFewClasses>()?.excerpt.as_deref())
    })
}

/// No space left, a quota that is used up, and a file that may not grow: of Linux, but the first is the same elsewhere.
const FULL: [u8; 3] = [28, 122, 27];

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::PathBuf;

    use anyhow::Context;

    use super::*;

    fn unreadable() -> ConfigError {
        ConfigError::Read { file: PathBuf::from("a.toml"), source: io::ErrorKind::NotFound.into() }
    }

    #[test]
    fn the_kind_of_error_decides_the_status_through_any_context() {
        let wrapped = |error: anyhow::Error| Status::of(&error.context("while trying"));
        assert_eq!(wrapped(unreadable().into()), Status::Wrong);
        assert_eq!(wrapped(Interrupted.into()), Status::Interrupted);
        assert_eq!(wrapped(io::Error::other("disk full").into()), Status::Failed);
        assert_eq!([wrapped(wrong("x")), wrapped(refused("x"))], [Status::Wrong, Status::Refused]);
        let in_the_way = |obstacle| DestinationError { path: PathBuf::from("out"), obstacle };
        let another = || in_the_way(Obstacle::Occupied("another output".to_owned()));
        assert_eq!(wrapped(another().into()), Status::Wrong);
        assert_eq!(wrapped(SealError::from(another()).into()), Status::Wrong);
        assert_eq!(wrapped(in_the_way(Obstacle::Io(io::Error::other("disk full"))).into()), Status::Failed);
        let unread = |number| {
            let source = io::Error::from_raw_os_error(number);
            SurveyError::Io { path: PathBuf::from("a.parquet"), source }
        };
        // A disk that fails, no rights; no such file.
        let [failed, forbidden, absent] = [5, 13, 2].map(|number| wrapped(unread(number).into()));
        assert_eq!([failed, forbidden, absent], [Status::Failed, Status::Failed, Status::Refused]);
        for output in [LoadError::Absent(PathBuf::from("out")).into(), ReportError::Absent(PathBuf::from("out")).into()]
        {
            assert_eq!(wrapped(output), Status::Refused);
        }
    }

    #[test]
    fn a_cause_is_told_once() {
        let quoted: anyhow::Error = unreadable().into();
        assert_eq!(message(&quoted), quoted.to_string());
        let unquoted = Err::<(), _>(io::Error::other("disk full")).context("out: cannot write").unwrap_err();
        assert_eq!(message(&unquoted), "out: cannot write: disk full");
        let forged = Err::<(), _>(io::Error::other("a\nerror: b\u{1b}[2J")).context("x\ny").unwrap_err();
        assert_eq!(message(&forged), r"x\ny: a\nerror: b\u{1b}[2J");
        let full = message(&anyhow::Error::from(io::Error::from_raw_os_error(28)));
        assert!(full.ends_with("; make room, and run the same command again"), "{full}");
    }
}
