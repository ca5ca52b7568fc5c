//! A card in memory: what was synced stays, what was not may be gone after a power cut, and any operation can be the
//! last one. Kills keep what was written; power cuts keep a random part of it, in order.

use std::collections::BTreeMap;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use simpul_agent::spool::disk::{Database, Disk, StoreError};

type Keys = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Default)]
struct Stored {
    durable: Keys,
    /// Puts since the last sync.
    pending: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Stored {
    fn now(&self) -> Keys {
        let mut keys = self.durable.clone();
        for (key, value) in &self.pending {
            keys.insert(key.clone(), value.clone());
        }
        keys
    }
}

pub struct Card {
    databases: BTreeMap<String, Stored>,
    files: BTreeMap<String, Vec<u8>>,
    scribbled: BTreeMap<String, Vec<u8>>,
    ballast: u64,
    boots: u32,
    random: StdRng,
    /// Operations left until everything fails; `None`: no crash is armed.
    pub crash_after: Option<u32>,
    pub crashed: bool,
    /// Bytes that fit.
    pub capacity: u64,
    pub syncs: u32,
    /// The next sync waits for a message.
    pub gate: Option<Receiver<()>>,
}

/// The card's state, which outlives the disks that are opened on it.
pub type Shared = Arc<Mutex<Card>>;

pub fn card(seed: u64) -> Shared {
    Arc::new(Mutex::new(Card {
        databases: BTreeMap::new(),
        files: BTreeMap::new(),
        scribbled: BTreeMap::new(),
        ballast: 0,
        boots: 1,
        random: StdRng::seed_from_u64(seed),
        crash_after: None,
        crashed: false,
        capacity: u64::MAX,
        syncs: 0,
        gate: None,
    }))
}

impl Card {
    /// The process was killed: the kernel still has everything.
    pub fn kill(&mut self) {
        (self.crash_after, self.crashed) = (None, false);
    }

    /// The power went: of what was not synced a part, in order, reached the card.
    pub fn cut_power(&mut self) {
        self.kill();
        self.boots += 1;
        for stored in self.databases.values_mut() {
            let kept = self.random.random_range(0..=stored.pending.len());
            stored.pending.truncate(kept);
            stored.durable = stored.now();
            stored.pending.clear();
        }
        if self.random.random_bool(0.5) {
            self.scribbled.clear();
        }
    }

    /// Let exactly so much more be written.
    pub fn leave_room(&mut self, bytes: u64) {
        self.capacity = self.used() + bytes;
    }

    fn used(&self) -> u64 {
        let databases = self.databases.values().map(|stored| {
            let keys = stored.now();
            keys.iter().map(|(key, value)| (key.len() + value.len()) as u64 * 2).sum::<u64>() + 1_000
        });
        databases.sum::<u64>() + self.files.values().map(|file| file.len() as u64 + 500).sum::<u64>() + self.ballast
    }

    /// Count an operation. `Ok(true)`: do it and then fail; the power may go before or after it took effect.
    fn step(&mut self) -> Result<bool, StoreError> {
        if self.crashed {
            return Err(gone());
        }
        match &mut self.crash_after {
            Some(0) => {
                self.crashed = true;
                if self.random.random_bool(0.5) { Ok(true) } else { Err(gone()) }
            }
            Some(left) => {
                *left -= 1;
                Ok(false)
            }
            None => Ok(false),
        }
    }

    fn fits(&self, bytes: usize) -> Result<(), StoreError> {
        if self.used() + bytes as u64 > self.capacity {
            Err(StoreError::Full("the model is full".into()))
        } else {
            Ok(())
        }
    }
}

fn gone() -> StoreError {
    StoreError::Failed("the power is gone".to_string())
}

fn outcome(last: bool) -> Result<(), StoreError> {
    if last { Err(gone()) } else { Ok(()) }
}

pub struct ModelDisk {
    pub card: Shared,
    pub serial: String,
}

impl ModelDisk {
    pub fn boxed(card: &Shared) -> Box<ModelDisk> {
        Box::new(ModelDisk { card: Arc::clone(card), serial: "board-1".to_string() })
    }
}

struct ModelDatabase {
    card: Shared,
    name: String,
    /// Once a write failed sled refuses everything until it is opened anew.
    failed: bool,
}

impl Database for ModelDatabase {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::Failed("failed before".to_string()));
        }
        let mut card = self.card.lock().unwrap();
        let last = card.step()?;
        if let Err(full) = card.fits(2 * (key.len() + value.len())) {
            self.failed = true;
            return Err(full);
        }
        let stored = card.databases.get_mut(&self.name).ok_or_else(gone)?;
        stored.pending.push((key.to_vec(), value.to_vec()));
        outcome(last)
    }

    fn scan(&self, from: &[u8], visit: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result<(), StoreError> {
        let keys = {
            let mut card = self.card.lock().unwrap();
            card.step()?;
            card.databases.get(&self.name).ok_or_else(gone)?.now()
        };
        for (key, value) in keys.range(from.to_vec()..) {
            if !visit(key, value) {
                break;
            }
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::Failed("failed before".to_string()));
        }
        let gate = self.card.lock().unwrap().gate.take();
        let mut card = self.card.lock().unwrap();
        let last = card.step()?;
        card.syncs += 1;
        drop(card);
        if let Some(gate) = gate {
            gate.recv().unwrap();
        }
        let mut card = self.card.lock().unwrap();
        let stored = card.databases.get_mut(&self.name).ok_or_else(gone)?;
        stored.durable = stored.now();
        stored.pending.clear();
        outcome(last)
    }
}

impl Disk for ModelDisk {
    fn open(&mut self, name: &str) -> Result<Box<dyn Database>, StoreError> {
        let mut card = self.card.lock().unwrap();
        let last = card.step()?;
        card.databases.entry(name.to_string()).or_default();
        outcome(last)?;
        Ok(Box::new(ModelDatabase { card: Arc::clone(&self.card), name: name.to_string(), failed: false }))
    }

    fn databases(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.card.lock().unwrap().databases.keys().cloned().collect())
    }

    fn database_exists(&self, name: &str) -> bool {
        self.card.lock().unwrap().databases.contains_key(name)
    }

    fn delete(&mut self, name: &str) -> Result<(), StoreError> {
        let mut card = self.card.lock().unwrap();
        let last = card.step()?;
        card.databases.remove(name);
        outcome(last)
    }

    fn quarantine(&mut self, name: &str) -> Result<(), StoreError> {
        self.delete(name)
    }

    fn read(&self, file: &str, offset: u64, length: usize) -> Result<Option<Vec<u8>>, StoreError> {
        let mut card = self.card.lock().unwrap();
        card.step()?;
        let found = card.scribbled.get(file).or_else(|| card.files.get(file));
        Ok(found.map(|bytes| {
            let from = (offset as usize).min(bytes.len());
            bytes[from..bytes.len().min(from.saturating_add(length))].to_vec()
        }))
    }

    fn length(&self, file: &str) -> Option<u64> {
        self.card.lock().unwrap().files.get(file).map(|bytes| bytes.len() as u64)
    }

    fn replace(&mut self, file: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let mut card = self.card.lock().unwrap();
        let last = card.step()?;
        card.fits(bytes.len() + 500)?;
        card.files.insert(file.to_string(), bytes.to_vec());
        outcome(last)
    }

    fn create(&mut self, file: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let mut card = self.card.lock().unwrap();
        let last = card.step()?;
        card.fits(bytes.len() + 500)?;
        let written = if last { bytes.len() / 2 } else { bytes.len() };
        card.files.insert(file.to_string(), bytes[..written].to_vec());
        outcome(last)
    }

    fn scribble(&mut self, file: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let mut card = self.card.lock().unwrap();
        let last = card.step()?;
        card.scribbled.insert(file.to_string(), bytes.to_vec());
        outcome(last)
    }

    fn remove(&mut self, file: &str) -> Result<(), StoreError> {
        let mut card = self.card.lock().unwrap();
        let last = card.step()?;
        card.files.remove(file);
        outcome(last)
    }

    fn list(&mut self, folder: &str) -> Result<Vec<(String, u64)>, StoreError> {
        let card = self.card.lock().unwrap();
        let inside = |(name, bytes): (&String, &Vec<u8>)| {
            Some((name.strip_prefix(folder)?.strip_prefix('/')?.to_string(), bytes.len() as u64))
        };
        Ok(card.files.iter().filter_map(inside).collect())
    }

    fn free_bytes(&self) -> u64 {
        let card = self.card.lock().unwrap();
        card.capacity.saturating_sub(card.used())
    }

    fn set_ballast(&mut self, bytes: u64) -> Result<(), StoreError> {
        let mut card = self.card.lock().unwrap();
        let last = card.step()?;
        card.ballast = 0;
        card.fits(bytes as usize)?;
        card.ballast = bytes;
        outcome(last)
    }

    fn ballast_bytes(&self) -> u64 {
        self.card.lock().unwrap().ballast
    }

    fn boot_id(&self) -> String {
        format!("boot-{}", self.card.lock().unwrap().boots)
    }

    fn hardware_serial(&self) -> Option<String> {
        Some(self.serial.clone())
    }
}
