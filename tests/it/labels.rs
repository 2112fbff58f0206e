//! Rows with several labels: sharing any one makes a positive, a negative shares none.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, RecordBatch, StringArray, UInt64Array};
use arrow::compute::{cast, concat};
use arrow::datatypes::{DataType, Field};
use parquet::arrow::ArrowWriter;
use serde_json::Value;

use crate::equivalence::{awkward, room_of};
use crate::support::{Draw, Room, Rows, STORE, batches, manifest, parts, sample, triplets, unmined};
use crate::tamper::{edit_manifest, reseal};
use crate::twin::{Asked, LISTS, Twin};

/// An awkward store with several labels a row: the same one twice, empty ones and none at all among them.
fn listed(draw: &mut Draw) -> Rows {
    let mut rows = awkward(draw);
    let kinds = 2 + draw.below(12);
    for labels in &mut rows.labels {
        let one = |draw: &mut Draw| match draw.below(8) {
            0 => String::new(),
            _ => format!("l{}", draw.below(kinds)),
        };
        let some: Vec<String> = (0..draw.below(4)).map(|_| one(draw)).collect();
        *labels = (draw.below(9) > 0).then(|| some.join(","));
    }
    for (row, labels) in ["l0,l1", "l1,l1,", "alone,", ","].into_iter().enumerate() {
        rows.labels[row] = Some(labels.to_owned());
    }
    rows
}

fn store_of_lists() -> String {
    STORE.replace("'label'", &format!("\"{LISTS}\""))
}

#[test]
fn exact_mining_of_lists_is_what_the_definitions_say() {
    let mut mined = 0;
    for seed in 0..120 {
        let mut draw = Draw(seed);
        let rows = listed(&mut draw);
        let asked = Asked::draw(&mut draw, &rows);
        let (room, scores) = room_of(&rows, &mut draw);
        let out = room.run("out", &asked.pipeline());
        let lines = triplets(&out);
        mined += lines.len();
        let verdict = Twin::new(&rows, asked.metric()).scored(scores).check(&asked, &lines, &unmined(&out));
        assert_eq!(verdict, Ok(()), "seed {seed}\n{}", asked.pipeline());
        if seed % 6 == 0 {
            room.miner(&["verify", "out", "--full"]).exits(0);
        }
    }
    assert!(mined > 5_000, "{mined} triplets: too few to tell");
}

#[test]
fn approximate_search_of_lists_is_never_wrong() {
    let mut mined = 0;
    for seed in 200..215 {
        let mut draw = Draw(seed);
        let rows = listed(&mut draw);
        let asked = Asked::draw(&mut draw, &rows);
        let (room, scores) = room_of(&rows, &mut draw);
        for index in ["cells", "hnsw"] {
            let out = room.run(index, &asked.pipeline().replace("'exact'", &format!("'{index}'")));
            let lines = triplets(&out);
            mined += lines.len();
            let verdict =
                Twin::new(&rows, asked.metric()).scored(scores.clone()).admits(&asked, &lines, &unmined(&out));
            assert_eq!(verdict, Ok(()), "seed {seed} {index}\n{}", asked.pipeline());
            room.miner(&["verify", index, "--full"]).exits(0);
        }
    }
    assert!(mined > 1_000, "{mined} triplets: too few to tell");
}

#[test]
fn a_list_of_one_mines_what_its_label_does() {
    for seed in 300..315 {
        let mut draw = Draw(seed);
        let rows = awkward(&mut draw);
        let asked = Asked::draw(&mut draw, &rows).pipeline();
        let (room, _) = room_of(&rows, &mut draw);
        let more = match seed % 3 {
            0 => "",
            1 => "\nbatches = { kind = 'triplets', size = 2 }",
            _ => "\nbalance = { max_uses = 3, triplets = 500 }",
        };
        for index in ["exact", "cells", "hnsw"] {
            let asked = format!("{}{more}", asked.replace("'exact'", &format!("'{index}'")));
            let one = room.run(&format!("one-{index}"), &asked);
            let lists = asked.replace("store.label = 'label'", "store.label = 'make_array(label)'");
            assert!(lists != asked);
            let list = room.run(&format!("list-{index}"), &lists);
            assert_eq!(triplets(&one), triplets(&list), "seed {seed} {index}\n{asked}");
            assert_eq!(unmined(&one), unmined(&list), "seed {seed} {index}");
            for file in ["batches.parquet", "remainder.parquet"] {
                let read = |out: &Path| out.join(file).exists().then(|| batches(&out.join(file)));
                assert_eq!(read(&one), read(&list), "seed {seed} {index} {file}");
            }
            let told = |out: &Path| manifest(out)["balance"].clone();
            assert_eq!(told(&one), told(&list), "seed {seed} {index}");
        }
    }
}

/// Adds a column to a file.
fn add_column(path: &Path, name: &str, column: ArrayRef) {
    let batch = batches(path).remove(0);
    let fields = batch.schema().fields().iter().map(|field| field.as_ref().clone()).collect::<Vec<_>>();
    let fields = [fields, vec![Field::new(name, column.data_type().clone(), true)]].concat();
    let columns = [batch.columns().to_vec(), vec![column]].concat();
    let batch = RecordBatch::try_new(Arc::new(arrow::datatypes::Schema::new(fields)), columns).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// Lists of strings; `None` is a null list, an empty string a null in it.
fn lists(rows: &[Option<String>]) -> ListArray {
    let one: Vec<ArrayRef> = rows
        .iter()
        .map(|row| {
            let labels = row.iter().flat_map(|labels| labels.split(',')).map(|l| (!l.is_empty()).then_some(l));
            Arc::new(StringArray::from_iter(labels)) as ArrayRef
        })
        .collect();
    let lengths = one.iter().map(|labels| labels.len());
    let ends = arrow::buffer::OffsetBuffer::from_lengths(lengths);
    let values = concat(&one.iter().map(|labels| labels.as_ref()).collect::<Vec<_>>()).unwrap();
    let valid = rows.iter().map(Option::is_some).collect::<Vec<_>>().into();
    ListArray::new(Arc::new(Field::new_list_field(DataType::Utf8, true)), ends, values, Some(valid))
}

#[test]
fn lists_of_every_kind_are_the_same_labels() {
    let room = Room::new();
    let mut rows = listed(&mut Draw(7));
    // Digits, so that they are numbers, too.
    for labels in rows.labels.iter_mut().flatten() {
        *labels = labels.replace("alone", "99").replace('l', "");
    }
    let path = room.path("store.parquet");
    rows.write(&path);
    let list = |item: DataType| DataType::List(Arc::new(Field::new_list_field(item, true)));
    let text: ArrayRef = Arc::new(lists(&rows.labels));
    let item = |item: DataType| Arc::new(Field::new_list_field(item, true));
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let kinds = [
        list(DataType::Utf8),
        list(DataType::LargeUtf8),
        list(DataType::Utf8View),
        list(DataType::Int64),
        list(DataType::UInt8),
        list(dictionary),
        DataType::LargeList(item(DataType::Utf8)),
        DataType::LargeList(item(DataType::Int32)),
    ];
    for (index, kind) in kinds.iter().enumerate() {
        add_column(&path, &format!("kind_{index}"), cast(&text, kind).unwrap());
    }
    // All as long as the longest.
    let long = rows.labels.iter().map(|row| row.as_ref().map_or(0, |labels| labels.split(',').count())).max().unwrap();
    let padded = |row: &Option<String>| {
        let labels = row.clone().unwrap_or_default();
        Some(labels.clone() + &",".repeat(long - labels.split(',').count()))
    };
    let padded = lists(&rows.labels.iter().map(padded).collect::<Vec<_>>());
    let fixed = DataType::FixedSizeList(item(DataType::Utf8), long as i32);
    add_column(&path, "fixed", cast(&padded, &fixed).unwrap());
    let mine = |name: &str, label: &str| {
        let store = STORE.replace("'label'", &format!("\"{label}\""));
        let out = room.run(name, &format!("{store}mine.bands = {{ any = 3 }}\nmine.positives.pick = 'all'\n"));
        room.miner(&["verify", name, "--full"]).exits(0);
        (triplets(&out), unmined(&out))
    };
    let expected = mine("expected", LISTS);
    assert!(expected.0.len() > 100);
    for (index, kind) in kinds.iter().enumerate() {
        let column = format!("kind_{index}");
        assert!(mine(&column, &column) == expected, "{kind}");
    }
    assert!(mine("fixed", "fixed") == expected);
}

#[test]
fn one_label_of_all_leaves_no_negative_and_many_labels_change_nothing() {
    let mut draw = Draw(11);
    let mut rows = listed(&mut draw);
    rows.labels.iter_mut().for_each(|labels| *labels = Some(format!("everyone,{}", labels.take().unwrap_or_default())));
    let room = Room::new();
    rows.write(&room.path("store.parquet"));
    let out = room.run("out", &format!("{}mine.bands = {{ any = 2 }}\n", store_of_lists()));
    assert!(triplets(&out).is_empty());
    let reasons: BTreeSet<String> = unmined(&out).into_values().collect();
    assert_eq!(reasons, BTreeSet::from(["band-empty".to_owned()]));
    room.miner(&["verify", "out", "--full"]).exits(0);

    // 64 labels a row, of which rows of a class share the last one: the classes of a store with one label a row.
    let classes = awkward(&mut draw);
    let mut many = classes.clone();
    for (row, label) in many.labels.iter_mut().enumerate() {
        let own: Vec<String> = (0..63).map(|index| format!("own-{row}-{index}")).collect();
        *label = label.take().map(|label| format!("{},{label}", own.join(",")));
    }
    let room = Room::new();
    classes.write(&room.path("store.parquet"));
    many.write(&room.path("many.parquet"));
    let asked = "mine.bands = { hard = 2, semi-hard = 2 }\nmine.pick = 'nearest'\nmine.positives.pick = 'hardest'\n";
    let one = room.run("one", &format!("{STORE}{asked}"));
    let several = room.run("several", &format!("{}{asked}", store_of_lists().replace("store.parquet", "many.parquet")));
    assert!(!triplets(&one).is_empty());
    assert_eq!(triplets(&one), triplets(&several));
    assert_eq!(unmined(&one), unmined(&several));
    room.miner(&["verify", "several", "--full"]).exits(0);
}

/// Digits, each with its own label and that of its parity.
fn digits(extra: &str) -> String {
    format!(
        "store.path = '{}'\nstore.id = 'id'\nstore.embedding = 'embedding'\nmine.margin = 0.1\n\
         store.label = \"make_array(cast(label as varchar), case when label % 5 = 0 then 'fives' end)\"\n{extra}",
        sample("digits.parquet")
    )
}

#[test]
fn labels_come_out_as_lists() {
    let room = Room::new();
    let expected = DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)));
    let mut texts: Vec<Vec<String>> = Vec::new();
    for format in ["parquet", "arrow", "jsonl"] {
        let out = room.run(format, &digits(&format!("output.format = '{format}'\n")));
        room.miner(&["verify", format, "--full"]).exits(0);
        let part = parts(&out).remove(0);
        texts.push(match format {
            "jsonl" => fs::read_to_string(&part)
                .unwrap()
                .lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap()["anchor_label"].to_string())
                .collect(),
            _ => {
                let read: Vec<RecordBatch> = match format {
                    "parquet" => batches(&part),
                    _ => arrow::ipc::reader::FileReader::try_new(File::open(&part).unwrap(), None)
                        .unwrap()
                        .map(|batch| batch.unwrap())
                        .collect(),
                };
                let labels = read.iter().map(|batch| batch.column_by_name("anchor_label").unwrap());
                let labels = concat(&labels.map(|labels| labels.as_ref()).collect::<Vec<_>>()).unwrap();
                assert_eq!(*labels.data_type(), expected, "{format}");
                let lists = labels.as_list::<i32>();
                let text = |list: ArrayRef| {
                    let list = list.as_string::<i32>().iter().flatten().map(|label| format!("\"{label}\""));
                    format!("[{}]", list.collect::<Vec<_>>().join(","))
                };
                lists.iter().flatten().map(text).collect()
            }
        });
    }
    assert!(texts[0].len() > 1_000 && texts[0] == texts[1] && texts[1] == texts[2]);
    let different: BTreeSet<&String> = texts[0].iter().collect();
    let few = different.iter().take(3).map(|text| text.as_str()).collect::<Vec<_>>();
    assert_eq!((different.len(), few), (10, vec!["[\"0\",\"fives\"]", "[\"1\"]", "[\"2\"]"]));

    for layout in ["n-tuple", "pair", "labeled-pair", "labeled-list", "candidates"] {
        room.run(layout, &digits(&format!("mine.bands = {{ any = 2 }}\noutput.layout = '{layout}'\n")));
        room.miner(&["verify", layout, "--full"]).exits(0);
    }
}

#[test]
fn what_one_label_alone_can_give_is_refused_by_name() {
    let room = Room::new();
    for (asked, key) in [
        ("balance.anchors_per_class = 5", "balance.anchors_per_class"),
        ("balance.oversample_to = 5", "balance.oversample_to"),
        ("balance.weights = 'inverse'", "balance.weights"),
        ("batches = { kind = 'pk', classes = 2, per_class = 2 }", "batches.kind"),
        ("prepare.transform = 'rca'", "prepare.transform"),
        ("prepare.transform = 'lda'", "prepare.transform"),
        ("output.format = 'csv'", "output.format"),
    ] {
        room.write("p.toml", &digits(&format!("{asked}\noutput.path = 'out'\n")));
        for command in ["run", "plan"] {
            let refused = room.miner(&[command, "p.toml"]).exits(2);
            assert!(refused.stderr.contains(&format!("p.toml: {key}")), "{asked}: {}", refused.stderr);
            assert!(refused.stderr.contains("several labels"), "{asked}: {}", refused.stderr);
        }
        assert!(!room.path("out").exists());
    }
    // What does not look at labels, and what has a meaning for several.
    let text = "store.carry = ['label']\noutput.columns = 'label'\noutput.format = 'csv'\n";
    for (name, asked) in [
        ("csv", text),
        ("pca", "prepare.transform = 'pca-whiten'\n"),
        ("uses", "balance.max_uses = 2\n"),
        ("few", "balance.triplets = 100\n"),
        ("classes", "mine.negatives.max_per_class = 1\nmine.bands = { any = 3 }\n"),
    ] {
        room.run(name, &digits(asked));
        room.miner(&["verify", name, "--full"]).exits(0);
    }
}

#[test]
fn batches_of_triplets_hold_no_negative_with_a_label_of_an_anchor() {
    let mut made = 0;
    for seed in 400..420 {
        let mut draw = Draw(seed);
        let rows = listed(&mut draw);
        let room = Room::new();
        rows.write(&room.path("store.parquet"));
        let asked =
            format!("{}mine.bands = {{ any = 2 }}\nbatches = {{ kind = 'triplets', size = 2 }}\n", store_of_lists());
        let out = room.run("out", &asked);
        room.miner(&["verify", "out", "--full"]).exits(0);
        let lines = triplets(&out);
        let labels = |row: u64| -> BTreeSet<&str> {
            rows.labels[row as usize].iter().flat_map(|l| l.split(',')).filter(|l| !l.is_empty()).collect()
        };
        let mut by_batch: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for batch in batches(&out.join("batches.parquet")) {
            let column = |name: &str| cast(batch.column_by_name(name).unwrap(), &DataType::UInt64).unwrap();
            let (numbers, places) = (column("batch"), column("triplet"));
            let values = |column: &ArrayRef| column.as_any().downcast_ref::<UInt64Array>().unwrap().values().to_vec();
            for (number, place) in values(&numbers).into_iter().zip(values(&places)) {
                by_batch.entry(number).or_default().push(place);
            }
        }
        made += by_batch.len();
        for batch in by_batch.values() {
            for &a in batch {
                for &b in batch.iter().filter(|&&b| b != a) {
                    let (a, b) = (&lines[a as usize], &lines[b as usize]);
                    assert!(labels(a.anchor).is_disjoint(&labels(b.anchor)), "seed {seed}: {a:?} {b:?}");
                    for beside in [b.positive, b.negative] {
                        assert!(labels(a.anchor).is_disjoint(&labels(beside)), "seed {seed}: {a:?} {b:?}");
                    }
                }
            }
        }
    }
    assert!(made > 50, "{made} batches: too few to tell");
}

#[test]
fn uses_and_labels_are_capped_together() {
    let mut spared = 0;
    for seed in 500..512 {
        let mut draw = Draw(seed);
        let rows = listed(&mut draw);
        let room = Room::new();
        rows.write(&room.path("store.parquet"));
        let pick = draw.one_of(&["nearest", "random"]);
        let asked = format!(
            "{}mine.bands = {{ any = 3 }}\nmine.pick = '{pick}'\nmine.positives.per_anchor = 2\n\
             mine.negatives.max_per_class = 2\nbalance.max_uses = 4\n",
            store_of_lists()
        );
        let out = room.run("out", &asked);
        room.miner(&["verify", "out"]).exits(0);
        room.miner(&["verify", "out", "--full"]).exits(0);
        let (mut uses, mut of_label) = (BTreeMap::<u64, u32>::new(), BTreeMap::<(u64, &str), u32>::new());
        for line in triplets(&out) {
            *uses.entry(line.negative).or_default() += 1;
            let labels: BTreeSet<&str> =
                rows.labels[line.negative as usize].iter().flat_map(|l| l.split(',')).collect();
            for label in labels.into_iter().filter(|label| !label.is_empty()) {
                *of_label.entry((line.anchor, label)).or_default() += 1;
            }
        }
        assert!(uses.values().all(|&uses| uses <= 4) && of_label.values().all(|&given| given <= 2), "seed {seed}");
        spared += manifest(&out)["balance"]["refilled"].as_u64().unwrap();
    }
    assert!(spared > 20, "{spared} slots filled again: too few to tell");
}

#[test]
fn suspects_share_no_label() {
    let vectors = vec![vec![1.0, 0.0]; 6].into_iter().chain([vec![0.0, 1.0]]).collect();
    let labels = ["a,b", "b,c", "c", "a,b,c", "", "d", "d"].map(|label| Some(label.to_owned())).to_vec();
    let room = Room::new();
    Rows { vectors, labels, teams: vec![None; 7] }.write(&room.path("store.parquet"));
    let out = room.run("out", &format!("{}mine.bands = {{ any = 1 }}\n", store_of_lists()));
    let batch = batches(&out.join("suspects.parquet")).remove(0);
    let rows = |name: &str| {
        let rows = cast(batch.column_by_name(name).unwrap(), &DataType::UInt64).unwrap();
        rows.as_primitive::<arrow::datatypes::UInt64Type>().values().to_vec()
    };
    // Each with the first that it shares nothing with: 2 with 0, 5 with 0, but 3 with none.
    assert_eq!((rows("a_row"), rows("b_row")), (vec![0, 0], vec![2, 5]));
    assert_eq!(batch.column_by_name("a_label").unwrap().as_list::<i32>().value(0).len(), 2);
    room.miner(&["verify", "out", "--full"]).exits(0);
}

#[test]
fn queries_and_store_agree_on_lists() {
    let mut draw = Draw(31);
    let corpus = listed(&mut draw);
    let mut queries = corpus.clone();
    // One label each.
    queries.labels.iter_mut().for_each(|label| *label = Some(format!("l{}", draw.below(6))));
    let room = Room::new();
    corpus.write(&room.path("store.parquet"));
    queries.write_with_ids(&room.path("queries.parquet"), (0..queries.vectors.len() as u64).map(|id| id + 10_000));
    let asked = |label: &str| {
        format!(
            "{}queries = {{ path = 'queries.parquet', label = \"{label}\" }}\nmine.bands = {{ any = 3 }}\n\
             mine.positives.pick = 'all'\nmine.pick = 'nearest'\n",
            store_of_lists()
        )
    };
    let one = room.run("one", &asked("label"));
    let list = room.run("list", &asked("make_array(label, null)"));
    assert!(triplets(&one).len() > 100);
    assert_eq!(triplets(&one), triplets(&list));
    room.miner(&["verify", "one", "--full"]).exits(0);
    let own = |row: u64| queries.labels[row as usize].as_deref().unwrap();
    let has = |row: u64, label: &str| corpus.labels[row as usize].iter().any(|l| l.split(',').any(|l| l == label));
    for line in triplets(&one) {
        assert!(has(line.positive, own(line.anchor)) && !has(line.negative, own(line.anchor)), "{line:?}");
    }
}

#[test]
fn forged_lists_are_found() {
    let room = Room::new();
    room.run("out", &digits("output.format = 'jsonl'\noutput.rows_per_file = 100000\n"));
    let part = "triplets/part-00000.jsonl";
    let path = room.path("out").join(part);
    let honest = fs::read_to_string(&path).unwrap();
    let forge = |what: &str, told: &[&str], change: &dyn Fn(&mut Value)| {
        let mut lines: Vec<Value> = honest.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        change(&mut lines[7]);
        fs::write(&path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        reseal(&room.path("out"), part, lines.len());
        let found = room.miner(&["verify", "out"]).exits(3);
        assert!(told.iter().all(|told| found.stdout.contains(told)), "{what}: {}", found.stdout);
    };
    forge("a label", &["row 7", "negative_label"], &|line| line["negative_label"] = serde_json::json!(["1", "2"]));
    let positive = |line: &mut Value| {
        for fact in ["id", "row"] {
            line[format!("negative_{fact}")] = line[format!("positive_{fact}")].clone();
        }
    };
    forge("a negative that shares a label", &["row 7", "negative_row", "class"], &positive);
    edit_manifest(&room.path("out"), |sealed| sealed["pipeline"]["balance"]["weights"] = "inverse".into());
    let found = room.miner(&["verify", "out"]).exits(3).stdout;
    assert!(found.contains("manifest.json, pipeline: found out/manifest.json: balance.weights"), "{found}");
}

#[test]
fn inspect_says_that_there_are_several_and_begins_a_pipeline() {
    let room = Room::new();
    let rows = listed(&mut Draw(5));
    rows.write(&room.path("store.parquet"));
    let mut plain = rows.clone();
    plain.labels.fill(None);
    plain.write(&room.path("listed.parquet"));
    add_column(&room.path("listed.parquet"), "tags", Arc::new(lists(&rows.labels)));
    let told = room.miner(&["inspect", "listed.parquet", "--write", "begun.toml"]).exits(0);
    assert!(told.stdout.contains("several labels a row"), "{}", told.stdout);
    let begun = fs::read_to_string(room.path("begun.toml")).unwrap();
    assert!(begun.contains("label = \"tags\"\n") && begun.contains("several labels a row"), "{begun}");
    room.miner(&["run", "begun.toml", "--quiet"]).exits(0);
    let plan = room.miner(&["plan", "begun.toml"]).exits(0);
    assert!(plan.stdout.contains("the most of a row"), "{}", plan.stdout);
}
