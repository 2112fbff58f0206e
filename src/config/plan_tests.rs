//! Every refusal of a pipeline, word for word.

use std::fs;
use std::path::Path;

use crate::config::restore::over;
use crate::config::{Places, Plan, load};
use crate::store::BadRows;

pub(in crate::config) const GOOD: &str = r#"
[store]
path = "data/a.parquet"
embedding = "e"
label = "l"
groups = { writer = "w" }
[output]
path = "out"
"#;

pub(in crate::config) fn plan(text: &str, set: &[&str]) -> Result<Plan, String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("p.toml");
    fs::write(&file, text).unwrap();
    let set: Vec<String> = set.iter().map(|argument| argument.to_string()).collect();
    load(&file, &set).map_err(|error| error.to_string().replace(&format!("{}/", dir.path().display()), ""))
}

/// As `verify` understands it, over inputs at these places and an output in `o`.
pub(in crate::config) fn restored(plan: &Plan, places: &Places) -> Plan {
    let mut environment = plan.environment.clone();
    over(&plan.resolved, &mut environment, Path::new("o"), |_| Ok(places.clone())).unwrap()
}

pub(in crate::config) fn refusal(set: &[&str]) -> String {
    plan(GOOD, set).unwrap_err()
}

#[test]
fn three_keys_are_enough() {
    let least = plan("store = { path = 'a', embedding = 'e', label = 'l' }", &[]).unwrap();
    assert!(least.target.path().ends_with("out/p"));
    let plan = plan(GOOD, &[]).unwrap();
    assert_eq!(plan.name, "p");
    assert!(plan.store.path.ends_with("data/a.parquet"));
    assert_eq!(plan.from_output.store, "../data/a.parquet");
    assert_eq!(plan.resolved["mine"]["bands"], serde_json::json!({ "semi-hard": 1 }));
    assert_eq!(plan.resolved["search"]["hnsw"]["ef_search"], 64);
    assert!(plan.resolved.get("run").is_none(), "what cannot change the result is left out");
}

#[test]
fn values_that_make_no_sense_are_refused() {
    for (set, expected) in [
        ("mine.margin=-0.2", "p.toml: mine.margin = -0.2: a margin must be greater than 0, in the metric's own units"),
        ("mine.margin=nan", "p.toml: mine.margin = nan: a margin must be greater than 0, in the metric's own units"),
        ("mine.margin=2.0", "p.toml: mine.margin = 2.0: cosine distances end at 2, so no gap exceeds this margin"),
        ("mine.bands={}", "p.toml: mine.bands: asks for nothing; expected { semi-hard = 1 }, for example"),
        (
            "mine.bands={ hard = 0 }",
            "p.toml: mine.bands.hard = 0: a count must be at least 1; leave out a band that is not wanted",
        ),
        ("mine.bands={ any = 1, hard = 1 }", "p.toml: mine.bands: `any` is the union of all bands and stands alone"),
        (
            "mine.fallback=['semi-hard']",
            "p.toml: mine.fallback = [\"semi-hard\"]: semi-hard is asked for in mine.bands; a fallback is another band",
        ),
        ("mine.fallback=['easy', 'easy']", "p.toml: mine.fallback = [\"easy\", \"easy\"]: names easy twice"),
        ("mine.positives.per_anchor=0", "p.toml: mine.positives.per_anchor = 0: must be at least 1"),
        ("mine.positives.min_distance=inf", "p.toml: mine.positives.min_distance = inf: must be a finite number"),
        (
            "mine.negatives.same=['writr']",
            "p.toml: mine.negatives.same = [\"writr\"]: no group is named \"writr\"; did you mean \"writer\"?",
        ),
        (
            "mine.negatives.same=['family']",
            "p.toml: mine.negatives.same = [\"family\"]: no group is named \"family\"; write groups = { family = \"a column\" } in [store]",
        ),
        ("search.target_recall=0", "p.toml: search.target_recall = 0: a recall is more than 0 and at most 1"),
        ("search.hnsw.max_connections=256", "p.toml: search.hnsw.max_connections = 256: must be from 2 to 255"),
        ("search.hnsw.ef_search=4", "p.toml: search.hnsw.ef_search = 4: must be from 8 to 4096"),
        (
            "search.index=ivf",
            "p.toml: search.index = \"ivf\": unknown variant `ivf`, expected one of `auto`, `exact`, `cells`, `hnsw`",
        ),
        ("output.rows_per_file=0", "p.toml: output.rows_per_file = 0: must be at least 1"),
        ("output.shards=0", "p.toml: output.shards = 0: must be from 1 to 10,000"),
        (
            "output.shards=4",
            "p.toml: output.shards = 4: cuts rows by their gap, which output.order = \"anchor\" does not sort by; choose easy-to-hard or hard-to-easy, or rows_per_file instead",
        ),
        (
            "output.layout=tripel",
            "p.toml: output.layout = \"tripel\": unknown variant `tripel`, expected one of `triplet`, `n-tuple`, `pair`, `labeled-pair`, `labeled-list`, `candidates`",
        ),
        (
            "output.columns=text",
            "p.toml: output.columns = \"text\": expected \"all\" or a carried column; write carry = [\"text\"] in [store]",
        ),
        (
            "output.path=data",
            "p.toml: output.path = \"data\": would replace the store, data/a.parquet; choose a folder of its own",
        ),
        ("output.path=", "p.toml: output.path = \"\": is empty; expected a path"),
        (
            "run.work=s3://bucket/x",
            "p.toml: run.work = \"s3://bucket/x\": is a URL, where the machines of a cluster meet, and run.engine names none; \
             expected a folder of this machine",
        ),
        ("store.path=~/x", "p.toml: store.path = \"~/x\": `~` is not expanded; write the folder out, or ${HOME}/…"),
        ("store.carry=['a', 'a']", "p.toml: store.carry = [\"a\", \"a\"]: names \"a\" twice"),
        ("store.id=3", "p.toml: store.id = 3: invalid type: integer `3`, expected a string"),
        ("mine.seed=-1", "p.toml: mine.seed = -1: invalid value: integer `-1`, expected a whole number, 0 or more"),
        (
            "balance.max_uses=0",
            "p.toml: balance.max_uses = 0: must be at least 1; leave it out where nothing is to be limited",
        ),
        (
            "balance.triplets=0",
            "p.toml: balance.triplets = 0: must be at least 1; leave it out where nothing is to be limited",
        ),
        (
            "balance.anchors_per_class=0",
            "p.toml: balance.anchors_per_class = 0: must be at least 1; leave it out where nothing is to be limited",
        ),
        (
            "balance.oversample_to=0",
            "p.toml: balance.oversample_to = 0: must be at least 1; leave it out where nothing is to be limited",
        ),
        (
            "balance.weights=square",
            "p.toml: balance.weights = \"square\": unknown variant `square`, expected one of `none`, `inverse`, `effective`",
        ),
        ("balance.beta=0.9", "p.toml: balance.beta = 0.9: has a meaning only with weights = \"effective\""),
        (
            "balance={ weights = 'effective', beta = 1.0 }",
            "p.toml: balance.beta = 1.0: must be at least 0 and less than 1, as in 0.999",
        ),
        (
            "batches={ kind = 'pk', classes = 1 }",
            "p.toml: batches.classes = 1: must be at least 2: one alone has nothing to compare with",
        ),
        (
            "batches={ kind = 'pk', per_class = 1 }",
            "p.toml: batches.per_class = 1: must be at least 2: one alone has nothing to compare with",
        ),
        (
            "batches={ kind = 'triplets', size = 1 }",
            "p.toml: batches.size = 1: must be at least 2: one alone has nothing to compare with",
        ),
        (
            "batches={ kind = 'pk', size = 8 }",
            "p.toml: batches.size = 8: has no meaning with this kind, which knows classes and per_class",
        ),
        (
            "batches={ kind = 'triplets', classes = 8 }",
            "p.toml: batches.classes = 8: has no meaning with this kind, which knows size",
        ),
        (
            "batches={ kind = 'triplets', per_class = 8 }",
            "p.toml: batches.per_class = 8: has no meaning with this kind, which knows size",
        ),
        ("batches={}", "p.toml: batches: missing field `kind`"),
        ("run.threads=1025", "p.toml: run.threads = 1025: must be at most 1,024; 0 takes every core"),
        (
            "run.memory=plenty",
            "p.toml: run.memory = \"plenty\": expected a size such as \"4GiB\" or \"512MB\"; 0 takes three quarters of the machine's",
        ),
        ("run.memory=4", "p.toml: run.memory = 4: invalid type: integer `4`, expected a string"),
        ("run.work=~/x", "p.toml: run.work = \"~/x\": `~` is not expanded; write the folder out, or ${HOME}/…"),
        (
            "mine.fallback=['easy', 'hrd']",
            "p.toml: mine.fallback[1] = \"hrd\": unknown variant `hrd`, expected one of `hard`, `semi-hard`, `easy`",
        ),
        ("mine.margin", "--set mine.margin: expected key=value, as in mine.margin=0.3"),
        ("store.path.x=1", "--set store.path.x=1: `path` is no section"),
    ] {
        let found = refusal(&[set]);
        assert_eq!(found, expected, "--set {set}");
    }
}

#[test]
fn combinations_that_make_no_sense_are_refused() {
    for (set, expected) in [
        (
            ["mine.positives.pick=all", "mine.positives.per_anchor=2"],
            "p.toml: mine.positives.per_anchor = 2: pick = \"all\" takes every positive; leave per_anchor out, or choose another pick",
        ),
        (
            ["mine.positives.min_distance=0.5", "mine.positives.max_distance=0.25"],
            "p.toml: mine.positives.min_distance = 0.5: is above mine.positives.max_distance = 0.25, which leaves no positive",
        ),
        (
            ["mine.negatives.same=['writer']", "mine.negatives.different=['writer']"],
            "p.toml: mine.negatives.different = [\"writer\"]: \"writer\" is also in mine.negatives.same; no pair both agrees and differs",
        ),
        (
            ["mine.positives.pick=all", "balance.oversample_to=50"],
            "p.toml: balance.oversample_to = 50: mine.positives.pick = \"all\" takes every pair a class has; leave this out, or choose another pick",
        ),
        (
            ["mine.bands={ any = 2 }", "mine.fallback=['easy']"],
            "p.toml: mine.fallback = [\"easy\"]: `any` already takes from every band",
        ),
        (
            ["output.columns=texts", "store.carry=['text']"],
            "p.toml: output.columns = \"texts\": expected \"all\" or a carried column; did you mean \"text\"?",
        ),
        (
            ["output.layout=n-tuple", "mine.bands={ hard = 600, semi-hard = 401 }"],
            "p.toml: output.layout = \"n-tuple\": mine.bands asks for 1001 negatives, which would be a column each; at most 1,000, or choose labeled-list",
        ),
        (
            ["output.format=csv", "output.layout=labeled-list"],
            "p.toml: output.format = \"csv\": cannot hold the lists of layout \"labeled-list\"; use parquet, arrow or jsonl",
        ),
        (
            ["output.format=jsonl", "output.csv_formulas=keep"],
            "p.toml: output.csv_formulas = \"keep\": has a meaning only with output.format = \"csv\", not \"jsonl\"; leave it out",
        ),
        (
            ["output.format=npy", "output.layout=labeled-list"],
            "p.toml: output.format = \"npy\": cannot hold the lists of layout \"labeled-list\"; use parquet, arrow or jsonl",
        ),
        (
            ["output.format=npy", "store.carry=['text']"],
            "p.toml: store.carry = [\"text\"]: format \"npy\" holds row indices only, so nothing is carried; leave it out, or choose another format",
        ),
    ] {
        assert_eq!(refusal(&set), expected, "{set:?}");
    }
}

pub(in crate::config) const RETRIEVAL: &str = r#"
[store]
path = "data/passages.parquet"
id = "id"
embedding = "e"
groups = { lang = "lang", site = "site" }
carry = ["text"]
bad_rows = "skip"
[queries]
path = "data/questions.parquet"
[pairs]
path = "data/qrels.parquet"
"#;

#[test]
fn what_queries_and_pairs_do_not_say_the_store_says() {
    let plan = plan(RETRIEVAL, &[]).unwrap();
    let (queries, pairs) = (plan.queries.clone().unwrap(), plan.pairs.clone().unwrap());
    assert_eq!((queries.id.as_deref(), queries.embedding, queries.label), (Some("id"), "e".into(), None));
    assert_eq!((&queries.groups, &queries.carry), (&plan.store.groups, &plan.store.carry));
    assert_eq!((queries.bad_rows, pairs.bad_rows), (BadRows::Skip, BadRows::Skip));
    assert_eq!((pairs.left.1.as_str(), pairs.right.1.as_str()), ("query_id", "corpus_id"));
    assert_eq!(plan.from_output.queries.as_deref(), Some("../../data/questions.parquet"));
    assert_eq!(plan.resolved["queries"]["carry"], serde_json::json!(["text"]), "every default is filled in");
    assert!(plan.mine.negatives.unlabelled, "without labels, every row that no pair names is a negative");
    let moved = Places { store: "s".into(), queries: Some("q".into()), pairs: Some("p".into()), ..Places::default() };
    let restored = restored(&plan, &moved);
    assert_eq!(restored.places(), moved);
    assert_eq!(restored.resolved, plan.resolved);
    // Queries lack a group that no constraint names.
    let fewer = self::plan(RETRIEVAL, &["queries.groups={ lang = 'l' }", "mine.negatives.same=['lang']"]).unwrap();
    let groups = fewer.queries.unwrap().groups;
    assert_eq!(groups, [("lang".into(), "l".into()), ("site".into(), "null".into())]);
}

#[test]
fn queries_and_pairs_that_make_no_sense_are_refused() {
    for (set, expected) in [
        (
            &["store.label=l"][..],
            "p.toml: store.label = \"l\": [pairs] says which rows are positives; leave out store.label, or [pairs]",
        ),
        (
            &["queries.label=l"],
            "p.toml: queries.label = \"l\": [pairs] says which rows are positives; leave out queries.label, or [pairs]",
        ),
        (
            &["store.unlabelled=negative"],
            "p.toml: store.unlabelled = \"negative\": with [pairs] no row has a label, and every row that no pair names is a negative; leave it out",
        ),
        (
            &["queries.groups={}", "mine.positives.different=['site']"],
            "p.toml: mine.positives.different = [\"site\"]: the queries have no group \"site\"; write groups = { site = \"a column\" } in [queries]",
        ),
        (
            &["queries.groups={ town = 't' }"],
            "p.toml: queries.groups.town = \"t\": [store] has no group of this name, so no constraint can use it; leave it out, or write it there",
        ),
        (&["pairs.query="], "p.toml: pairs.query = \"\": is empty; expected a column of ids"),
        (&["queries.embedding="], "p.toml: queries.embedding = \"\": is empty; expected a column"),
        (&["queries.carry=['a', 'a']"], "p.toml: queries.carry = [\"a\", \"a\"]: names \"a\" twice"),
        (
            &["pairs.negative=n"],
            "p.toml: pairs.negative = \"n\": unknown key; [pairs] knows bad_rows, path, positive, query",
        ),
        (
            &["output.path=data"],
            "p.toml: output.path = \"data\": would replace the store, data/passages.parquet; choose a folder of its own",
        ),
        (
            &["store.path=a", "output.path=data"],
            "p.toml: output.path = \"data\": would replace the queries, data/questions.parquet; choose a folder of its own",
        ),
    ] {
        assert_eq!(plan(RETRIEVAL, set).unwrap_err(), expected, "{set:?}");
    }
    for (text, expected) in [
        (
            RETRIEVAL.replace("[queries]\npath", "[queries]\nid"),
            "p.toml: queries.path: is missing; expected a Parquet file, a glob or a directory",
        ),
        (
            RETRIEVAL.replace("[pairs]\npath", "[pairs]\nquery"),
            "p.toml: pairs.path: is missing; expected a Parquet file, a glob or a directory",
        ),
        (
            RETRIEVAL.split("[pairs]").next().unwrap().to_owned(),
            "p.toml: store.label: is missing; expected a SQL expression of the class, or else [pairs]",
        ),
    ] {
        assert_eq!(plan(&text, &[]).unwrap_err(), expected);
    }
}

#[test]
fn what_three_keys_contradict() {
    let found = refusal(&["output.format=npy", "store.carry=['text']", "output.columns=text"]);
    let holds = "format \"npy\" holds row indices, not values; leave columns out, or choose another format";
    assert_eq!(found, format!("p.toml: output.columns = \"text\": {holds}"));
    let found = refusal(&["output.order=hard-to-easy", "output.shards=4", "output.rows_per_file=10"]);
    let twice = "decides how many rows a file has, and so does output.rows_per_file; leave one of them out";
    assert_eq!(found, format!("p.toml: output.shards = 4: {twice}"));
}

#[test]
fn files_are_shards_or_of_so_many_rows() {
    let resolved = |set: &[&str]| plan(GOOD, set).unwrap().resolved["output"].clone();
    let default = resolved(&[]);
    assert_eq!((&default["rows_per_file"], default.get("shards")), (&serde_json::json!(1_000_000), None));
    assert_eq!((&default["layout"], &default["columns"]), (&"triplet".into(), &"all".into()));
    let shards = resolved(&["output.order=easy-to-hard", "output.shards=3"]);
    assert_eq!((&shards["shards"], shards.get("rows_per_file")), (&serde_json::json!(3), None));
}

#[test]
fn a_mistake_in_the_file_names_its_line() {
    let text = format!("{GOOD}[mine]\nmargn = 0.3\n");
    assert!(
        plan(&text, &[]).unwrap_err().starts_with("p.toml:10:1: mine.margn = 0.3: unknown key; did you mean `margin`?")
    );
    let text = format!("{GOOD}[mine]\n  margin = \"much\"\n");
    assert_eq!(
        plan(&text, &[]).unwrap_err(),
        "p.toml:10:12: mine.margin = \"much\": invalid type: string \"much\", expected a number"
    );
    assert!(plan("[store\n", &[]).unwrap_err().starts_with("p.toml:1:7: not TOML: "));
    assert_eq!(
        plan("[store]\npath = 'a'\nembedding = 'e'\n[output]\npath = 'o'", &[]).unwrap_err(),
        "p.toml: store.label: is missing; expected a SQL expression of the class, or else [pairs]"
    );
}

#[test]
fn environment_variables_are_put_in_and_missing_ones_are_named() {
    // Cargo sets this one for every test.
    let plan = plan(GOOD, &["store.label=${CARGO_PKG_NAME}-$${x}", "name=${CARGO_PKG_NAME}-$${x}"]).unwrap();
    assert_eq!(plan.store.label.as_deref(), Some("triplet_miner-${x}"));
    assert_eq!(plan.name, "${CARGO_PKG_NAME}-$${x}", "what is kept names the variable");
    assert_eq!(plan.resolved["store"]["label"], "${CARGO_PKG_NAME}-$${x}");
    assert_eq!(restored(&plan, &plan.places()).store.label, plan.store.label);
    assert_eq!(
        refusal(&["name=${NO_SUCH_VARIABLE}"]),
        "p.toml: name = \"${NO_SUCH_VARIABLE}\": the environment variable NO_SUCH_VARIABLE is not set; `$${` stands for a plain `${`"
    );
    assert!(refusal(&["name=${OPEN"]).ends_with("`${` without `}`; write `$${` for a plain `${`"));
}

#[test]
fn an_override_is_not_blamed_on_the_file() {
    let text = format!("{GOOD}[mine]\nmargin = -0.1\nfallback = ['easy', 'hrd']\n");
    let wrong = "a margin must be greater than 0, in the metric's own units";
    assert_eq!(plan(&text, &["mine.fallback=[]"]).unwrap_err(), format!("p.toml:10:10: mine.margin = -0.1: {wrong}"));
    assert_eq!(
        plan(&text, &["mine.fallback=[]", "mine.margin=-0.2"]).unwrap_err(),
        format!("p.toml: mine.margin = -0.2: {wrong}")
    );
    assert!(plan(&text, &[]).unwrap_err().starts_with("p.toml:11:21: mine.fallback[1] = \"hrd\": unknown variant"));
}

/// What is said of an output, where there is a store at `data/a.parquet`.
fn complaint_of_output(store: &str, output: &str) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("data")).unwrap();
    fs::write(dir.path().join("data/a.parquet"), "").unwrap();
    let file = dir.path().join("p.toml");
    fs::write(&file, GOOD.replace("data/a.parquet", store).replace("\"out\"", &format!("{output:?}"))).unwrap();
    Some(load(&file, &[]).err()?.to_string())
}

#[test]
fn an_output_never_replaces_its_store() {
    for (store, output) in [
        ("data/a.parquet", "data"),
        ("data/a.parquet", "data/a.parquet"),
        ("data/*.parquet", "./data/"),
        ("data/missing.parquet", "data"),
        ("data", "data"),
        ("data", "."),
        ("data", ".."),
    ] {
        let complaint = complaint_of_output(store, output).unwrap_or_default();
        assert!(complaint.contains("would replace the store, "), "{store} → {output}: {complaint}");
    }
}

#[test]
fn an_output_inside_the_store_s_folder_is_refused() {
    for store in ["data", "data/**/*.parquet"] {
        let complaint = complaint_of_output(store, "data/out").unwrap_or_default();
        assert!(complaint.contains("output.path = \"data/out\": lies inside the folder of the store"), "{complaint}");
    }
    for (store, output) in
        [("data", "out"), ("data", "data2"), ("data/a.parquet", "data/out"), ("data/*.parquet", "data/out")]
    {
        assert_eq!(complaint_of_output(store, output), None, "{store} → {output}");
    }
}

#[test]
fn a_description_is_restored_whatever_the_working_directory() {
    // Seen from here, though not from the pipeline's folder, this store lies in the output.
    let here = std::env::current_dir().unwrap();
    let store = format!("{}{}/out/a.parquet", "../".repeat(20), here.strip_prefix("/").unwrap().display());
    let plan = plan(&GOOD.replace("data/a.parquet", &store), &[]).unwrap();
    let restored = restored(&plan, &Places { store: "s.parquet".into(), ..Places::default() });
    assert_eq!(restored.resolved, plan.resolved);
    assert_eq!(
        (restored.store.path.as_path(), restored.target.folder()),
        (Path::new("s.parquet"), Some(Path::new("o")))
    );
}

#[test]
fn sections_that_do_not_go_together_are_refused() {
    for (set, expected) in [
        (
            &["search.index='hnsw'", "mine.negatives.skip_nearest=5000"][..],
            "mine.negatives.skip_nearest = 5000: counts farther than the 4,096 rows that a graph is asked for; choose \
             search.index = \"cells\" or \"exact\"",
        ),
        (
            &["queries.path='q.parquet'", "batches.kind='pk'"],
            "batches.kind = \"pk\": puts together rows of the store, anchors among them, and with [queries] anchors are of \
             another table; choose kind = \"triplets\"",
        ),
        (
            &["batches.kind='triplets'", "batches.size=4", "output.layout='labeled-list'"],
            "batches.kind = \"triplets\": is for losses that take rows of a batch for each other's negatives, and rows of layout \
             \"labeled-list\" are judged one by one; expected output.layout = \"triplet\", \"n-tuple\" or \"pair\"",
        ),
        (
            &["balance.weights='inverse'", "output.layout='candidates'"],
            "balance.weights = \"inverse\": fills a column that layout \"candidates\" does not have",
        ),
        (
            &["balance.weights='inverse'", "store.carry=['text']", "output.columns='text'"],
            "balance.weights = \"inverse\": fills a column that output.columns = \"text\" leaves out",
        ),
        (
            &["balance.weights='inverse'", "output.format='npy'"],
            "balance.weights = \"inverse\": fills a column that an array of row indices has no place for",
        ),
    ] {
        assert_eq!(refusal(set), format!("p.toml: {expected}"));
    }
    // Without classes nothing goes by them; what goes by rows does.
    let classless = "goes by classes, and with [pairs] no row has one; leave it out, or use labels instead of pairs";
    for (set, key) in [
        ("balance.anchors_per_class=2", "anchors_per_class = 2"),
        ("balance.oversample_to=2", "oversample_to = 2"),
        ("balance.weights='inverse'", "weights = \"inverse\""),
    ] {
        assert_eq!(plan(RETRIEVAL, &[set]).unwrap_err(), format!("p.toml: balance.{key}: {classless}"));
        plan(GOOD, &["queries.path='q.parquet'", set]).unwrap();
    }
    plan(RETRIEVAL, &["balance.max_uses=2", "balance.triplets=9"]).unwrap();
    assert_eq!(
        plan(RETRIEVAL, &["batches.kind='pk'"]).unwrap_err(),
        "p.toml: batches.kind = \"pk\": puts together rows of several classes, and with [pairs] no row has one; choose kind = \
         \"triplets\""
    );
    plan(RETRIEVAL, &["batches.kind='triplets'", "batches.size=8"]).unwrap();
    for transform in ["rca", "lda"] {
        let message =
            "learns from classes, and with [pairs] no row has one; choose pca-whiten, or use labels instead of pairs";
        let expected = format!("p.toml: prepare.transform = \"{transform}\": {message}");
        assert_eq!(plan(RETRIEVAL, &[&format!("prepare.transform={transform}")]).unwrap_err(), expected);
        plan(GOOD, &["queries.path='q.parquet'", &format!("prepare.transform={transform}")]).unwrap();
    }
    plan(RETRIEVAL, &["prepare.transform=pca-whiten", "prepare.standardize=true"]).unwrap();
}

#[test]
fn transforms_that_make_no_sense_are_refused() {
    let known = "expected none, pca-whiten, rca, lda, or a file that ends with .npy or .parquet";
    for (set, expected) in [
        (
            &["prepare.transform=pca"][..],
            format!("transform = \"pca\": unknown transform; did you mean `pca-whiten`? {known}"),
        ),
        (&["prepare.transform=''"], format!("transform = \"\": unknown transform; {known}")),
        (&["prepare.transform=m.csv"], format!("transform = \"m.csv\": unknown transform; {known}")),
        (
            &["prepare.dimensions=3"],
            "dimensions = 3: prepare.transform = \"none\" has no first dimensions to keep; expected pca-whiten or lda, or dimensions = 0".into(),
        ),
        (
            &["prepare.dimensions=3", "prepare.transform=rca"],
            "dimensions = 3: prepare.transform = \"rca\" has no first dimensions to keep; expected pca-whiten or lda, or dimensions = 0".into(),
        ),
        (
            &["prepare.dimensions=3", "prepare.transform=m.npy"],
            "dimensions = 3: prepare.transform = \"m.npy\" has no first dimensions to keep; expected pca-whiten or lda, or dimensions = 0".into(),
        ),
        (
            &["prepare.dimensions=-1", "prepare.transform=lda"],
            "dimensions = -1: invalid value: integer `-1`, expected a whole number, 0 or more".into(),
        ),
        (
            &["prepare.transform=s3://a//m.npy"],
            "transform = \"s3://a//m.npy\": is no URL: a name between two slashes is empty".into(),
        ),
    ] {
        assert_eq!(refusal(set), format!("p.toml: prepare.{expected}"));
    }
    assert_eq!(
        refusal(&["prepare.transform=out/m.npy"]),
        "p.toml:8:8: output.path = \"out\": would replace the transform, out/m.npy; choose a folder of its own"
    );
    let plan = plan(GOOD, &["prepare.transform=data/m.npy"]).unwrap();
    assert_eq!(plan.from_output.matrix.as_deref(), Some("../data/m.npy"));
}
