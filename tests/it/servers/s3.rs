//! A store that speaks S3: moto's, one for all tests of the process, which have a bucket each.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::wire::Message;
use crate::oracle::python;
use crate::support::{all_files, root};

/// Where the server listens. It ends with this process, however that ends: its standard input is a pipe from here.
fn server() -> SocketAddr {
    static SERVER: OnceLock<(SocketAddr, Child)> = OnceLock::new();
    let (address, _) = SERVER.get_or_init(|| {
        let mut command = Command::new(python());
        command.arg("-B").arg(root().join("tests/oracle/s3.py"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("a Python with what tests/oracle/requirements.txt names");
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let port: u16 = port.trim().parse().expect("a port from tests/oracle/s3.py: is moto[server] installed?");
        (SocketAddr::from(([127, 0, 0, 1], port)), child)
    });
    *address
}

/// A bucket of its own for one test.
pub struct Bucket {
    pub name: String,
    pub server: SocketAddr,
}

/// An empty bucket.
pub fn s3() -> Bucket {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let name = format!("bucket-{}", MADE.fetch_add(1, Ordering::Relaxed));
    let bucket = Bucket { name, server: server() };
    bucket.must("PUT", "", &[], b"");
    bucket
}

/// What a signed request carries; the server asks who, and holds no signature against the key.
const SIGNED: &str =
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";

/// The secret of those that may use the bucket: to be found nowhere.
pub const SECRET: &str = "s3cr3t-k3y-0f-the-tests";

impl Bucket {
    /// `s3://BUCKET/path`.
    pub fn url(&self, path: &str) -> String {
        format!("s3://{}/{path}", self.name)
    }

    /// What the program needs to know of a server that speaks S3 on loopback: this one, or a proxy before it.
    pub fn environment(&self, server: SocketAddr) -> [(&'static str, String); 5] {
        [
            ("AWS_ENDPOINT_URL", format!("http://{server}")),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
        ]
    }

    /// Puts an object.
    pub fn put(&self, path: &str, bytes: &[u8]) {
        self.must("PUT", path, &[], bytes);
    }

    /// Puts an object that anyone may read, without credentials, at the address given.
    pub fn publish(&self, path: &str, bytes: &[u8]) -> String {
        self.must("PUT", path, &[("x-amz-acl", "public-read")], bytes);
        format!("http://{}/{}/{path}", self.server, self.name)
    }

    /// Puts every file below a folder.
    pub fn put_folder(&self, path: &str, folder: &Path) {
        for (name, bytes) in all_files(folder) {
            self.put(&format!("{path}/{name}").replace('%', "%25"), &bytes);
        }
    }

    pub fn delete(&self, path: &str) {
        self.must("DELETE", path, &[], b"");
    }

    /// Every object below a path, by the rest of its name.
    pub fn names(&self, path: &str) -> BTreeSet<String> {
        let listing = self.must("GET", &format!("?list-type=2&prefix={path}/"), &[], b"");
        let listing = String::from_utf8(listing).unwrap();
        assert!(listing.contains("<IsTruncated>false<"), "more than one page: {listing}");
        let names = listing.split("<Key>").skip(1).map(|rest| rest.split("</Key>").next().unwrap());
        names.map(|name| name[path.len() + 1..].to_owned()).collect()
    }

    /// The same in order, with their bytes.
    pub fn files(&self, path: &str) -> BTreeMap<String, Vec<u8>> {
        // One that has gone since is none.
        let object = |name: String| {
            let answer = self.ask(self.server, "GET", &format!("{path}/{name}"), &[("authorization", SIGNED)], b"");
            Some(answer.unwrap()).filter(|answer| answer.status() == 200).map(|answer| (name, answer.body))
        };
        self.names(path).into_iter().filter_map(object).collect()
    }

    #[track_caller]
    fn must(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
        let headers = [headers, &[("authorization", SIGNED)]].concat();
        let answer = self.ask(self.server, method, path, &headers, body).unwrap();
        let told = String::from_utf8_lossy(&answer.body);
        assert!((200..300).contains(&answer.status()), "{method} {path}: {}\n{told}", answer.head);
        answer.body
    }

    /// Sends a request about an object, or with an empty path about the bucket, to the server or a proxy before it.
    pub fn ask(
        &self,
        server: SocketAddr,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Message> {
        let slash = if path.is_empty() || path.starts_with('?') { "" } else { "/" };
        let mut head = format!("{method} /{}{slash}{path} HTTP/1.1\r\nhost: {server}\r\n", self.name);
        head += &format!("content-length: {}\r\nconnection: close\r\n", body.len());
        headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
        Message::answer(server, &(head + "\r\n"), body)
    }
}
