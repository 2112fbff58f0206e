//! Vectors in arrays beside a table, as numpy writes them: the same triplets as of a column, and every refusal in its words.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeListArray, Float64Array, Int32Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};

use triplet_miner::store::inspect_arrays;

use crate::oracle::python;
use crate::support::{Draw, Ran, Room, copy, manifest, root, tree, write_table};

const ROWS: usize = 240;
const DIMS: usize = 7;

/// Vectors of classes that overlap; three of them are such as no pipeline takes.
fn vectors(seed: u64) -> Vec<f64> {
    let mut draw = Draw(seed);
    let mut values: Vec<f64> =
        (0..ROWS * DIMS).map(|at| f64::from(draw.unit()) + (at / DIMS % 3) as f64 / 3.0).collect();
    values[7 * DIMS + 3] = f64::NAN;
    values[11 * DIMS..12 * DIMS].fill(0.0);
    values[200 * DIMS] = f64::INFINITY;
    values
}

/// The rows `from..to` of a table, with a column of vectors where `kind` says of what.
fn write_rows(path: &Path, from: usize, to: usize, values: &[f64], kind: Option<DataType>) {
    let rows = || from..to;
    let label: StringArray = rows().map(|row| (row % 17 > 0).then(|| format!("c{}", row % 3))).collect();
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(StringArray::from_iter_values(rows().map(|row| format!("r{row}"))))),
        ("label", Arc::new(label)),
        ("n", Arc::new(Int32Array::from_iter_values(rows().map(|row| row as i32)))),
    ];
    if let Some(kind) = kind {
        let values: ArrayRef = Arc::new(Float64Array::from(values[from * DIMS..to * DIMS].to_vec()));
        let item = Arc::new(Field::new("item", kind.clone(), false));
        let values = cast(&values, &kind).unwrap();
        columns.push(("embedding", Arc::new(FixedSizeListArray::new(item, DIMS as i32, values, None))));
    }
    write_table(path, columns);
}

/// A table in two files, alone and with a column of each type; its values in `x.f64`, for numpy.
fn room(values: &[f64]) -> Room {
    let room = Room::in_memory();
    for (folder, kind) in [
        ("alone", None),
        ("f2", Some(DataType::Float16)),
        ("f4", Some(DataType::Float32)),
        ("f8", Some(DataType::Float64)),
    ] {
        fs::create_dir(room.path(folder)).unwrap();
        for (name, from, to) in [("a.parquet", 0, 90), ("b.parquet", 90, ROWS)] {
            write_rows(&room.path(folder).join(name), from, to, values, kind.clone());
        }
    }
    fs::write(room.path("x.f64"), values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>()).unwrap();
    room
}

/// Lets numpy write files; `x` is the array of `x.f64`.
#[track_caller]
fn numpy(room: &Room, script: &str) {
    let script = format!(
        "import io, zipfile\nimport numpy as np\nx = np.fromfile('x.f64').reshape({ROWS}, {DIMS})\nf4 = x.astype('f4')\n{script}"
    );
    let output =
        Command::new(python()).args(["-W", "ignore", "-c", &script]).current_dir(room.path("")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

const GOOD: &str = r#"
for kind in ["f2", "f4", "f8"]:
    np.save(f"{kind}.npy", x.astype(kind))
for version in [2, 3]:
    with open(f"version-{version}.npy", "wb") as file:
        np.lib.format.write_array(file, f4, version=(version, 0))
for name, part in zip("abc", np.split(f4, [100, 101])):
    np.save(f"part-{name}.npy", part)
np.save("nothing.npy", f4[:0])
np.savez("one.npz", f4)
np.savez("several.npz", other=x[:5], emb=f4)
np.savez_compressed("packed.npz", other=x[:5], emb=f4)
np.savez_compressed("packed-a.npz", emb=f4[:150])
np.savez_compressed("packed-b.npz", emb=f4[150:])
np.hstack([np.full((len(f4), 1), f4.shape[1], "<i4").view("f4"), f4]).tofile("x.fvecs")
"#;

const MINE: &str = "\
store.label = 'label'
store.id = 'id'
store.bad_rows = 'skip'
store.carry = ['n']
mine.margin = 0.3
mine.bands = { hard = 1, semi-hard = 2 }
mine.negatives.duplicate_distance = 0.01
";

/// Everything a run writes that does not tell what it was made from.
fn made(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = tree(out);
    files.retain(|name, _| {
        name.starts_with("triplets/") || ["unmined.parquet", "suspects.parquet"].contains(&name.as_str())
    });
    assert!(files.len() >= 2, "{:?}", files.keys());
    let manifest = manifest(out);
    files.insert("rows".into(), manifest["rows"].to_string().into());
    files.insert("parts".into(), manifest["parts"].to_string().into());
    files
}

#[test]
fn arrays_give_the_triplets_of_the_column_that_they_stand_for() {
    let room = room(&vectors(1));
    numpy(&room, GOOD);
    let several = "['part-a.npy', 'part-b.npy', 'nothing.npy', 'part-c.npy']";
    for (filter, column, arrays) in [
        ("true", "f2", &["'f2.npy'"][..]),
        ("n % 4 <> 1", "f8", &["'f8.npy'"]),
        (
            "n > 20",
            "f4",
            &[
                "'f4.npy'",
                "['f4.npy']",
                "'version-2.npy'",
                "'version-3.npy'",
                "'part-*.npy'",
                several,
                "'one.npz'",
                "'one.npz:arr_0'",
                "'several.npz:emb'",
                "'packed.npz:emb'",
                "'packed-*.npz'",
                "'packed-*.npz:emb'",
                "'x.fvecs'",
            ],
        ),
    ] {
        let pipeline = |path: &str, key: &str, vectors: &str| {
            format!("store.path = '{path}'\nstore.{key} = {vectors}\nstore.where = '{filter}'\n{MINE}")
        };
        let expected = made(&room.run(&format!("column-{column}"), &pipeline(column, "embedding", "'embedding'")));
        for (ordinal, vectors) in arrays.iter().enumerate() {
            let out = room.run(&format!("arrays-{column}-{ordinal}"), &pipeline("alone", "vectors", vectors));
            assert!(made(&out) == expected, "{vectors}");
            let inputs = manifest(&out)["inputs"].as_array().unwrap().clone();
            let of_arrays: Vec<_> = inputs.iter().filter(|input| input["role"] == "vectors").collect();
            assert_eq!(of_arrays.len(), if *vectors == several { 4 } else { 1 }, "{inputs:?}");
            assert_eq!(of_arrays.iter().map(|input| input["rows"].as_u64().unwrap()).sum::<u64>(), ROWS as u64);
        }
    }
    let told = room.miner(&["verify", "--full", &format!("arrays-f4-{}", 5)]).exits(0).stdout;
    assert!(told.contains("sound"), "{told}");
}

#[test]
fn bytes_are_vectors_of_whole_numbers() {
    let mut draw = Draw(2);
    let values: Vec<f64> = (0..ROWS * DIMS).map(|_| draw.below(256) as f64).collect();
    let room = room(&values);
    numpy(
        &room,
        "np.hstack([np.full((len(x), 1), x.shape[1], '<i4').view('u1').reshape(-1, 4), x.astype('u1')]).tofile('x.bvecs')",
    );
    let pipeline = |path: &str, vectors: &str| {
        format!("store.path = '{path}'\nstore.{vectors}\n{MINE}mine.metric = 'euclidean'\n")
    };
    let expected = made(&room.run("column", &pipeline("f4", "embedding = 'embedding'")));
    assert!(made(&room.run("arrays", &pipeline("alone", "vectors = 'x.bvecs'"))) == expected);
}

#[test]
fn queries_have_arrays_of_their_own() {
    let room = room(&vectors(3));
    numpy(&room, GOOD);
    let pairs: (ArrayRef, ArrayRef) = (
        Arc::new(StringArray::from_iter_values((0..60).map(|row| format!("r{}", 3 * row)))),
        Arc::new(StringArray::from_iter_values((0..60).map(|row| format!("r{}", 3 * row + 1)))),
    );
    write_table(&room.path("pairs.parquet"), vec![("query_id", pairs.0), ("corpus_id", pairs.1)]);
    let pipeline = |store: &str, queries: &str| {
        format!(
            "store = {{ {store}, id = 'id', bad_rows = 'skip' }}\nqueries = {{ {queries}, where = 'n < 200' }}\n\
             pairs.path = 'pairs.parquet'\nmine.bands = {{ any = 3 }}\n"
        )
    };
    let column = "path = 'f4', embedding = 'embedding'";
    let expected = made(&room.run("columns", &pipeline(column, "path = 'f4'")));
    let (store, queries) = ("path = 'alone', vectors = 'packed.npz:emb'", "path = 'alone', vectors = 'f4.npy'");
    for (name, store, queries) in [("both", store, queries), ("store", store, column), ("queries", column, queries)] {
        let out = room.run(name, &pipeline(store, queries));
        assert!(made(&out) == expected, "{name}");
        room.miner(&["verify", name]).exits(0);
    }
    // What does not move with the output is named.
    fs::create_dir(room.path("elsewhere")).unwrap();
    for name in ["packed.npz", "f4.npy"] {
        fs::rename(room.path(name), room.path("elsewhere").join(name)).unwrap();
    }
    let told = room.miner(&["verify", "both"]).exits(3).stderr;
    assert!(
        told.contains("the vectors are not where the manifest says; if moved") && told.contains("--vectors PATH"),
        "{told}"
    );
    let moved = ["verify", "both", "--vectors", "elsewhere/packed.npz:emb"];
    let told = room.miner(&moved).exits(3).stderr;
    assert!(told.contains("the query-vectors are not where") && told.contains("--query-vectors PATH"), "{told}");
    room.miner(&[&moved[..], &["--query-vectors", "elsewhere/f4.npy"]].concat()).exits(0);
    // Others of the same shape are other inputs.
    numpy(&room, "np.save('other.npy', np.roll(f4, 1, 0))");
    room.miner(&["verify", "both", "--vectors", "elsewhere/packed.npz:emb", "--query-vectors", "other.npy"]).exits(3);
}

#[test]
fn rows_without_any_column_are_numbered() {
    let room = room(&vectors(4));
    numpy(&room, GOOD);
    let ids =
        |add: u32| -> ArrayRef { Arc::new(Int32Array::from_iter_values((0..60).map(|row| (3 * row + add) as i32))) };
    write_table(&room.path("pairs.parquet"), vec![("query_id", ids(0)), ("corpus_id", ids(1))]);
    let pipeline = |store: &str| {
        format!("store = {{ {store}, bad_rows = 'skip' }}\npairs.path = 'pairs.parquet'\nmine.bands = {{ any = 3 }}\n")
    };
    let expected = made(&room.run("column", &pipeline("path = 'f4', embedding = 'embedding'")));
    assert!(made(&room.run("arrays", &pipeline("path = 'alone', vectors = 'f4.npy'"))) == expected);
}

#[test]
fn rows_that_cannot_be_used_are_told_as_those_of_a_column() {
    let room = room(&vectors(5));
    numpy(&room, GOOD);
    let refused = |path: &str, vectors: &str| {
        let text = format!("store.path = '{path}'\nstore.{vectors}\n{MINE}").replace("'skip'", "'error'");
        room.write("p.toml", &text);
        room.miner(&["run", "--quiet", "p.toml"]).exits(3).stderr
    };
    let column = refused("f4", "embedding = 'embedding'");
    assert!(column.contains("a.parquet, row 7, id r7: element 3 of the vector is NaN"), "{column}");
    assert!(column.contains("b.parquet, row 110, id r200: element 0 of the vector is inf"), "{column}");
    assert_eq!(refused("alone", "vectors = 'f4.npy'").replace("alone/", "f4/"), column);
}

/// Runs a pipeline on the table with these vectors.
fn run(room: &Room, vectors: &str) -> Ran {
    room.write("p.toml", &format!("store.path = 'alone'\nstore.vectors = {vectors}\n{MINE}"));
    room.miner(&["run", "--quiet", "p.toml"])
}

const BAD: &str = r#"
np.save("fortran.npy", np.asfortranarray(f4))
np.save("big.npy", x.astype(">f4"))
np.save("whole.npy", x[11:12].astype("i8"))
np.save("one.npy", f4[0])
np.save("three.npy", f4[None])
np.save("objects.npy", np.array([row.tolist() for row in x[:3]] + [None], dtype=object), allow_pickle=True)
np.save("records.npy", np.zeros(3, dtype=[("a", "<f4"), ("b", "<i8")]))
np.save("no-width.npy", f4[:, :0])
np.save("short.npy", f4[:-1])
np.save("narrow.npy", f4[:, :-1])
np.save("double.npy", x)
np.save("good.npy", f4)
np.save("text.txt", f4)
np.savez("several.npz", a=f4, b=f4)
np.savez("none.npz")
np.savez_compressed("packed.npz", a=f4)
good = open("good.npy", "rb").read()
open("cut.npy", "wb").write(good[:-1])
open("longer.npy", "wb").write(good + b"\0")
open("empty.npy", "wb").write(b"")
open("parquet.npy", "wb").write(open("alone/a.parquet", "rb").read())
open("head.npy", "wb").write(good[:40])
def header(name, shape, data=b""):
    text = "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }" % shape
    open(name, "wb").write(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + data)
header("vast.npy", "(4294967296, 1048576)")
header("beyond.npy", "(18446744073709551615, 1048576)")
header("wide.npy", "(1, 4294967296)")
header("negative.npy", "(-1, 7)")
open("headless.npy", "wb").write(b"\x93NUMPY\x02\x00\xff\xff\xff\x7f{")
one = io.BytesIO(); np.save(one, f4)
with zipfile.ZipFile("bzip.npz", "w", zipfile.ZIP_BZIP2) as archive: archive.writestr("a.npy", one.getvalue())
with zipfile.ZipFile("twice.npz", "w") as archive:
    for _ in range(2): archive.writestr("a.npy", one.getvalue())
with zipfile.ZipFile("liar.npz", "w", zipfile.ZIP_DEFLATED) as archive: archive.writestr("a.npy", good[:-4])
stored = bytearray(open("several.npz", "rb").read())
stored[1000] ^= 1
open("damaged.npz", "wb").write(stored)
packed = open("packed.npz", "rb").read()
open("cut.npz", "wb").write(packed[:-30])
flipped = bytearray(packed); flipped[2000] ^= 16
open("flipped.npz", "wb").write(flipped)
headless = bytearray(packed); start = 30 + 5 + int.from_bytes(packed[28:30], "little"); headless[start:start + 8] = b"\xff" * 8
open("headless.npz", "wb").write(headless)
fvecs = np.hstack([np.full((len(f4), 1), f4.shape[1], "<i4").view("f4"), f4])
fvecs.tofile("good.fvecs")
open("cut.fvecs", "wb").write(fvecs.tobytes()[:-4])
open("empty.fvecs", "wb").write(b"")
fvecs.view("<i4")[5, 0] = 3
fvecs.tofile("ragged.fvecs")
open("minus.fvecs", "wb").write(b"\xff" * 64)
"#;

#[test]
fn what_is_no_array_of_vectors_is_refused_in_words() {
    const EXPECTED: &str = "expected rows × dimensions of little-endian f16, f32 or f64, row by row; ";
    const SAVE: &str = "save it with np.save(file, np.ascontiguousarray(x.astype(\"f4\")))";
    const AGAIN: &str = "write or copy it again";
    const ZIP: &str = "expected a zip archive with an array, stored or deflated; ";
    const COUNTED: &str =
        "expected vectors of one length, before each its length as a little-endian i32; write or copy it again";
    let room = room(&vectors(6));
    numpy(&room, BAD);
    fs::create_dir(room.path("folder")).unwrap();
    let unfit =
        |file: &str, found: &str, cure: &str| (format!("'{file}'"), format!("{file}: found {found}, {EXPECTED}{cure}"));
    let zip =
        |file: &str, found: &str, cure: &str| (format!("'{file}'"), format!("{file}: found {found}, {ZIP}{cure}"));
    let counted = |file: &str, found: &str| (format!("'{file}'"), format!("{file}: found {found}, {COUNTED}"));
    let plain = |vectors: &str, told: &str| (vectors.to_owned(), told.to_owned());
    let unlisted = |file: &str, why: &str| {
        (format!("'{file}'"), format!("p.toml:2:17: store.vectors = \"{file}\": {file}: {why}"))
    };
    let reshape = "save one vector a row, as in np.save(file, x.reshape(rows, dimensions))";
    let rewrite = "write it again with np.savez or np.savez_compressed";
    for (vectors, expected) in [
        unfit("fortran.npy", "an array in Fortran order, column by column", SAVE),
        unfit("big.npy", "values of type >f4", SAVE),
        unfit("whole.npy", "values of type <i8", SAVE),
        unfit("one.npy", "an array of shape (7,)", reshape),
        unfit("three.npy", "an array of shape (1, 240, 7)", reshape),
        unfit(
            "objects.npy",
            "Python objects of shape (4,), which only Python can read",
            "save it with np.save(file, np.stack(list(x)).astype(\"f4\"))",
        ),
        unfit(
            "records.npy",
            "records of [('a', '<f4'), ('b', '<i8')]",
            "save the vectors alone, as in np.save(file, x[\"embedding\"])",
        ),
        unfit("cut.npy", "6719 bytes of values for shape (240, 7) of f32, which takes 6720", AGAIN),
        unfit("longer.npy", "6721 bytes of values for shape (240, 7) of f32, which takes 6720", AGAIN),
        unfit("empty.npy", "no numpy array", AGAIN),
        unfit("parquet.npy", "no numpy array", AGAIN),
        unfit("head.npy", "a numpy array that ends in its header", AGAIN),
        unfit("headless.npy", "a numpy array with a header of 2147483647 bytes", AGAIN),
        unfit("negative.npy", "a numpy array with a damaged header", AGAIN),
        unfit(
            "vast.npy",
            "0 bytes of values for shape (4294967296, 1048576) of f32, which takes 18014398509481984",
            AGAIN,
        ),
        unfit(
            "beyond.npy",
            "0 bytes of values for shape (18446744073709551615, 1048576) of f32, which takes 77371252455336267177000960",
            AGAIN,
        ),
        plain(
            "'wide.npy'",
            "wide.npy: found vectors of 4294967296 values, expected from 1 to 1,048,576; write or copy it again",
        ),
        plain(
            "'no-width.npy'",
            "no-width.npy: found vectors of 0 values, expected from 1 to 1,048,576; write or copy it again",
        ),
        plain(
            "'short.npy'",
            "short.npy: 239 vectors, but alone has 240 rows (before `where`); expected one for each, in the same order",
        ),
        plain(
            "['short.npy', 'good.npy']",
            "short.npy, good.npy: 479 vectors in 2 files, but alone has 240 rows (before `where`); expected one for each, in the \
             same order",
        ),
        plain(
            "['good.npy', 'narrow.npy']",
            "good.npy holds vectors of 7 f32, but narrow.npy vectors of 6 f32; bring all arrays into one width and type",
        ),
        plain(
            "['good.npy', 'double.npy']",
            "good.npy holds vectors of 7 f32, but double.npy vectors of 7 f64; bring all arrays into one width and type",
        ),
        unlisted("vanished.npy", "no such file or folder"),
        unlisted("gone.npy", "no such file or folder; did you mean one.npy?"),
        unlisted("gone-*.npy", "no file matches this pattern"),
        unlisted("folder", "a folder; vectors are in an array file, or those of a pattern, as in shards/*.npy"),
        plain(
            "'alone/a.parquet'",
            "alone/a.parquet: found a name that ends with .parquet, expected .npy, .npz, .fvecs or .bvecs; rename it, or save it with \
             np.save",
        ),
        plain("'several.npz'", "several.npz: found 2 arrays, expected one; say which of a, b, as in \"file.npz:a\""),
        zip("several.npz:c", "no array of this name", "it holds a, b"),
        zip("none.npz", "no array in it", rewrite),
        zip("bzip.npz", "an array packed with BZIP2", rewrite),
        zip("twice.npz:a", "two arrays of the name a", rewrite),
        zip("cut.npz", "no sound archive: Missing end of central directory", rewrite),
        unfit("liar.npz", "6716 bytes of values for shape (240, 7) of f32, which takes 6720", AGAIN),
        plain(
            "'damaged.npz:a'",
            "damaged.npz:a: damaged at row 0 or soon after: its checksum is not that of what was packed; write or copy it again",
        ),
        counted("cut.fvecs", "7676 bytes, not a multiple of the 32 that a vector of 7 takes"),
        counted("empty.fvecs", "0 bytes"),
        counted("minus.fvecs", "a first vector of -1 values"),
        plain(
            "'ragged.fvecs'",
            "ragged.fvecs: damaged at row 5 or soon after: a vector of 3 values, the first has 7; write or copy it again",
        ),
    ] {
        let ran = run(&room, &vectors).exits(3);
        let told = ran.stderr.replace(&format!("{}/", room.path("").display()), "").replace("./", "");
        let told = told.split("\n  |").next().unwrap_or_default();
        assert_eq!(told.trim_end(), format!("error: {expected}"), "{vectors}");
        assert!(!room.path("out/p").exists(), "{vectors} left an output");
    }
    // Where in it a deflated stream breaks is the decoder's to say.
    for name in ["flipped.npz", "headless.npz"] {
        let told = run(&room, &format!("'{name}'")).exits(3).stderr;
        assert!(told.contains(name) && told.contains("write or copy it again"), "{told}");
    }
    run(&room, "'good.npy'").exits(0);
}

#[test]
fn arrays_are_told_before_a_run_and_by_inspect() {
    let room = room(&vectors(7));
    numpy(&room, GOOD);
    room.write("p.toml", &format!("store.path = 'alone'\nstore.vectors = 'part-*.npy'\n{MINE}"));
    let told = room.miner(&["plan", "p.toml"]).exits(0).stdout;
    assert!(told.contains("part-*.npy: 240 × 7 f32, 6.9 KiB"), "{told}");
    assert!(told.contains("240 of 240 kept, 7 dimensions"), "{told}");
    let told: serde_json::Value =
        serde_json::from_str(&room.miner(&["plan", "--json", "p.toml"]).exits(0).stdout).unwrap();
    assert_eq!((&told["vectors"][0]["role"], &told["vectors"][0]["rows"]), (&"vectors".into(), &240.into()));

    for (path, head) in
        [("f8.npy", "240 × 7 f64"), ("packed.npz:emb", "240 × 7 f32"), ("part-*.npy", "240 × 7 f32 in 3 files")]
    {
        let told = room.miner(&["inspect", path]).exits(0).stdout;
        assert!(told.contains(head), "{told}");
        let row = told.lines().find(|line| line.contains("NaN or infinity")).unwrap();
        // Dimensions first, then the smallest norm, that of the one zero vector; of what cannot be used the kind.
        assert!(row.split_whitespace().collect::<Vec<_>>().starts_with(&["7", "0.0000"]), "{row}");
        assert!(row.contains("2 NaN or infinity"), "{row}");
        assert!(told.contains(&format!("{path}\"\n")), "{told}");
    }
    let told = room.miner(&["inspect", "f8.npy", "--write", "q.toml"]).exits(2).stderr;
    assert!(told.contains("f8.npy: an array has no labels; name the table first, and this as --vectors"), "{told}");
    let told = room.miner(&["inspect", "alone", "--write", "q.toml"]).exits(3).stderr;
    assert!(told.contains("where an array holds them, name it with --vectors"), "{told}");
    let told = room.miner(&["inspect", "alone", "--vectors", "part-a.npy", "--write", "q.toml"]).exits(3).stderr;
    assert!(told.contains("part-a.npy: 100 vectors, but the table has 240 rows; expected one for each"), "{told}");
    room.miner(&["inspect", "alone", "--vectors", "part-*.npy", "--write", "q.toml"]).exits(0);
    let begun = fs::read_to_string(room.path("q.toml")).unwrap();
    assert!(
        begun.contains("# 7 dimensions; lengths from 0.000 to 3.084, median 1.748.\nvectors = \"part-*.npy\"\n"),
        "{begun}"
    );
    assert!(begun.contains("bad_rows = \"skip\"\n") && begun.contains("# Cannot be used: 3 of 240 vectors"), "{begun}");
    room.miner(&["run", "--quiet", "q.toml"]).exits(0);
}

#[test]
fn an_array_that_changes_is_another_input() {
    let room = room(&vectors(8));
    numpy(&room, GOOD);
    run(&room, "'f4.npy'").exits(0);
    let first = manifest(&room.path("out/p"));
    numpy(&room, "np.save('f4.npy', np.roll(f4, 1, 0))");
    let told = run(&room, "'f4.npy'").exits(2).stderr;
    assert!(told.contains("overwrite"), "{told}");
    let told = room.miner(&["verify", "out/p"]).exits(3);
    assert!(told.stdout.contains("inputs"), "{} {}", told.stdout, told.stderr);
    room.miner(&["run", "--quiet", "--overwrite", "p.toml"]).exits(0);
    let second = manifest(&room.path("out/p"));
    assert_ne!(first["fingerprint"], second["fingerprint"]);
    assert_eq!(first["inputs"][0], second["inputs"][0], "the table is the same");
}

#[test]
fn the_sample_array_holds_the_column_of_the_sample() {
    let room = Room::in_memory();
    for folder in ["pipelines", "sample_data"] {
        copy(&root().join(folder), &room.path(folder));
    }
    for name in ["quickstart", "arrays"] {
        room.miner(&["run", "--quiet", &format!("pipelines/{name}.toml")]).exits(0);
    }
    assert!(made(&room.path("out/arrays")) == made(&room.path("out/quickstart")));
}

#[test]
fn damaged_files_are_read_or_refused_and_nothing_else() {
    let room = room(&vectors(9));
    numpy(&room, GOOD);
    for (seed, name) in ["f4.npy", "version-3.npy", "one.npz", "packed-a.npz", "x.fvecs"].into_iter().enumerate() {
        let good = fs::read(room.path(name)).unwrap();
        let path = room.path(&format!("damaged-{name}"));
        let mut draw = Draw(seed as u64);
        let (mut read, mut refused) = (0, 0);
        for _ in 0..400 {
            let mut bytes = good.clone();
            match draw.below(4) {
                0 => bytes.truncate(draw.below(good.len() as u64) as usize),
                // Where headers and directories are.
                1 => bytes[draw.below(160) as usize] = draw.next() as u8,
                2 => bytes[good.len() - 1 - draw.below(160) as usize] = draw.next() as u8,
                _ => bytes[draw.below(good.len() as u64) as usize] ^= 1 << draw.below(8),
            }
            fs::write(&path, bytes).unwrap();
            match inspect_arrays(&path) {
                Ok(facts) => {
                    assert!(facts.rows * facts.dims as u64 <= good.len() as u64, "{name}: {facts:?}");
                    read += 1;
                }
                Err(error) => {
                    assert!(error.to_string().contains("damaged-"), "{name}: {error}");
                    refused += 1;
                }
            }
        }
        assert!(read > 0 && refused > 0, "{name}: {read} read, {refused} refused");
    }
}
