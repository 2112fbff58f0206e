//! The layouts, one file each: mined triplets become the lines of a layout, and lines become the columns that a trainer reads.
//!
//! A layout tells what its lines are ([`Sheet::lines`]) and which columns they have; the rest of the room treats all alike.

mod candidates;
mod claims;
mod columns;
mod labeled_list;
mod labeled_pair;
mod lines;
mod n_tuple;
mod pair;
mod triplet;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use thiserror::Error;

pub(super) use claims::Claim;
pub(super) use lines::{Grain, Line, Lines, Member, Role, gap, gap_of};

use columns::{Column, Description, Fact, Of};

use super::gather::{self, GatherError};
use super::{Columns, Format, Layout, Params};
use crate::mine::{self, Triplet};
use crate::store::Prepared;

/// The names of columns contradict each other.
#[derive(Debug, Error)]
pub enum NameError {
    #[error(
        "carry: '{column}' would become '{name}', which is the name of another column; leave it out, or rename it in its table"
    )]
    Taken { column: String, name: String },
    #[error("output.columns: '{column}' is not among the columns that the store (and the queries, if any) carry")]
    NotCarried { column: String },
}

impl Layout {
    /// Which triplets make lines together.
    pub(super) fn grain(self) -> Grain {
        match self {
            Self::Triplet => Grain::Triplet,
            Self::NTuple | Self::Pair | Self::LabeledList => Grain::Pair,
            Self::LabeledPair | Self::Candidates => Grain::Anchor,
        }
    }

    /// Whether a pair is written with all of its negatives or not at all.
    pub(super) fn takes_whole_pairs(self) -> bool {
        self == Self::NTuple
    }

    /// Whether a line tells all of its triplets.
    pub(super) fn tells_triplets(self) -> bool {
        matches!(self, Self::Triplet | Self::NTuple | Self::LabeledList)
    }
}

/// Lines in stretches whose rows carry so many bytes at most, or that are one line: batches of them are of bounded size, however long
/// the values are that a store carries.
pub(super) fn stretches(store: &Prepared, lines: Lines, most: u64) -> Vec<Lines> {
    let (mut stretches, mut taken, mut begun) = (Vec::new(), 0, 0);
    for (index, line) in lines.iter().enumerate() {
        let members: u64 = line.members.iter().map(|member| store.beside_bytes(member.row)).sum();
        let more = members + store.beside_bytes(line.anchor);
        if index > begun && taken + more > most {
            stretches.push(begun..index);
            (taken, begun) = (0, index);
        }
        taken += more;
    }
    if stretches.is_empty() {
        return vec![lines];
    }
    stretches.push(begun..lines.len());
    stretches.into_iter().map(|stretch| lines.select(&stretch.collect::<Vec<_>>())).collect()
}

/// The columns of one layout over one store.
#[derive(Debug, Clone)]
pub(super) struct Sheet {
    layout: Layout,
    /// Negatives that a pair asks for.
    slots: u64,
    columns: Vec<Column>,
    schema: SchemaRef,
}

impl Sheet {
    pub(super) fn new(store: &Prepared, asked: &mine::Params, output: &Params) -> Result<Self, NameError> {
        let (layout, slots, array) = (output.layout, asked.ask.slots(), output.format == Format::Npy);
        let columns = shown(describe(layout, slots), store, &output.columns, array)?;
        let unlabelled = asked.negatives.unlabelled;
        let fields: Vec<Field> = columns.iter().map(|column| column.field(store, unlabelled, array)).collect();
        Ok(Self { layout, slots, columns, schema: Arc::new(Schema::new(fields)) })
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(super) fn layout(&self) -> Layout {
        self.layout
    }

    pub(super) fn grain(&self) -> Grain {
        self.layout.grain()
    }

    /// Triplets that a line may hold: what its size grows with.
    pub(super) fn triplets_a_line(&self) -> u64 {
        match self.layout {
            Layout::NTuple | Layout::LabeledList => self.slots.max(1),
            _ => 1,
        }
    }

    /// Whether the triplets of a pair, all that there are, are in the output.
    pub(super) fn keeps(&self, pair: &[Triplet]) -> bool {
        self.layout != Layout::NTuple || pair.len() as u64 == self.slots
    }

    /// How many lines a whole group of triplets makes.
    pub(super) fn lines_of(&self, group: &[Triplet]) -> u64 {
        match self.grain() {
            Grain::Triplet => group.len() as u64,
            Grain::Pair => u64::from(!group.is_empty() && self.keeps(group)),
            Grain::Anchor => self.lines(group).len() as u64,
        }
    }

    /// Rows that stand beside the anchor in a line, where that is the same in all lines.
    pub(super) fn beside(&self) -> usize {
        match self.layout {
            Layout::Triplet => 2,
            Layout::NTuple => usize::try_from(self.slots).map_or(usize::MAX, |slots| slots.saturating_add(1)),
            Layout::Pair | Layout::LabeledPair | Layout::LabeledList | Layout::Candidates => 1,
        }
    }

    /// The lines of whole groups of triplets.
    pub(super) fn lines(&self, triplets: &[Triplet]) -> Lines {
        let mut lines = Lines::default();
        for group in self.grain().groups(triplets) {
            match self.layout {
                Layout::Triplet => triplet::lines(group, &mut lines),
                Layout::NTuple => n_tuple::lines(group, self.slots, &mut lines),
                Layout::Pair => pair::lines(group, &mut lines),
                Layout::LabeledPair => labeled_pair::lines(group, &mut lines),
                Layout::LabeledList => labeled_list::lines(group, &mut lines),
                Layout::Candidates => candidates::lines(group, &mut lines),
            }
        }
        lines
    }

    /// A batch of the output. `weights` are by the class of the anchor; 1 without.
    pub(super) fn batch(
        &self,
        store: &Prepared,
        lines: &Lines,
        weights: Option<&[f32]>,
    ) -> Result<RecordBatch, GatherError> {
        let columns = self.columns.iter().zip(self.schema.fields());
        let columns = columns.map(|(column, field)| column.values(store, lines, weights, field));
        Ok(RecordBatch::try_new(self.schema.clone(), columns.collect::<Result<_, _>>()?)?)
    }
}

fn describe(layout: Layout, slots: u64) -> Description {
    match layout {
        Layout::Triplet => triplet::describe(),
        Layout::NTuple => n_tuple::describe(slots),
        Layout::Pair => pair::describe(),
        Layout::LabeledPair => labeled_pair::describe(),
        Layout::LabeledList => labeled_list::describe(),
        Layout::Candidates => candidates::describe(),
    }
}

/// The columns of a layout that are asked for.
fn shown(description: Description, store: &Prepared, asked: &Columns, array: bool) -> Result<Vec<Column>, NameError> {
    let Description { roles, mut facts, always, numbers } = description;
    // Where pairs say what is a positive, no row has a class.
    facts.retain(|fact| !(store.has_pairs() && fact.fact == Fact::Label));
    let among = |names: &'static [&'static str]| {
        let facts = facts.clone();
        facts.into_iter().filter(move |fact| names.contains(&fact.name.as_str()))
    };
    let of_roles = |what: &str, fact: Fact| -> Vec<Column> {
        roles.iter().map(|(role, of)| columns::column(format!("{role}_{what}"), fact, *of)).collect()
    };
    if array {
        return Ok(of_roles("row", Fact::Row).into_iter().chain(among(numbers)).collect());
    }
    if let Columns::Carried(name) = asked {
        let text = |(role, of): &(String, Of)| {
            let index = index_of(store, *of, name).ok_or_else(|| NameError::NotCarried { column: name.clone() })?;
            Ok(columns::column(role, Fact::Carried(index), *of))
        };
        let texts: Vec<Column> = roles.iter().map(text).collect::<Result<_, NameError>>()?;
        return Ok(texts.into_iter().chain(among(always)).collect());
    }
    let mut all: Vec<Column> = of_roles("id", Fact::Id);
    all.extend(of_roles("row", Fact::Row));
    all.extend(facts);
    let mut names: HashSet<String> = all.iter().map(|column| column.name.clone()).collect();
    for carried in carried_names(store) {
        for (role, of) in &roles {
            let Some(index) = index_of(store, *of, carried) else { continue };
            let name = format!("{role}_{carried}");
            if !names.insert(name.clone()) {
                return Err(NameError::Taken { column: carried.to_owned(), name });
            }
            all.push(columns::column(name, Fact::Carried(index), *of));
        }
    }
    Ok(all)
}

/// What anchors carry, then what else the corpus does.
fn carried_names(store: &Prepared) -> impl Iterator<Item = &str> {
    let (anchors, corpus) = (store.anchor_schema(), store.schema());
    let rest = gather::carried(corpus).filter(|(_, field)| anchors.column_with_name(field.name()).is_none());
    gather::carried(anchors).chain(rest).map(|(_, field)| field.name().as_str())
}

/// The place of a carried column in its table: that of the anchors, or the corpus.
fn index_of(store: &Prepared, of: Of, name: &str) -> Option<usize> {
    let schema = if of == Of::Anchor { store.anchor_schema() } else { store.schema() };
    gather::carried(schema).find(|(_, field)| field.name() == name).map(|(index, _)| index)
}
