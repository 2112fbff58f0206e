//! Which machines mine: this one, or those of a cluster.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use url::Url;

use super::error::Complaint;
use super::paths::path;
use super::spec::{LOCAL, RunSpec, TlsSpec};
use crate::remote::Address;

/// Who works on a run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a plan has one of them")]
pub enum Machines {
    /// This one.
    This,
    /// The executors of a scheduler. This one does all the rest.
    Cluster {
        scheduler: Scheduler,
        tls: Option<Tls>,
        /// How long nobody may give a sign of life.
        patience: Duration,
        meeting: Meeting,
    },
}

/// Where the machines of a cluster meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meeting {
    /// In a folder that all of them see under the same path.
    Folder(PathBuf),
    /// In a folder of a store, from which each fetches what it needs.
    Store(Address),
}

impl std::str::FromStr for Meeting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match Address::parse(text) {
            None => Ok(Self::Folder(text.into())),
            Some(Ok(address)) if address.can_list() => Ok(Self::Store(address)),
            Some(Ok(_)) => Err("a web server takes no files; name s3://, gs:// or az://, or a folder".to_owned()),
            Some(Err(error)) => Err(error.to_string()),
        }
    }
}

/// As a pipeline names it.
impl fmt::Display for Meeting {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Folder(folder) => folder.display().fmt(f),
            Self::Store(address) => address.fmt(f),
        }
    }
}

/// Where a Ballista scheduler listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheduler {
    /// A name or an address, IPv6 in brackets.
    pub host: String,
    pub port: u16,
}

/// Who a process of a cluster is, and whom it believes: files of PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Its certificate, and those between that and the authority's.
    pub cert: PathBuf,
    pub key: PathBuf,
    /// The certificate of the authority that has signed those of all others.
    pub ca: PathBuf,
}

/// Ballista's own.
const PORT: u16 = 50050;

impl std::str::FromStr for Scheduler {
    type Err = String;

    /// Reads `df://host:port`, or `host:port`; the port may be left out.
    fn from_str(text: &str) -> Result<Self, String> {
        let whole = || "expected \"df://host:port\", the address of a Ballista scheduler".to_owned();
        let address = text.strip_prefix("df://").unwrap_or(text);
        let url = Url::parse(&format!("df://{address}")).map_err(|_| whole())?;
        let bare = url.path().is_empty() && url.query().is_none() && url.fragment().is_none();
        let anonymous = url.username().is_empty() && url.password().is_none();
        match url.host_str().filter(|host| !host.is_empty() && bare && anonymous) {
            Some(host) => Ok(Self { host: host.to_owned(), port: url.port().unwrap_or(PORT) }),
            None => Err(whole()),
        }
    }
}

/// As a pipeline names it.
impl fmt::Display for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "df://{}:{}", self.host, self.port)
    }
}

/// For file systems whose news takes a minute to come round, and machines that are only just started.
const PATIENCE: u32 = 120;

/// Who works on a run; paths are relative to `base`.
pub(super) fn machines(run: &RunSpec, base: &Path) -> Result<Machines, Complaint> {
    if run.engine == LOCAL {
        let (patience, tls) = (run.patience.is_some(), run.tls.is_some());
        if let Some((key, _)) = [("run.patience", patience), ("run.tls", tls)].into_iter().find(|(_, given)| *given) {
            return Err(Complaint::of_key(key, "is of a cluster, and run.engine names none"));
        }
        if Address::parse(&run.work).is_some() {
            let message = "is a URL, where the machines of a cluster meet, and run.engine names none; expected a folder of this machine";
            return Err(Complaint::new("run.work", message));
        }
        return Ok(Machines::This);
    }
    if !run.engine.starts_with("df://") {
        let message = "expected \"local\", or \"df://host:port\", the address of a Ballista scheduler";
        return Err(Complaint::new("run.engine", message));
    }
    let scheduler = run.engine.parse().map_err(|expected| Complaint::new("run.engine", expected))?;
    if !cfg!(feature = "cluster") {
        let message = "this build of the miner works on one machine; install it with \
            `cargo install --path . --locked --features cluster`, on all machines of the cluster";
        return Err(Complaint::new("run.engine", message));
    }
    let meeting = match run.work.parse().map_err(|message| Complaint::new("run.work", message))? {
        Meeting::Folder(folder) if !folder.is_absolute() => {
            let message = "run.engine hands work to other machines; expected an absolute path, under which all of them see the same \
                folder, or the URL of a folder in a store (s3://, gs://, az://)";
            return Err(Complaint::new("run.work", message));
        }
        meeting => meeting,
    };
    let patience = match run.patience.unwrap_or(PATIENCE) {
        seconds @ 1..=86_400 => Duration::from_secs(seconds.into()),
        _ => return Err(Complaint::new("run.patience", "must be from 1 to 86,400 seconds")),
    };
    let tls = run.tls.as_ref().map(|tls| tls_of(tls, base)).transpose()?;
    Ok(Machines::Cluster { scheduler, tls, patience, meeting })
}

fn tls_of(TlsSpec { cert, key, ca }: &TlsSpec, base: &Path) -> Result<Tls, Complaint> {
    Ok(Tls {
        cert: path(base, "run.tls.cert", cert)?,
        key: path(base, "run.tls.key", key)?,
        ca: path(base, "run.tls.ca", ca)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::plan::tests::{GOOD, plan};

    #[test]
    fn an_address_has_a_host_and_perhaps_a_port() {
        for (text, host, port) in [
            ("df://a.example:4000", "a.example", 4000),
            ("df://a", "a", 50050),
            ("10.0.0.7:50051", "10.0.0.7", 50051),
            ("[::1]:7", "[::1]", 7),
        ] {
            assert_eq!(text.parse(), Ok(Scheduler { host: host.to_owned(), port }), "{text}");
        }
        for text in ["", "df://", "df://a:b", "df://a:70000", "df://u@a:1", "df://a:1/x", "http://a:1", "df://a:1?x"] {
            assert!(text.parse::<Scheduler>().is_err_and(|told| told.contains("df://host:port")), "{text}");
        }
    }
    #[test]
    fn what_a_run_says_of_machines_goes_together() {
        let told = |sets: &[&str]| plan(GOOD, sets).map(|plan| plan.run.machines);
        assert_eq!(told(&["run.engine=local"]), Ok(Machines::This));
        let engine = |engine: &str| format!("run.engine={engine}");
        for (sets, expected) in [
            (&["run.patience=9"][..], "p.toml: run.patience = 9: is of a cluster, and run.engine names none"),
            (&["run.tls.cert=a", "run.tls.key=b", "run.tls.ca=c"], "p.toml: run.tls: is of a cluster"),
            (&[&engine("ray://x")], "p.toml: run.engine = \"ray://x\": expected \"local\", or \"df://host:port\""),
            (&[&engine("df://x/y")], "p.toml: run.engine = \"df://x/y\": expected \"df://host:port\""),
            (&["run.work=s3://b/x"], "p.toml: run.work = \"s3://b/x\": is a URL, where the machines of a cluster meet"),
        ] {
            let found = told(sets).unwrap_err();
            assert!(found.starts_with(expected), "{found}");
        }
        let there = told(&[&engine("df://x"), "run.work=/w", "run.patience=9"]);
        if cfg!(feature = "cluster") {
            let scheduler = Scheduler { host: "x".to_owned(), port: PORT };
            let patience = Duration::from_secs(9);
            let meeting = Meeting::Folder("/w".into());
            assert_eq!(there, Ok(Machines::Cluster { scheduler: scheduler.clone(), tls: None, patience, meeting }));
            let stored = plan(GOOD, &[&engine("df://x"), "run.work=s3://b/x", "run.patience=9"]).unwrap().run;
            let meeting = Meeting::Store(Address::parse("s3://b/x").unwrap().unwrap());
            assert_eq!(stored.machines, Machines::Cluster { scheduler, tls: None, patience, meeting });
            assert!(!stored.work.ends_with("x"), "its own scratch lies where it would without");
            for (work, expected) in [
                ("w", "expected an absolute path"),
                ("https://h/x", "a web server takes no files"),
                ("s3://k:secret@b/x", "has a user or a password in it"),
            ] {
                let told = told(&[&engine("df://x"), &format!("run.work={work}")]).unwrap_err();
                assert!(told.contains("run.work = ") && told.contains(expected), "{told}");
            }
            let here = |set: &str| told(&[&engine("df://x"), "run.work=/w", set]);
            let certificates = here("run.tls={ cert = '/c/a.pem', key = 'k.pem', ca = '/c/ca.pem' }");
            let Ok(Machines::Cluster { tls: Some(Tls { cert, key, ca }), .. }) = certificates else {
                panic!("{certificates:?}")
            };
            assert_eq!([&cert, &ca].map(|path| path.to_str()), [Some("/c/a.pem"), Some("/c/ca.pem")]);
            assert!(key.ends_with("k.pem") && key.is_absolute(), "beside the pipeline: {}", key.display());
            let half = here("run.tls={ cert = 'a', ca = 'c' }").unwrap_err();
            assert!(half.contains("run.tls") && half.contains("missing field `key`"), "{half}");
            let empty = here("run.tls={ cert = 'a', key = '', ca = 'c' }").unwrap_err();
            assert!(empty.contains("run.tls.key") && empty.contains("is empty; expected a path"), "{empty}");
            assert!(told(&[&engine("df://x"), "run.work=/w", "run.patience=0"]).is_err());
        } else {
            assert!(there.unwrap_err().contains("cargo install --path . --locked --features cluster"));
        }
    }
}
