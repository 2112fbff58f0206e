//! A cluster whose processes show each other certificates: those that have none, or others, are sent away in words.
#![cfg(feature = "cluster")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};

use crate::cluster::{Cluster, LIMIT, room};
use crate::support::Room;

type Authority = CertifiedIssuer<'static, KeyPair>;

/// An authority, whose certificate lies in `NAME-ca.pem`.
fn authority(room: &Room, name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    room.write(&format!("{name}-ca.pem"), &authority.pem());
    authority
}

/// What it gives to whoever has the address `host`: `NAME.pem` and `NAME.key`.
fn sign(room: &Room, authority: &Authority, name: &str, host: &str) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    room.write(&format!("{name}.pem"), &params.signed_by(&key, authority).unwrap().pem());
    room.write(&format!("{name}.key"), &key.serialize_pem());
}

/// A room with a job, and the papers of `ours`, and of `others` who are of another authority.
fn with_papers() -> Room {
    let room = room(4_000, "search.index = 'exact'\n");
    let (ours, others) = (authority(&room, "ours"), authority(&room, "others"));
    sign(&room, &ours, "ours", "127.0.0.1");
    sign(&room, &ours, "elsewhere", "elsewhere.example");
    sign(&room, &others, "others", "127.0.0.1");
    room
}

/// The flags of one who shows the certificate `name` and believes the authority `ca`.
fn flags(room: &Room, name: &str, ca: &str) -> [String; 6] {
    let path = |file: String| room.path(&file).display().to_string();
    let [cert, key, ca] = [format!("{name}.pem"), format!("{name}.key"), format!("{ca}-ca.pem")].map(path);
    ["--tls-cert".to_owned(), cert, "--tls-key".to_owned(), key, "--tls-ca".to_owned(), ca]
}

fn words(flags: &[String]) -> Vec<&str> {
    flags.iter().map(String::as_str).collect()
}

/// The same for a run; paths are relative to its pipeline.
fn set(name: &str, ca: &str) -> String {
    format!("run.tls={{ cert = '{name}.pem', key = '{name}.key', ca = '{ca}-ca.pem' }}")
}

/// What a plan says of the executors.
fn plan(cluster: &Cluster, more: &[&str]) -> String {
    let sets = cluster.sets(1);
    let sets = sets.iter().map(String::as_str).chain(more.iter().copied()).flat_map(|set| ["--set", set]);
    let plan = cluster.room.miner(&["plan", "p.toml"].into_iter().chain(sets).collect::<Vec<_>>()).exits(0).stdout;
    plan.lines().find(|line| line.contains("executors   ")).unwrap().to_owned()
}

#[test]
fn those_with_certificates_of_one_authority_mine_the_same_bytes() {
    let room = with_papers();
    let flags = flags(&room, "ours", "ours");
    let cluster = Cluster::begin(room, &words(&flags));
    let _executors = [(); 2].map(|()| cluster.executor_with("work", &words(&flags)));
    let begun = Instant::now();
    while !plan(&cluster, &[&set("ours", "ours")]).contains("2 executors") {
        assert!(begun.elapsed() < LIMIT, "never two");
        sleep(Duration::from_millis(100));
    }
    cluster.run_with(60, &[&set("ours", "ours")]).ends().exits(0);
    let known = plan(&cluster, &[&set("ours", "ours")]);
    assert!(known.contains("2 executors, 2 slots: 4 partitions a slot"), "{known}");
    cluster.is_as_local();
}

#[test]
fn who_shows_none_or_another_is_sent_away_at_once() {
    let room = with_papers();
    let ours = flags(&room, "ours", "ours");
    let strange = [flags(&room, "others", "ours"), flags(&room, "ours", "others")];
    let cluster = Cluster::begin(room, &words(&ours));
    let (secret, unwelcome, doubtful) = (
        "the scheduler speaks TLS alone; name certificates: run.tls",
        "the scheduler does not take the certificate that is shown here",
        "the certificate of what listens there is not believed",
    );
    for (sets, told) in
        [(Vec::new(), secret), (vec![set("others", "ours")], unwelcome), (vec![set("ours", "others")], doubtful)]
    {
        let ran = cluster.run_with(3_600, &words(&sets)).ends().exits(1);
        assert!(ran.stderr.contains(told), "{}", ran.stderr);
        let plan = plan(&cluster, &words(&sets));
        assert!(plan.contains(told), "{plan}");
    }
    for (flags, told) in [(&[][..], secret), (&strange[0], unwelcome), (&strange[1], doubtful)] {
        let ran = cluster.executor_with("work", &words(flags)).ends().exits(1);
        assert!(ran.stderr.contains(told), "{}", ran.stderr);
    }
    // Whoever says nothing, or speaks in the clear, reaches nothing, and keeps nobody else from it.
    let _silent = TcpStream::connect(&cluster.address).unwrap();
    let mut clear = TcpStream::connect(&cluster.address).unwrap();
    clear.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    clear.write_all(b"GET /executors HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = clear.read_to_end(&mut answer);
    assert!(!answer.windows(4).any(|part| part == b"HTTP"), "{answer:?}");
    assert!(plan(&cluster, &[&set("ours", "ours")]).contains("none is known to the scheduler"));
}

#[test]
fn a_certificate_is_of_one_host() {
    let room = with_papers();
    let flags = flags(&room, "elsewhere", "ours");
    let cluster = Cluster::begin(room, &words(&flags));
    let plan = plan(&cluster, &[&set("ours", "ours")]);
    assert!(plan.contains("is not believed (") && plan.contains("not valid for"), "{plan}");
}

#[test]
fn a_scheduler_without_certificates_is_not_spoken_to_by_those_who_have_some() {
    let room = with_papers();
    let flags = flags(&room, "ours", "ours");
    let cluster = Cluster::begin(room, &[]);
    let told = "what listens there speaks no TLS; start the scheduler with --tls-cert, --tls-key and --tls-ca";
    let ran = cluster.run_with(3_600, &[&set("ours", "ours")]).ends().exits(1);
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    let ran = cluster.executor_with("work", &words(&flags)).ends().exits(1);
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    let plan = plan(&cluster, &[&set("ours", "ours")]);
    assert!(plan.contains(told), "{plan}");
}

#[test]
fn papers_that_cannot_be_used_are_told_of_before_any_work() {
    let room = with_papers();
    room.write("broken.key", "-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----\n");
    room.write("broken.pem", &std::fs::read_to_string(room.path("ours.pem")).unwrap());
    room.write("empty.pem", "none\n");
    room.write("empty.key", &std::fs::read_to_string(room.path("ours.key")).unwrap());
    room.write("mixed.pem", &std::fs::read_to_string(room.path("ours.pem")).unwrap());
    room.write("mixed.key", &std::fs::read_to_string(room.path("others.key")).unwrap());
    let cluster = Cluster::begin(room, &[]);
    for (name, ca, told) in [
        ("missing", "ours", "missing.key: cannot be read: No such file"),
        ("broken", "ours", "broken.key: "),
        ("empty", "ours", "empty.pem: cannot be read: there is none in it; expected a file of PEM"),
        ("ours", "missing", "missing-ca.pem: cannot be read: No such file"),
        ("mixed", "ours", "mixed.key: "),
    ] {
        let ran = cluster.run_with(3_600, &[&set(name, ca)]).ends().exits(2);
        assert!(ran.stderr.contains("run.tls: ") && ran.stderr.contains(told), "{}", ran.stderr);
        assert!(ran.stderr.contains("expected") && !ran.stderr.contains("SECRET"), "{}", ran.stderr);
        let flags = flags(&cluster.room, name, ca);
        let ran = cluster.executor_with("work", &words(&flags)).ends().exits(2);
        assert!(ran.stderr.contains(told), "{}", ran.stderr);
        let bind = ["scheduler", "--bind", "127.0.0.1:0"];
        let ran = cluster.room.miner(&[&bind, words(&flags).as_slice()].concat()).exits(2);
        assert!(ran.stderr.contains(told), "{}", ran.stderr);
        let ran = cluster.room.miner(&[&bind, &words(&flags)[..4]].concat()).exits(2);
        assert!(ran.stderr.contains("--tls-ca"), "{}", ran.stderr);
    }
}
