//! `report.html`: the figures of a run as one page, to look at and to show around. A pure function of `report.json`.
//!
//! It is one file: no script, no network, nothing but its own markup, style and SVG, which its content security policy says, too.
//! Whatever the data wrote goes through [`text::Data`].

mod bands;
mod classes;
mod confusion;
mod distances;
mod head;
mod hubs;
mod part;
mod plot;
mod search;
mod text;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use maud::{DOCTYPE, PreEscaped, html};

use super::{ReportError, Summary};
use crate::disk;
use text::visible;

/// Where the page of a run lies inside its output.
pub const PAGE: &str = "report.html";

const STYLE: &str = include_str!("style.css");
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

impl Summary {
    /// The page, as HTML.
    ///
    /// # Errors
    /// When a figure cannot be drawn.
    pub fn page(&self) -> Result<String, ReportError> {
        self.markup().map_err(ReportError::Figure)
    }

    fn markup(&self) -> Result<String, plot::Failed> {
        let figures = self.figures.as_ref();
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(POLICY);
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (visible(&self.name)) " – triplets" }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    (head::head(self))
                    main {
                        (bands::section(self)?)
                        @if let Some(figures) = figures {
                            (distances::section(figures)?)
                            @if let Some(classes) = &figures.classes { (classes::section(classes)?) }
                            (confusion::section(figures))
                            (hubs::hubs(&figures.hubs)?)
                            (hubs::suspects(self.suspects, &figures.suspects))
                        }
                        (search::search(self)?)
                        (search::cost(self)?)
                    }
                    footer {
                        p { "Made from report.json, which lies beside it, and nothing else. " code { "miner report OUT --html" } " makes it again." }
                    }
                }
            }
        };
        Ok(page.into_string() + "\n")
    }

    /// Writes `report.html` into a folder, and says where that is.
    ///
    /// # Errors
    /// When a figure cannot be drawn, or the file not be written.
    pub fn write_page(&self, folder: &Path) -> Result<PathBuf, ReportError> {
        let (path, page) = (folder.join(PAGE), self.page()?);
        let write = || {
            // A link that somebody left under this name must not lead elsewhere.
            disk::remove_file(&path)?;
            let mut file = File::create_new(&path)?;
            file.write_all(page.as_bytes())?;
            file.sync_all()
        };
        match write() {
            Ok(()) => Ok(path),
            Err(source) => Err(ReportError::Io { path, action: "write", source }),
        }
    }
}
