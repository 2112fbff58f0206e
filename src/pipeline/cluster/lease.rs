//! Who drives the runs of an output whose machines meet in a store: a small object that is written anew every few seconds. Machines that
//! share a folder have its lock instead, which needs no time to tell that somebody is gone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::order::token;
use super::wire::Wire;
use crate::pipeline::engine::Engine;
use crate::pipeline::lock::Holder;
use crate::remote::{Address, Remote, RemoteError};

/// In the folder of all runs of an output.
const NAME: &str = "driver.json";
/// Between two signs of who drives.
const BEAT: Duration = Duration::from_secs(3);
/// Whoever has given none for so long is gone.
const LEASE: Duration = Duration::from_secs(15);
/// Between two looks for one.
const LOOK: Duration = Duration::from_millis(300);
/// Of several that take the place of one who is gone, the last one to write drives.
const SETTLED: Duration = Duration::from_secs(2);
/// What giving it back may take, when all is done, and when the process is about to end.
const ORDERLY: Duration = Duration::from_secs(20);
const PARTING: Duration = Duration::from_millis(600);
/// Bytes of a sign, at most.
const MOST: u64 = 1 << 14;

/// Leave to drive, until this is dropped.
pub struct Lease {
    place: Address,
    /// Somebody else has taken it.
    taken: Arc<AtomicBool>,
    stop: Option<mpsc::Sender<()>>,
    /// Says that it is given back.
    ended: mpsc::Receiver<()>,
}

/// What whoever drives tells of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Claim {
    holder: Holder,
    /// The file of that machine that its run has locked.
    lock: String,
    /// Tells runs apart.
    token: u64,
    /// Counts up. A clock would have to agree with those of others.
    beat: u64,
}

/// Somebody else drives.
#[derive(Debug, thiserror::Error)]
pub enum Driven {
    #[error("{place}: another run is working on this output: {holder}; wait for it, or stop it first")]
    Already { place: String, holder: Box<Holder> },
    #[error(
        "{0}: another run has taken this output over, as this one gave no sign of life for a while; the same command goes on when \
         the other is over"
    )]
    Since(String),
}

/// Whoever was there before.
enum Before {
    Nobody,
    /// Who held the lock that this run holds now.
    Own,
    /// Who is taken to be gone.
    Gone,
}

impl Lease {
    /// Takes it for the runs in a folder of a store, from whoever is gone; `lock` names what this run has locked on this machine.
    ///
    /// # Errors
    /// When somebody else drives; a store that refuses or does not answer.
    pub fn take(place: &Address, lock: String, engine: &Engine) -> anyhow::Result<Self> {
        let (remote, wire) = (Remote::open(place)?, Wire::new()?);
        let mut claim = Claim { holder: Holder::myself(), lock, token: token(), beat: 0 };
        claim.take(&remote, engine)?;
        let taken = Arc::<AtomicBool>::default();
        let (stop, stopped) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let is_lost = taken.clone();
        thread::Builder::new().name("lease".to_owned()).spawn(move || {
            while let Err(mpsc::RecvTimeoutError::Timeout) = stopped.recv_timeout(BEAT) {
                claim.beat += 1;
                // A store that is away for a moment is away for others, too.
                if wire.ask(async || Ok(claim.renew(&remote).await?)).is_ok_and(|is_ours| !is_ours) {
                    is_lost.store(true, Ordering::Relaxed);
                    return;
                }
            }
            let _ = wire.ask(async || Ok(claim.give_back(&remote).await?));
            let _ = end.send(());
        })?;
        Ok(Self { place: place.clone(), taken, stop: Some(stop), ended })
    }

    /// Whether nobody has taken it since.
    ///
    /// # Errors
    /// When somebody has: this process was stopped, or cut off from the store, for longer than others wait.
    pub fn check(&self) -> Result<(), Driven> {
        if self.taken.load(Ordering::Relaxed) { Err(Driven::Since(self.place.to_string())) } else { Ok(()) }
    }

    /// Gives it back, and sees to it that it is.
    pub fn give_back(mut self) {
        self.part(ORDERLY);
    }

    fn part(&mut self, within: Duration) {
        drop(self.stop.take());
        // Who has ended already says nothing more.
        let _ = self.ended.recv_timeout(within);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.part(PARTING);
    }
}

impl Claim {
    /// Becomes the one that stands.
    fn take(&self, remote: &Remote, engine: &Engine) -> anyhow::Result<()> {
        loop {
            let won = match self.outwait(remote, engine)? {
                Before::Nobody => engine.wait(remote.put_new(NAME, self.bytes()))?,
                Before::Own => return engine.wait(remote.write(NAME, self.bytes())),
                Before::Gone => {
                    engine.wait(remote.write(NAME, self.bytes()))?;
                    sleep(SETTLED);
                    engine.wait(found(remote))?.is_of(self.token)
                }
            };
            if won {
                return Ok(());
            }
            engine.go_on()?;
            sleep(LOOK);
        }
    }

    /// Looks for a sign of life of whoever has said to drive, as long as it may take.
    fn outwait(&self, remote: &Remote, engine: &Engine) -> anyhow::Result<Before> {
        let mut first: Option<(Self, Instant)> = None;
        loop {
            let claim = match engine.wait(found(remote))? {
                Found::Claim(claim) => claim,
                Found::Nothing => return Ok(Before::Nobody),
                Found::Strange => return Ok(Before::Gone),
            };
            let holder = &claim.holder;
            match &first {
                // Its lock is held by this run now.
                _ if claim.lock == self.lock && holder.is_of_one_machine(&self.holder) => return Ok(Before::Own),
                None => {
                    let told = format!("{}: {holder} has not said that it ended", remote.address());
                    engine.progress().note(&format!("{told}; it may give a sign of life for {} s", LEASE.as_secs()));
                    first = Some((claim, Instant::now()));
                }
                Some((first, _)) if *first != claim => {
                    let (place, holder) = (remote.address().to_string(), Box::new(holder.clone()));
                    return Err(Driven::Already { place, holder }.into());
                }
                Some((_, since)) if since.elapsed() >= LEASE => return Ok(Before::Gone),
                Some(_) => {}
            }
            engine.go_on()?;
            sleep(LOOK);
        }
    }

    /// Gives a sign, and says whether it still stands.
    async fn renew(&self, remote: &Remote) -> Result<bool, RemoteError> {
        let stands = found(remote).await?;
        let is_ours = !matches!(stands, Found::Claim(_)) || stands.is_of(self.token);
        if is_ours {
            remote.write(NAME, self.bytes()).await?;
        }
        Ok(is_ours)
    }

    async fn give_back(&self, remote: &Remote) -> Result<(), RemoteError> {
        match found(remote).await? {
            stands if stands.is_of(self.token) => remote.delete(NAME).await,
            _ => Ok(()),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// What stands there.
enum Found {
    Nothing,
    Claim(Claim),
    /// Nobody's who drives.
    Strange,
}

impl Found {
    fn is_of(&self, token: u64) -> bool {
        matches!(self, Self::Claim(claim) if claim.token == token)
    }
}

async fn found(remote: &Remote) -> Result<Found, RemoteError> {
    let Some(bytes) = remote.read(NAME, MOST).await? else { return Ok(Found::Nothing) };
    Ok(serde_json::from_slice(&bytes).map_or(Found::Strange, Found::Claim))
}

/// Whether whoever needs leave to drive still has it; a folder that machines share needs none.
///
/// # Errors
/// See [`Lease::check`].
pub fn check(lease: Option<&Lease>) -> Result<(), Driven> {
    lease.map_or(Ok(()), Lease::check)
}

/// Whether an object of that folder is only to tell who drives.
pub fn is_sign(name: &str) -> bool {
    name == NAME
}

/// Whether somebody has said to drive, and has not taken that back.
///
/// # Errors
/// A store that refuses or does not answer.
pub fn is_told(place: &Address, engine: &Engine) -> anyhow::Result<bool> {
    let remote = Remote::open(place)?;
    Ok(!matches!(engine.wait(found(&remote))?, Found::Nothing))
}
