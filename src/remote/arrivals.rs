//! What has arrived of a fetch, so that a later one goes on from it.
//!
//! ```text
//! FOLDER/
//!   a/b.parquet   an object that is whole
//!   .arriving     the one that grows: there is one at a time, from its beginning on
//!   .arrived      a line for each object that is whole, and for what has come of the one that grows
//! ```
//!
//! Nothing is synced here: a line is believed if the bytes that it tells of still have the hash that it tells.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use super::object::Object;
use crate::disk;
use crate::words::visible;

const GROWING: &str = ".arriving";
const JOURNAL: &str = ".arrived";

/// So many bytes of a large object are lost at most when a fetch ends early.
const MARK: u64 = 64 << 20;

/// Objects as they come into a folder.
pub(super) struct Arrivals {
    folder: PathBuf,
    journal: File,
    known: HashMap<String, Line>,
    growing: Option<Growing>,
}

/// What is here of an object.
#[derive(Serialize, Deserialize)]
struct Line {
    name: String,
    version: String,
    bytes: u64,
    arrived: u64,
    /// BLAKE3, in hex, of the bytes that have arrived.
    digest: String,
}

struct Growing {
    name: String,
    file: File,
    state: blake3::Hasher,
    arrived: u64,
    marked: u64,
}

impl Arrivals {
    /// Opens the folder for these objects, which is made where it is not there. Whatever else is in it goes.
    pub fn open(folder: &Path, objects: &[Object]) -> io::Result<Self> {
        // Whatever a store calls its objects, they come into this folder.
        if let Some(object) = objects.iter().find(|object| !is_within(Path::new(&object.name))) {
            let name = visible(&object.name);
            return Err(io::Error::new(io::ErrorKind::InvalidFilename, format!("the name `{name}` leads elsewhere")));
        }
        fs::create_dir_all(folder)?;
        let listed: HashSet<PathBuf> = objects.iter().map(|object| folder.join(&object.name)).collect();
        for entry in WalkDir::new(folder).min_depth(1) {
            let entry = entry?;
            let ours = entry.depth() == 1 && [GROWING, JOURNAL].iter().any(|name| entry.file_name() == *name);
            if !ours && !entry.file_type().is_dir() && !listed.contains(entry.path()) {
                fs::remove_file(entry.path())?;
            }
        }
        let mut journal = OpenOptions::new().read(true).append(true).create(true).open(folder.join(JOURNAL))?;
        // The last line may be torn, and what comes next begins a new one.
        let lines = BufReader::new(&journal).split(b'\n').collect::<io::Result<Vec<_>>>()?;
        let known = lines.iter().filter_map(|line| serde_json::from_slice::<Line>(line).ok());
        let known = known.map(|line| (line.name.clone(), line)).collect();
        journal.write_all(b"\n")?;
        Ok(Self { folder: folder.to_owned(), journal, known, growing: None })
    }

    /// How many bytes of this very version are here. Of one that might be another, none are.
    pub fn arrived(&mut self, object: &Object) -> io::Result<u64> {
        let version = object.version.to_string();
        let is_of = |line: &&Line| line.version == version && line.bytes == object.bytes && object.version.is_telling();
        let Some(line) = self.known.get(&object.name).filter(is_of) else { return Ok(0) };
        let whole = line.arrived == line.bytes;
        if !whole && self.growing.is_some() {
            // One grows at a time. Two that begin alike are not taken for each other.
            return Ok(0);
        }
        let path = self.folder.join(if whole { &object.name } else { GROWING });
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) if whole && file.metadata()?.len() != line.bytes => return Ok(0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            opened => opened?,
        };
        let mut state = blake3::Hasher::new();
        io::copy(&mut BufReader::with_capacity(1 << 20, &file).take(line.arrived), &mut state)?;
        if state.finalize().to_hex().as_str() != line.digest {
            return Ok(0);
        }
        let arrived = line.arrived;
        if !whole {
            file.set_len(arrived)?;
            // The next bytes go behind it.
            let file = OpenOptions::new().append(true).open(path)?;
            self.growing = Some(Growing { name: object.name.clone(), file, state, arrived, marked: arrived });
        }
        Ok(arrived)
    }

    /// Takes the next bytes of an object. All of one come before the first of another.
    pub fn write(&mut self, object: &Object, bytes: &[u8]) -> io::Result<()> {
        let mut growing = match self.growing.take() {
            Some(growing) if growing.name == object.name => growing,
            _ => Growing {
                name: object.name.clone(),
                file: File::create(self.folder.join(GROWING))?,
                state: blake3::Hasher::new(),
                arrived: 0,
                marked: 0,
            },
        };
        growing.file.write_all(bytes)?;
        growing.state.update(bytes);
        growing.arrived += bytes.len() as u64;
        if growing.arrived == object.bytes {
            let path = self.folder.join(&object.name);
            fs::create_dir_all(path.parent().unwrap_or(&self.folder))?;
            // One that is there is of another version, or damaged.
            disk::remove_file(&path)?;
            fs::rename(self.folder.join(GROWING), path)?;
            return self.tell(object, &growing);
        }
        if growing.arrived - growing.marked >= MARK {
            growing.marked = growing.arrived;
            self.tell(object, &growing)?;
        }
        self.growing = Some(growing);
        Ok(())
    }

    fn tell(&mut self, object: &Object, growing: &Growing) -> io::Result<()> {
        let line = Line {
            name: object.name.clone(),
            version: object.version.to_string(),
            bytes: object.bytes,
            arrived: growing.arrived,
            digest: growing.state.finalize().to_hex().to_string(),
        };
        let mut line = serde_json::to_vec(&line)?;
        line.push(b'\n');
        self.journal.write_all(&line)
    }
}

fn is_within(name: &Path) -> bool {
    let is_own = name.file_name().is_none_or(|name| name == GROWING || name == JOURNAL);
    !is_own && name.components().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use object_store::ObjectMeta;
    use object_store::path::Path as Location;

    use super::*;

    fn object(name: &str, bytes: u64, tag: &str) -> Object {
        let found = ObjectMeta {
            location: Location::from(name),
            last_modified: Default::default(),
            size: bytes,
            e_tag: Some(tag.to_owned()),
            version: None,
        };
        Object::new(name.to_owned(), found)
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        let room = tempfile::tempdir().unwrap();
        for name in ["/etc/x", "../x", "a/../../x", "a/..", "", ".arriving", "a/.arrived"] {
            let named = Object { name: name.to_owned(), ..object("x", 1, "1") };
            assert!(Arrivals::open(&room.path().join("f"), &[named]).is_err(), "{name}");
        }
        assert!(!room.path().join("f").exists());
    }

    #[test]
    fn what_is_whole_stays_and_what_grows_goes_on_from_its_last_mark() {
        let room = tempfile::tempdir().unwrap();
        let folder = room.path().join("x");
        let objects = [object("k=1/a", 3, "1"), object("b", MARK + 2, "2"), object("c", 0, "3")];
        let mut arrivals = Arrivals::open(&folder, &objects).unwrap();
        assert_eq!(arrivals.arrived(&objects[0]).unwrap(), 0);
        arrivals.write(&objects[0], b"abc").unwrap();
        arrivals.write(&objects[2], b"").unwrap();
        let mebibyte = vec![7; 1 << 20];
        (0..MARK >> 20).for_each(|_| arrivals.write(&objects[1], &mebibyte).unwrap());
        arrivals.write(&objects[1], b"x").unwrap();
        // The end of the process, in the middle of a line.
        drop(arrivals);
        OpenOptions::new().append(true).open(folder.join(JOURNAL)).unwrap().write_all(b"{\"name\": \"b").unwrap();

        let mut arrivals = Arrivals::open(&folder, &objects).unwrap();
        assert_eq!(objects.each_ref().map(|object| arrivals.arrived(object).unwrap()), [3, MARK, 0]);
        assert_eq!(fs::read(folder.join("k=1/a")).unwrap(), b"abc");
        arrivals.write(&objects[1], b"y").unwrap();
        arrivals.write(&objects[1], b"z").unwrap();
        let whole = fs::read(folder.join("b")).unwrap();
        assert!(whole.len() as u64 == MARK + 2 && whole.ends_with(&[7, b'y', b'z']));
        drop(arrivals);

        // Another version, a damaged copy, and an object that is gone.
        fs::write(folder.join("k=1/a"), "abd").unwrap();
        let objects = [objects[0].clone(), object("b", MARK + 2, "2b")];
        let mut arrivals = Arrivals::open(&folder, &objects).unwrap();
        assert_eq!(objects.each_ref().map(|object| arrivals.arrived(object).unwrap()), [0, 0]);
        assert!(!folder.join("c").exists());
    }
}
