//! The pipeline that `miner inspect --write` begins: it runs as it is, and says of each key why it has this value for this store.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use triplet_miner::config;
use triplet_miner::mine::{AtMargin, Band, Calibration};
use triplet_miner::pipeline::{self, Control, Copies, Explanation, Interrupted};
use triplet_miner::report::Silent;
use triplet_miner::search::Index;
use triplet_miner::store::{ColumnFacts, EmbeddingFacts, Inspection, ValueFacts, can_be_label};
use triplet_miner::words::{counted, percent_of, thousands, visible};

use super::page::{Page, folder_of, quoted, relative};
use super::{Beside, shown};
use crate::cli::plan::short;
use crate::cli::{signals, status};

/// Begins a pipeline in `file` for the store at `store`; `array` holds the vectors where one is given.
///
/// # Errors
/// No column holds vectors, or none can be a label; the file is there already, or cannot be written.
pub(super) fn pipeline(
    file: &Path,
    store: &Path,
    inspection: &Inspection,
    array: Option<&Beside>,
    copies: &Copies,
) -> anyhow::Result<()> {
    if file.exists() {
        return Err(status::wrong(format!("{}: is there already; give another name, or remove it", file.display())));
    }
    let suggestion = Suggestion::new(file, store, inspection, array)?;
    let trial = suggestion.trial(file, copies)?;
    let text = suggestion.text(file, &trial);
    let created = File::create_new(file).and_then(|mut created| created.write_all(text.as_bytes()));
    created.with_context(|| format!("{}: cannot be written", file.display()))
}

/// What the store tells.
struct Suggestion<'a> {
    inspection: &'a Inspection,
    /// The key that says where the vectors are, and what it says.
    place: (&'static str, String),
    vectors: &'a EmbeddingFacts,
    label: &'a ColumnFacts,
    /// As they stand in the pipeline.
    path: String,
    output: String,
}

/// What the pipeline shows when it is tried.
#[derive(Default)]
struct Trial {
    explanation: Option<Explanation>,
    calibration: Option<Calibration>,
    /// Why a run would refuse it.
    refused: Option<String>,
}

/// Vectors are read a second time, to see how full the bands are, where they take no more than this.
const CALIBRATED_BYTES: u64 = 1 << 30;
/// The margin that is tried first; others are multiples of it.
const MARGIN: f64 = 0.2;
/// Of the pairs, a share that finds a semi-hard negative: a margin that gives it to so many is wide enough.
const FILLED: f64 = 0.9;
/// Cosine distances between vectors that are the same but for rounding.
const COPIES: &str = "0.0001";
/// A class that has so many times the rows of an average one is big.
const BIG: u64 = 10;
/// Groups that are offered.
const OFFERED: usize = 5;

impl<'a> Suggestion<'a> {
    fn new(file: &Path, store: &Path, inspection: &'a Inspection, array: Option<&'a Beside>) -> anyhow::Result<Self> {
        let guess = &inspection.guess;
        let facts = |name: &String| inspection.columns.iter().find(|column| column.name == *name);
        let column = guess.embedding.as_ref().and_then(facts);
        let column = column.and_then(|column| Some((column, column.embedding.as_ref()?)));
        let (place, vectors) = match (array, column) {
            (Some(Beside { path, facts }), _) => (("vectors", quoted(&relative(path, file)?)), &facts.vectors),
            (None, Some((column, vectors))) => (("embedding", quoted(&column.name)), vectors),
            (None, None) => {
                return Err(status::refused(format!(
                    "{}: no column holds vectors (lists of f16, f32 or f64), so there is nothing to mine; where an array holds \
                     them, name it with --vectors",
                    shown(store).display()
                )));
            }
        };
        let Some(label) = guess.label.as_ref().and_then(facts) else { return Err(no_label(store, inspection)) };
        let stem = file.file_stem().unwrap_or_default();
        // In the folder of the store an output would be read with it the next time.
        let inside = store.is_dir() && folder_of(file)?.starts_with(store.canonicalize().unwrap_or_default());
        let output = match store.parent().filter(|_| inside) {
            Some(beside) => relative(&beside.canonicalize().unwrap_or_default().join("out").join(stem), file)?,
            None => format!("out/{}", stem.to_string_lossy()),
        };
        Ok(Self { inspection, place, vectors, label, path: relative(store, file)?, output })
    }

    /// Tries the pipeline, in the folder it will lie in.
    fn trial(&self, file: &Path, copies: &Copies) -> anyhow::Result<Trial> {
        let folder = folder_of(file)?;
        let attempt = tempfile::Builder::new().prefix(".miner-").suffix(".toml").tempfile_in(&folder);
        let mut attempt = attempt.with_context(|| format!("{}: cannot be written", file.display()))?;
        let text = self.text(file, &Trial::default());
        attempt.write_all(text.as_bytes()).with_context(|| format!("{}: cannot be written", file.display()))?;
        let plan = copies.over(&config::load(attempt.path(), &[])?);
        let control = Control { progress: &Silent, brake: signals::watch()? };
        control.brake.removes(attempt.path());
        let small = self.inspection.rows.saturating_mul(self.dims() * size_of::<f32>() as u64) <= CALIBRATED_BYTES;
        let tried = pipeline::explain(&plan, &control).and_then(|explanation| {
            let calibration = small.then(|| pipeline::calibrate(&plan, &control)).transpose()?;
            let refused = explanation.refused.as_ref().map(|why| format!("{}: {why}", explanation.output));
            Ok(Trial { explanation: Some(explanation), calibration, refused })
        });
        match tried {
            Err(error) if error.is::<Interrupted>() => Err(error),
            // Whoever corrects the data, or a key, has something to begin with.
            Err(error) => Ok(Trial { refused: Some(status::message(&error)), ..Trial::default() }),
            tried => tried,
        }
    }

    fn dims(&self) -> u64 {
        self.vectors.dims.unwrap_or_default() as u64
    }

    fn text(&self, file: &Path, trial: &Trial) -> String {
        let mut page = Page::default();
        self.head(&mut page, file, trial);
        self.store(&mut page);
        self.search(&mut page, trial);
        self.mine(&mut page, trial);
        self.balance(&mut page);
        page.section("[output]");
        page.why("A folder of its own, which a run makes whole or not at all.");
        page.key("path", &quoted(&self.output));
        page.offer("layout", "\"n-tuple\"", "\"triplet\" is one row a triplet; see docs/output.md for the others");
        page.0
    }

    fn head(&self, page: &mut Page, file: &Path, trial: &Trial) {
        let (rows, name) = (counted(self.inspection.rows, "row"), visible(file.display()));
        page.why(&format!("Begun by `miner inspect` for {rows} of {}.", counted(self.dims(), "dimension")));
        match &trial.refused {
            None => page.why("It runs as it is. Lines like `# key = value` are offers: take the # away."),
            Some(refused) => page.why(&format!("A run would refuse it as it is: {refused}")),
        }
        page.why(&format!("Next: `miner plan {name}` says what it will do and take, `miner run {name}` does it."));
    }

    fn store(&self, page: &mut Page) {
        let Inspection { rows, guess, .. } = self.inspection;
        page.section("[store]");
        page.key("path", &quoted(&self.path));
        match &guess.id {
            Some(id) => {
                page.why("Unique, and never null.");
                page.key("id", &quoted(id));
            }
            None => page.why("No column is unique and without nulls, so there is no id: rows go by their number."),
        }
        let [least, median, largest] = self.vectors.norms.unwrap_or_default();
        let dims = counted(self.dims(), "dimension");
        page.why(&format!("{dims}; lengths from {least:.3} to {largest:.3}, median {median:.3}."));
        let (key, place) = &self.place;
        let holds_vectors = |column: &&ColumnFacts| column.embedding.is_some();
        let columns = self.inspection.columns.iter().filter(holds_vectors).map(|column| column.name.as_str());
        let others: Vec<&str> = columns.filter(|name| quoted(name) != *place).collect();
        page.others("Columns of vectors beside these", &others);
        page.key(key, place);
        page.why(&self.classes());
        page.others("It could also be", &guess.other_labels.iter().map(String::as_str).collect::<Vec<_>>());
        page.key("label", &quoted(&self.label.name));
        if self.label.nulls > 0 {
            let nulls = counted(self.label.nulls, "row");
            page.why(&format!(
                "Without a label: {nulls}. \"negative\" lets such rows be negatives; each may secretly be a positive."
            ));
            page.key("unlabelled", "\"ignore\"");
        }
        let carry: Vec<String> = guess.carry.iter().filter(|name| is_free(name)).map(|name| quoted(name)).collect();
        if !carry.is_empty() {
            page.why("Texts, copied into the output as anchor_…, positive_… and negative_….");
            page.key("carry", &format!("[{}]", carry.join(", ")));
        }
        let groups = guess.other_labels.iter().take(OFFERED).map(|name| (quoted(name), self.facts(name)));
        let groups: Vec<String> = groups
            .filter(|(_, column)| column.is_some_and(|column| column.several.is_none()))
            .map(|(name, _)| format!("{name} = {name}"))
            .collect();
        if !groups.is_empty() {
            page.why("Columns that [mine.positives] and [mine.negatives] can ask to be the same or different.");
            page.offer("groups", &format!("{{ {} }}", groups.join(", ")), "");
        }
        let bad = self.vectors.zero + self.vectors.unusable.values().sum::<u64>();
        if bad > 0 {
            page.why(&format!(
                "Cannot be used: {} of {} (null, ragged, NaN, or of length 0); skipped rows are listed in unmined.parquet, \
                 and \"error\" refuses the store.",
                thousands(bad),
                counted(*rows, "vector")
            ));
            page.key("bad_rows", "\"skip\"");
        }
    }

    fn facts(&self, name: &str) -> Option<&ColumnFacts> {
        self.inspection.columns.iter().find(|column| column.name == name)
    }

    /// What the values of the label are as classes.
    fn classes(&self) -> String {
        let Some(ValueFacts::Counted { distinct, single, largest }) = self.label.values else { return String::new() };
        let (single, largest) = (thousands(single), counted(largest, "row"));
        let small = match single.as_str() {
            "0" => "none has one row alone".to_owned(),
            single => format!("{single} of one row alone, which can be a negative and no anchor"),
        };
        match self.label.several {
            None => format!("{}, the largest of {largest}; {small}.", counted(distinct, "class")),
            Some(several) => format!(
                "{}, several labels a row ({several:.1} on average): sharing one makes a positive, a negative shares \
                 none. The most frequent has {largest}; {small}.",
                counted(distinct, "label")
            ),
        }
    }

    fn search(&self, page: &mut Page, trial: &Trial) {
        page.section("[search]");
        if let Some(Explanation { index, reason, estimates, .. }) = &trial.explanation {
            page.why(&format!("Here {}: {reason}. A run takes {}.", index.name(), estimates.time()));
            page.key("index", "\"auto\"");
            if *index != Index::Exact {
                page.why("Measured on every run; \"exact\" finds everything, and takes longer.");
                page.key("target_recall", "0.95");
            }
        } else {
            page.key("index", "\"auto\"");
        }
    }

    fn mine(&self, page: &mut Page, trial: &Trial) {
        page.section("[mine]");
        page.why(match self.vectors.norms {
            Some([least, _, largest]) if least > 0.99 && largest < 1.01 => {
                "All vectors have length 1: cosine, euclidean and dot rank alike, and cosine is 0 … 2 whatever the model."
            }
            _ => "Lengths differ, and cosine does not look at them. Where they mean something take euclidean or dot, and another margin.",
        });
        page.key("metric", "\"cosine\"");
        let (margin, why) = margin(trial.calibration.as_ref());
        page.why(&why);
        page.key("margin", &short(margin));
        page.why("Negatives for each pair: semi-hard ones are farther than the positive, by at most the margin.");
        page.key("bands", "{ semi-hard = 1 }");
        page.offer("bands", "{ hard = 1, semi-hard = 2 }", "hard: nearer than the positive");
        page.why("The same seed gives the same bytes.");
        page.key("seed", "42");
        let repeated = self.vectors.repeated;
        page.section("[mine.positives]");
        page.offer("per_anchor", "2", "how many positives an anchor is paired with");
        if repeated > 0 {
            page.offer("min_distance", COPIES, "a copy of the anchor is no positive to learn from");
        }
        page.section("[mine.negatives]");
        match repeated {
            0 => page.offer(
                "duplicate_distance",
                COPIES,
                "no vector equals another; farther apart, try 0.01 and look at the suspects",
            ),
            _ => {
                page.why(&format!(
                    "The same as an earlier one: {}. A copy under another label is a wrong label, and no negative: it is listed in \
                     suspects.parquet.",
                    counted(repeated, "vector")
                ));
                page.key("duplicate_distance", COPIES);
            }
        }
        page.offer(
            "relative_margin",
            "0.05",
            "keeps away negatives that may be positives nobody labelled; `miner plan --calibrate`",
        );
    }

    fn balance(&self, page: &mut Page) {
        let Some(ValueFacts::Counted { distinct, largest, .. }) = self.label.values else { return };
        let average = (self.inspection.rows - self.label.nulls).div_ceil(distinct.max(1)).max(2);
        if largest >= BIG * average {
            page.section("[balance]");
            page.why(&format!(
                "A class has {} on average, and the largest {}.",
                counted(average, "row"),
                thousands(largest)
            ));
            page.offer("anchors_per_class", &average.to_string(), "draws so many of each class");
        }
    }
}

/// The least margin that fills the semi-hard band, and why it is that.
fn margin(calibration: Option<&Calibration>) -> (f64, String) {
    let filled =
        |at: &AtMargin| at.bands.iter().find(|(band, _)| *band == Band::SemiHard).map_or(0.0, |(_, full)| full.filled);
    let Some(Calibration { anchors, margins, .. }) = calibration.filter(|calibration| calibration.pairs > 0) else {
        return (
            MARGIN,
            "In units of the metric. `miner plan --calibrate` shows how full the bands are for a range of margins."
                .into(),
        );
    };
    let fullest = margins.iter().max_by(|a, b| filled(a).total_cmp(&filled(b)));
    let chosen = margins.iter().find(|at| filled(at) >= FILLED).or(fullest).map_or(MARGIN, |at| at.margin);
    let told = |at: &AtMargin| format!("{} at {}", percent_of(filled(at)), short(at.margin));
    let shares: Vec<String> = margins.iter().map(told).collect();
    let anchors = counted(*anchors as u64, "anchor");
    let why = format!(
        "Of the pairs of {anchors} so many find a semi-hard negative: {}. A wider margin fills more, with easier ones.",
        shares.join(", ")
    );
    (chosen, why)
}

/// Whether a carried column may have this name beside those that every output has.
fn is_free(name: &str) -> bool {
    !["id", "row", "label"].contains(&name)
}

fn no_label(store: &Path, inspection: &Inspection) -> anyhow::Error {
    let mut text = format!(
        "{}: no column can be the label, so nothing says which rows belong together",
        visible(shown(store).display())
    );
    let guess = &inspection.guess;
    let columns = inspection.columns.iter().filter(|column| Some(&column.name) != guess.embedding.as_ref());
    for column in columns {
        let why = match can_be_label(column, inspection.rows) {
            Err(why) => why,
            Ok(()) => "is the id",
        };
        text += &format!("; `{}` {why}", visible(&column.name));
    }
    text += "; expected strings, integers or booleans that repeat, or lists of them: add such a column, write a pipeline whose \
             store.label is an SQL expression, as in split_part(path, '/', 1), or one with [pairs] of ids";
    status::refused(text)
}
