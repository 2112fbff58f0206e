//! The place of the output: what stands there, and how the output comes there.

use std::path::PathBuf;

use bytesize::ByteSize;

use super::prepare::scratch_key;
use crate::config::{Plan, Target};
use crate::manifest::{self, Destination, DestinationError, Draft, MANIFEST, MANIFEST_BYTES, Sealed};
use crate::pipeline::engine::{Engine, Watch};
use crate::pipeline::figures::figures_in;
use crate::pipeline::scratch::{self, Scratch};
use crate::pipeline::upload::{Upload, UploadError};
use crate::remote::{Fault, Remote, RemoteError};
use crate::report::{self, Summary, Unit};

/// What stands where the output goes, and may become of it.
///
/// # Errors
/// When the output may not go there; a store that refuses or does not answer.
pub fn destination(plan: &Plan, fingerprint: &str, engine: &Engine) -> anyhow::Result<Destination> {
    match &plan.target {
        Target::Folder(path) => Ok(manifest::check_destination(path, fingerprint, plan.overwrite)?),
        Target::Store(address) => {
            let notes = scratch::sent(plan, &scratch_key(fingerprint));
            // One that begins anew knows nothing of what was begun before.
            let notes = if plan.run.fresh { PathBuf::new() } else { notes };
            let upload = Upload::new(address, notes, plan.overwrite)?;
            engine.wait(upload.destination(fingerprint))
        }
    }
}

/// What is in the way, where it is that for which an output may not go to its place.
///
/// # Errors
/// Any other.
pub fn in_the_way(error: anyhow::Error) -> anyhow::Result<DestinationError> {
    let error = match error.downcast::<DestinationError>() {
        Ok(in_the_way) => return Ok(in_the_way),
        Err(error) => error,
    };
    match error.downcast::<UploadError>()? {
        UploadError::Destination(in_the_way) => Ok(in_the_way),
        other => Err(other.into()),
    }
}

/// The manifest of what stands there, if it is one.
///
/// # Errors
/// A store that refuses or does not answer.
pub fn sealed_there(plan: &Plan, engine: &Engine) -> anyhow::Result<Option<Sealed>> {
    match &plan.target {
        Target::Folder(path) => Ok(Sealed::load(path).ok()),
        Target::Store(address) => {
            let read = async {
                match Remote::open(address)?.read(MANIFEST, MANIFEST_BYTES).await {
                    Err(RemoteError { fault: Fault::TooLarge { .. }, .. }) => Ok(None),
                    read => read,
                }
            };
            let bytes = engine.wait::<_, RemoteError>(read)?;
            Ok(bytes.and_then(|bytes| Sealed::read(bytes, address.join(MANIFEST).to_string().into()).ok()))
        }
    }
}

/// The place of the output, as the report tells it.
pub fn shown_output(plan: &Plan) -> PathBuf {
    plan.environment.hide_path(&plan.target.path())
}

/// The figures of the run whose output is there, if they are, too.
pub fn figures_there(plan: &Plan, engine: &Engine) -> Option<Summary> {
    let figures = match &plan.target {
        Target::Folder(path) => report::read(path).ok()?,
        Target::Store(address) => figures_in(address, engine).ok()?,
    };
    Some(Summary { output: shown_output(plan), ..figures })
}

/// Sends what a finished draft lists to its store, but for what is there already. Where the output goes to a folder there is
/// nothing to do.
///
/// # Errors
/// Those of [`destination`]; a file that does not arrive.
pub fn upload(plan: &Plan, draft: &Draft, scratch: &Scratch, engine: &Engine, watch: &mut Watch) -> anyhow::Result<()> {
    let Target::Store(address) = &plan.target else { return Ok(()) };
    let upload = Upload::new(address, scratch.sent(), plan.overwrite)?;
    let files = engine.wait(upload.begin(draft))?;
    let bytes = files.iter().map(|listed| listed.bytes).sum();
    watch.stage("upload", Some(bytes), Unit::Bytes, |stage| {
        let (left, all) = (files.len(), draft.manifest().listed().count());
        engine.wait(upload.send(draft.folder(), files, &|bytes| stage.advance(bytes)))?;
        let there = if left < all { format!("; {} were there", all - left) } else { String::new() };
        Ok(((), format!("{left} files, {}{there}", ByteSize(bytes))))
    })
}

/// Seals a draft, which has its report: in its folder in one step, or in its store by the manifest.
///
/// # Errors
/// Those of [`Draft::seal`] and [`Upload::seal`].
pub fn put_in_place(plan: &Plan, draft: Draft, scratch: &Scratch, engine: &Engine) -> anyhow::Result<Sealed> {
    match &plan.target {
        Target::Folder(path) => {
            engine.brake().seal()?;
            Ok(draft.seal(path, plan.overwrite)?)
        }
        Target::Store(address) => {
            let folder = draft.folder().to_owned();
            let sealed = draft.close()?;
            let seal = async { Upload::new(address, scratch.sent(), plan.overwrite)?.seal(&folder, &sealed).await };
            engine.wait::<_, UploadError>(seal)?;
            Ok(sealed)
        }
    }
}
