//! Servers on the loopback interface: a store that speaks S3, and a proxy before it that causes faults and counts.

mod proxy;
mod s3;
mod web;
mod wire;

pub use proxy::{Fault, Proxy, Seen};
pub use s3::{Bucket, SECRET, s3};
pub use web::{Manners, Web};

/// What tests take the two for: were the store to lose a condition or the proxy a fault, they would prove nothing.
mod tests {
    use std::fs;
    use std::io::Write;
    use std::net::TcpStream;

    use super::*;
    use crate::support::Room;

    const KEY: (&str, &str) = ("authorization", "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request");

    #[test]
    fn the_store_keeps_what_it_is_given_and_holds_to_conditions() {
        let (bucket, room) = (s3(), Room::new());
        room.write("in/a.txt", "0123456789");
        room.write("in/key=value/b.txt", "b");
        bucket.put_folder("x", &room.path("in"));
        bucket.put("xx/c.txt", b"beside");
        let found = bucket.files("x");
        assert_eq!(found.keys().collect::<Vec<_>>(), ["a.txt", "key=value/b.txt"]);
        assert_eq!(found["a.txt"], fs::read(room.path("in/a.txt")).unwrap());
        bucket.delete("x/a.txt");
        assert_eq!(bucket.files("x").len(), 1);

        let status = |method: &str, headers: &[(&str, &str)]| {
            bucket.ask(bucket.server, method, "x/key=value/b.txt", headers, b"").unwrap().status()
        };
        assert_eq!(status("PUT", &[KEY, ("if-none-match", "*")]), 412, "there already");
        assert_eq!(status("GET", &[KEY, ("if-match", "\"other\"")]), 412, "another version");
        assert_eq!(status("GET", &[]), 403, "nobody");
        let url = bucket.publish("open.txt", b"0123456789");
        assert!(url.ends_with("/open.txt"), "{url}");
        let part = bucket.ask(bucket.server, "GET", "open.txt", &[("range", "bytes=2-4")], b"").unwrap();
        assert_eq!((part.status(), &part.body[..]), (206, &b"234"[..]));
        assert!(part.header("etag").is_some());
    }

    #[test]
    fn the_proxy_spoils_what_it_is_told_to_and_remembers_everything() {
        let bucket = s3();
        let proxy = Proxy::before(bucket.server);
        bucket.put("x", b"0123456789");
        let get = || bucket.ask(proxy.address, "GET", "x", &[KEY], b"");
        proxy.spoil(2, Fault::Status(503), |seen| seen.method == "GET");
        proxy.spoil(1, Fault::Cut, |seen| seen.path.ends_with("/x"));
        assert_eq!([get().unwrap().status(), get().unwrap().status()], [503, 503]);
        let cut = get().unwrap();
        assert_eq!((cut.header("content-length"), &cut.body[..]), (Some("10"), &b"01234"[..]));
        assert_eq!(get().unwrap().body, b"0123456789");
        let told: Vec<_> = proxy.seen().iter().map(|seen| (seen.status, seen.is_done())).collect();
        assert_eq!(told, [(Some(503), false), (Some(503), false), (Some(200), false), (Some(200), true)]);

        for (fault, arrives) in [(Fault::Stall, false), (Fault::Mute, true)] {
            proxy.spoil(1, fault, |seen| seen.method == "PUT");
            let mut stream = TcpStream::connect(proxy.address).unwrap();
            let head = format!("PUT /{}/{fault:?} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n", bucket.name);
            stream.write_all(head.as_bytes()).unwrap();
            proxy.wait_for(|seen| seen.fault == Some(fault) && seen.status.is_none());
            let there = bucket.ask(bucket.server, "GET", &format!("{fault:?}"), &[KEY], b"").unwrap().status();
            assert_eq!(there == 200, arrives, "{fault:?}");
        }
        proxy.spoil(9, Fault::Status(500), |_| true);
        proxy.relent();
        assert_eq!(get().unwrap().status(), 200);
    }
}
