//! URLs of stores: `s3://bucket/path/to/object`.

use std::fmt;
use std::path::Path;

use object_store::path;
use percent_encoding::percent_decode_str;
use url::Url;

/// Where an object lies, or a folder of objects: all whose names go on from its own with a slash.
///
/// Whoever shows one, shows no secret: of the query, where signatures are, it is said only that there is one.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    scheme: String,
    kind: Kind,
    /// A bucket, a container, or a host.
    authority: String,
    /// Without the slash in front: of HTTP as the URL encodes it, elsewhere the very name of the object.
    path: String,
    /// Of HTTP.
    query: Option<String>,
}

/// What a store speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    S3,
    Google,
    Azure,
    Http,
}

/// A text that begins as a URL does names no place in a store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("no store is reached by `{0}://`; expected s3://, gs://, az://, abfs://, abfss://, https:// or http://")]
    Scheme(String),
    #[error("is a file of this machine; write its path without `file://`")]
    Local,
    #[error("is no URL, nor a path of this machine; did you mean `{0}://{1}`?")]
    Slash(String, String),
    #[error("names no {0}; expected {1}")]
    NoAuthority(&'static str, &'static str),
    #[error("has a user or a password in it, which is neither used nor kept; {0}")]
    Credentials(&'static str),
    #[error("is no URL: {0}")]
    Malformed(String),
}

impl Address {
    /// Reads a URL; a text without a scheme is a path of this machine, and none.
    pub fn parse(text: &str) -> Option<Result<Self, AddressError>> {
        let (scheme, rest) = text.split_once(":/")?;
        match rest.strip_prefix('/') {
            Some(rest) => scheme.chars().all(|c| c.is_ascii_alphanumeric()).then(|| Self::of(scheme, rest)),
            // No folder of this machine is called so.
            None => Kind::of(scheme).is_ok().then(|| Err(AddressError::Slash(scheme.to_owned(), rest.to_owned()))),
        }
    }

    /// The same of a path, as a plan has it. What is no URL, or none that is understood, is none.
    pub fn at(path: &Path) -> Option<Self> {
        Self::parse(path.to_str()?)?.ok()
    }

    fn of(scheme: &str, rest: &str) -> Result<Self, AddressError> {
        let kind = Kind::of(scheme)?;
        let (rest, query) = match rest.split_once(['?', '#']) {
            Some((place, query)) if kind == Kind::Http => (place, Some(query.to_owned())),
            _ => (rest, None),
        };
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.is_empty() {
            let (what, form) = kind.form();
            return Err(AddressError::NoAuthority(what, form));
        }
        // Azure's form is container@account.
        let user = authority.rsplit_once('@').map(|(user, _)| user);
        if user.is_some_and(|user| kind != Kind::Azure || user.contains(':')) {
            return Err(AddressError::Credentials(kind.credentials()));
        }
        let malformed = |error: &dyn fmt::Display| AddressError::Malformed(error.to_string());
        if kind != Kind::Http && (path.starts_with('/') || path.contains("//")) {
            return Err(malformed(&"a name between two slashes is empty"));
        }
        match kind {
            Kind::Http => drop(Url::parse(&format!("{scheme}://{rest}")).map_err(|error| malformed(&error))?),
            _ => drop(path::Path::parse(path).map_err(|error| malformed(&error))?),
        }
        let (scheme, authority, path) = (scheme.to_owned(), authority.to_owned(), path.to_owned());
        Ok(Self { scheme, kind, authority, path, query })
    }

    /// Without the query: the same object, whoever signed for it.
    pub fn name(&self) -> String {
        let Self { scheme, authority, path, .. } = self;
        format!("{scheme}://{authority}/{path}")
    }

    /// Whether what lies in a folder can be listed there.
    pub fn can_list(&self) -> bool {
        self.kind != Kind::Http
    }

    /// Whether it can only be a folder.
    pub fn is_folder(&self) -> bool {
        self.path.is_empty() || self.path.ends_with('/')
    }

    /// Whether its name may stand for several; of a web server, which never lists, that is a mistake.
    pub fn is_pattern(&self) -> bool {
        self.path.contains(if self.can_list() { &['*', '?', '['][..] } else { &['*'] })
    }

    /// The folder it is in, and what it is called there: `s3://b/a/x=1/y` is `x=1/y` in `s3://b/a` for `depth` 2.
    pub fn split(&self, depth: usize) -> (Self, String) {
        let path = self.path.trim_end_matches('/');
        let start = path.rmatch_indices('/').nth(depth.saturating_sub(1)).map_or(0, |(slash, _)| slash + 1);
        let (folder, name) = path.split_at(if depth == 0 { path.len() } else { start });
        let name = match self.kind {
            Kind::Http if !name.is_empty() => name.split('/').map(file_name).collect::<Vec<_>>().join("/"),
            _ => name.to_owned(),
        };
        (Self { path: folder.trim_end_matches('/').to_owned(), query: None, ..self.clone() }, name)
    }

    /// The same without what its path ends with.
    pub fn without_end(&self, end: &str) -> Self {
        Self { path: self.path.strip_suffix(end).unwrap_or(&self.path).to_owned(), ..self.clone() }
    }

    /// The names on its way, after the bucket.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.path.split('/').filter(|part| !part.is_empty())
    }

    /// What lies under a name in this folder.
    pub fn join(&self, name: &str) -> Self {
        let path = self.path.trim_end_matches('/');
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
        Self { path, ..self.clone() }
    }

    /// What this is called in a folder that it lies in, at whatever depth; nothing where it is that folder itself, or lies elsewhere.
    pub fn below(&self, folder: &Self) -> Option<&str> {
        let same = (self.kind, &self.authority) == (folder.kind, &folder.authority);
        let rest = self.path.strip_prefix(folder.path.trim_end_matches('/')).filter(|_| same)?;
        let name = if folder.path.is_empty() { rest } else { rest.strip_prefix('/')? };
        Some(name).filter(|name| !name.is_empty())
    }

    /// The same store's object of this name.
    pub(super) fn renamed(&self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self.clone() }
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Scheme and bucket.
    pub(super) fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }

    pub(super) fn bucket(&self) -> &str {
        &self.authority
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// All of it, signature included: to be sent, not to be shown.
    pub(super) fn whole(&self) -> String {
        let query = self.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        self.name() + &query
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.scheme != "http"
    }
}

/// What a file or folder of a web server is called here. Whoever encodes a slash does not say where it goes.
fn file_name(encoded: &str) -> String {
    let decoded = percent_decode_str(encoded).decode_utf8_lossy();
    match decoded.rsplit(['/', '\\']).next() {
        Some(name) if !name.is_empty() && !name.starts_with('.') && !name.contains('\0') => name.to_owned(),
        _ => "file".to_owned(),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())?;
        f.write_str(if self.query.is_some() { "?…" } else { "" })
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Kind {
    fn of(scheme: &str) -> Result<Self, AddressError> {
        match scheme {
            "s3" | "s3a" => Ok(Self::S3),
            "gs" => Ok(Self::Google),
            "az" | "azure" | "adl" | "abfs" | "abfss" => Ok(Self::Azure),
            "http" | "https" => Ok(Self::Http),
            "file" => Err(AddressError::Local),
            other => Err(AddressError::Scheme(other.to_owned())),
        }
    }

    /// What comes after the scheme, and a URL as a whole.
    fn form(self) -> (&'static str, &'static str) {
        match self {
            Self::S3 => ("bucket", "s3://BUCKET/PATH"),
            Self::Google => ("bucket", "gs://BUCKET/PATH"),
            Self::Azure => ("container", "az://CONTAINER/PATH or abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH"),
            Self::Http => ("host", "https://HOST/PATH"),
        }
    }

    /// Where credentials come from.
    pub(super) fn credentials(self) -> &'static str {
        match self {
            Self::S3 => {
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (`aws configure export-credentials --format env` prints those of a \
                 profile), or AWS_SKIP_SIGNATURE=true for a public bucket"
            }
            Self::Google => {
                "let GOOGLE_APPLICATION_CREDENTIALS name the file of an account (`gcloud auth application-default login` makes one), \
                 or set GOOGLE_SKIP_SIGNATURE=true for a public bucket"
            }
            Self::Azure => {
                "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN, or AZURE_SKIP_SIGNATURE=true \
                 for a public container"
            }
            Self::Http => "use a signed URL, or copy the file here and name the copy",
        }
    }

    /// What is not there, where a name names nothing.
    pub(super) fn object(self) -> &'static str {
        match self {
            Self::Http => "file",
            Self::S3 | Self::Google | Self::Azure => "object, nor a folder with objects in it",
        }
    }

    /// What the credentials must allow.
    pub(super) fn needs(self) -> &'static str {
        match self {
            Self::Http => "",
            Self::S3 | Self::Google | Self::Azure => {
                "the account must be allowed to list and read there, or to write: "
            }
        }
    }

    /// What the names of its environment variables begin with.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::S3 => "AWS",
            Self::Google => "GOOGLE",
            Self::Azure => "AZURE",
            Self::Http => "HTTP",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_and_a_path_is_none() {
        for path in ["a/b.parquet", "/a://b", "a b://c", "C:\\x", ""] {
            assert!(Address::parse(path).is_none(), "{path}");
        }
        for (text, name) in [
            ("s3://b/a/x=1/y.parquet", "s3://b/a/x=1/y.parquet"),
            ("s3://b", "s3://b/"),
            ("s3://b/what?*.parquet", "s3://b/what?*.parquet"),
            ("gs://b/100%/x", "gs://b/100%/x"),
            ("abfss://c@account.dfs.core.windows.net/p/", "abfss://c@account.dfs.core.windows.net/p/"),
            ("https://host:8080/a%20b.parquet?sig=9#x", "https://host:8080/a%20b.parquet"),
        ] {
            assert_eq!(Address::parse(text).unwrap().unwrap().name(), name, "{text}");
        }
        let signed = Address::parse("https://host/a?sig=9").unwrap().unwrap();
        assert_eq!((signed.to_string(), format!("{signed:?}")), ("https://host/a?…".into(), "https://host/a?…".into()));
        assert_eq!(signed.whole(), "https://host/a?sig=9");
    }

    #[test]
    fn what_is_wrong_with_a_url_is_told_without_its_secrets() {
        for (text, expected) in [
            ("hdfs://host/a", "no store is reached by `hdfs://`"),
            ("file:///a", "without `file://`"),
            ("s3:///a", "names no bucket; expected s3://BUCKET/PATH"),
            ("s3://key:secret@b/a", "has a user or a password in it"),
            ("https://me:secret@host/a", "use a signed URL"),
            ("s3://b/a//b", "is no URL: "),
            ("gs://b/../a", "is no URL: "),
            ("https://host:port/a", "is no URL: "),
        ] {
            let error = Address::parse(text).unwrap().unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("secret"), "{text}: {error}");
        }
    }

    #[test]
    fn an_address_is_taken_apart_and_put_together() {
        let address = |text: &str| Address::parse(text).unwrap().unwrap();
        for (text, depth, folder, name) in [
            ("s3://b/a/x=1/y", 1, "s3://b/a/x=1", "y"),
            ("s3://b/a/x=1/y", 2, "s3://b/a", "x=1/y"),
            ("s3://b/a/", 0, "s3://b/a", ""),
            ("s3://b/y", 1, "s3://b/", "y"),
            ("https://h/a/b%20c?sig=9", 1, "https://h/a", "b c"),
            ("https://h/a/x%3D1/y", 2, "https://h/a", "x=1/y"),
            ("https://h/o/a%2Fb.npy", 1, "https://h/o", "b.npy"),
            ("https://h/%2Fetc%2Fpasswd", 1, "https://h/", "passwd"),
            ("https://h/..%2F..%2F.bashrc", 1, "https://h/", "file"),
            ("https://h/x%2F..", 1, "https://h/", "file"),
            ("https://h/a%5C..%5Cb%00", 1, "https://h/", "file"),
            ("https://h/a", 0, "https://h/a", ""),
        ] {
            let (base, rest) = address(text).split(depth);
            assert_eq!((base.name().as_str(), rest.as_str()), (folder, name), "{text}");
        }
        for (text, folder, name) in [
            ("s3://b/a/x/y", "s3://b/a", Some("x/y")),
            ("s3a://b/a/x", "s3://b/a/", Some("x")),
            ("s3://b/a/x", "s3://b", Some("a/x")),
            ("s3://b/ab/x", "s3://b/a", None),
            ("s3://b/a", "s3://b/a", None),
            ("s3://c/a/x", "s3://b/a", None),
            ("gs://b/a/x", "s3://b/a", None),
        ] {
            assert_eq!(address(text).below(&address(folder)), name, "{text} {folder}");
        }
        assert_eq!(address("s3://b").join("y").name(), "s3://b/y");
        assert_eq!(address("s3://b/a/").join("x/y").name(), "s3://b/a/x/y");
    }
}
