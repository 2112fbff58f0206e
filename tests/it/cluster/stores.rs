//! Inputs and outputs in an object store, with executors: these see only the work folder, and need no key to anything.

use std::fs;

use super::Cluster;
use crate::servers::{SECRET, s3};
use crate::support::{Ran, timeless};

/// Several parts.
const ASKED: &str = "search.index = 'cells'\nmine.bands = { hard = 1, semi-hard = 2 }\noutput.rows_per_file = 2000\n";

#[test]
fn an_output_that_goes_to_a_store_and_an_input_that_lies_there() {
    let (bucket, mut cluster) = (s3(), Cluster::new(4_000, ASKED));
    let _executors = [cluster.executor("work"), cluster.executor("work")];
    let url = bucket.url("x/out");
    cluster.environment = bucket.environment(bucket.server).to_vec();
    for input in ["here", "there"] {
        cluster.more = vec![format!("output.path={url}")];
        if input == "there" {
            bucket.put("in/store.parquet", &fs::read(cluster.room.path("store.parquet")).unwrap());
            cluster.more.push(format!("store.path={}", bucket.url("in/store.parquet")));
        }
        let ran = cluster.run(60).ends().exits(0);
        assert!(!ran.stderr.contains(SECRET), "{}", ran.stderr);
        let mined = timeless(bucket.files("x/out"));
        assert!(mined.len() > 5, "{:?}", mined.keys());
        let report = bucket.files("x/out")["report.json"].clone();
        assert!(String::from_utf8_lossy(&report).contains("\"executors\""), "{input}: nobody helped");
        let mut verify = cluster.room.command(&["verify", &url, "--full"]);
        Ran::of(verify.envs(cluster.environment.clone())).exits(0);

        let mut local = cluster.command("run", &[]);
        Ran::of(local.args(["--overwrite", "--fresh"])).exits(0);
        let expected = timeless(bucket.files("x/out"));
        assert!(mined == expected, "{input}: {:?} and {:?}", mined.keys(), expected.keys());
        expected.keys().for_each(|name| bucket.delete(&format!("x/out/{name}")));
        ["report.json", "report.html"].iter().for_each(|name| bucket.delete(&format!("x/out/{name}")));
    }
}
