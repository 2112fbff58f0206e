//! Guards that are refused, word for word.

use crate::config::plan::tests::{GOOD, plan, refusal};

#[test]
fn guards_that_contradict_each_other_or_the_bands_are_refused_by_name() {
    let negatives = "p.toml: mine.negatives.";
    for (set, expected) in [
        (
            &["mine.negatives.max_score=0.2", "mine.negatives.min_score=0.3"][..],
            "min_score = 0.3: is above mine.negatives.max_score = 0.2, which leaves no negative",
        ),
        (
            &["mine.negatives.min_score=1.5"],
            "min_score = 1.5: no cosine similarity is above 1, which leaves no negative",
        ),
        (
            &["mine.negatives.max_score=-2.0"],
            "max_score = -2.0: no cosine similarity is below -1, which leaves no negative",
        ),
        (
            &["mine.metric='euclidean'", "mine.negatives.min_score=0.5"],
            "min_score = 0.5: no euclidean similarity is above 0, which leaves no negative",
        ),
        (&["mine.negatives.max_score=nan"], "max_score = nan: must be a finite number"),
        (&["mine.negatives.absolute_margin=-0.1"], "absolute_margin = -0.1: must be 0 or more"),
        (&["mine.negatives.near_positive=-0.1"], "near_positive = -0.1: must be 0 or more"),
        (
            &["mine.bands={ hard = 1 }", "mine.negatives.absolute_margin=0.1"],
            "absolute_margin = 0.1: keeps only negatives that are farther than the positive; hard ones are nearer: leave out one of the two",
        ),
        (
            &["mine.fallback=['hard']", "mine.negatives.relative_margin=0.05"],
            "relative_margin = 0.05: keeps only negatives that are farther than the positive; hard ones are nearer: leave out one of the two",
        ),
        (
            &["mine.negatives.absolute_margin=0.3"],
            "absolute_margin = 0.3: leaves nothing of the semi-hard band, which ends mine.margin = 0.2 behind the positive",
        ),
        (
            &["mine.negatives.reference='mean'"],
            "reference = \"mean\": says what margins are measured from; set absolute_margin or relative_margin",
        ),
        (
            &["mine.negatives.reference='mean'", "mine.negatives.relative_margin=0.05"],
            "reference = \"mean\": is one of several positives, and an anchor is given one; set mine.positives.pick = \"all\", \
             or per_anchor to 2 or more",
        ),
        (&["mine.negatives.window=0"], "window = 0: must be at least 1; leave it out to take from all"),
        (
            &["mine.negatives.window=5", "mine.negatives.skip_nearest=5"],
            "window = 5: ends within mine.negatives.skip_nearest = 5, which leaves no negative",
        ),
        (&["mine.negatives.max_per_class=0"], "max_per_class = 0: must be at least 1"),
    ] {
        assert_eq!(refusal(set), format!("{negatives}{expected}"));
    }
    assert_eq!(
        refusal(&["mine.pick='distance-weighted'", "mine.metric='dot'"]),
        "p.toml: mine.pick = \"distance-weighted\": weighs distances on the unit sphere; expected mine.metric = \"cosine\", or another pick"
    );
    // Measured from the nearest of several positives, a margin leaves something that is nearer than another one.
    let several = ["mine.bands={ hard = 1 }", "mine.positives.pick='all'", "mine.negatives.reference='nearest'"];
    plan(GOOD, &[&several[..], &["mine.negatives.absolute_margin=0.1"]].concat()).unwrap();
}
