//! A small ext4 on a loop device, for power cuts and full disks.
//!
//! A power cut is simulated without any help from the program under test: stop it (SIGSTOP), copy the loop device's
//! backing file as it is (what was never synced is not in it), kill the program, mount the copy in the old place. What
//! the program had synced is there after the journal's replay; what it had not is gone, as on a card.
//!
//! Needs root, loop devices and e2fsprogs; fails loudly without them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// A mounted ext4 file system in a file. Unmounted and deleted when dropped.
#[derive(Debug)]
pub struct LoopDisk {
    images: PathBuf,
    image: PathBuf,
    mount: PathBuf,
    copies: u32,
    /// The device's counter when it was mounted: the kernel goes on counting where the device's last user stopped.
    sectors_before: u64,
}

/// The file that fills a disk from outside, and what is written of it at a time.
const HOG: &str = "somebody-elses-file";
const HOG_BLOCK_BYTES: usize = 256 * 1024;

/// Two seconds in all.
const UNMOUNT_TRIES: u32 = 40;
const UNMOUNT_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

/// The unit of the kernel's counters, whatever the device's own.
const SECTOR_BYTES: u64 = 512;

impl LoopDisk {
    /// Make a disk of so many MiB that holds what is in the folder `mount` now, and mount it there. Its image and the
    /// copies that cuts make live in the folder `images`.
    pub fn over(mount: &Path, images: &Path, mebibytes: u64) -> Result<Self> {
        std::fs::create_dir_all(images).with_context(|| format!("create {}", images.display()))?;
        let image = images.join("disk-0.img");
        let file = std::fs::File::create(&image).with_context(|| format!("create {}", image.display()))?;
        file.set_len(mebibytes * 1024 * 1024).context("size the disk's image")?;
        // No lazy initialisation: its background writes would count as the program's.
        let options = ["-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0"];
        run("mkfs.ext4", &[&options[..], &["-d", path(mount)?, path(&image)?]].concat())?;
        let (images, mount) = (images.to_owned(), mount.to_owned());
        let mut disk = LoopDisk { images, image, mount, copies: 0, sectors_before: 0 };
        disk.mount()?;
        Ok(disk)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mount
    }

    /// Bytes that a program could still write.
    pub fn free_bytes(&self) -> Result<u64> {
        let stat = rustix::fs::statvfs(&self.mount).context("look at the disk")?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Fill it from outside with a file of real bytes until so many are free; again with less. The file is the whole
    /// of it: [`LoopDisk::give_back`] removes it.
    pub fn fill(&self, leave_bytes: u64) -> Result<()> {
        let hog = self.mount.join(HOG);
        let mut file = std::fs::File::options().create(true).append(true).open(&hog).context("open the hog")?;
        let mut block = vec![0x5a; HOG_BLOCK_BYTES];
        loop {
            let room = self.free_bytes()?.saturating_sub(leave_bytes);
            if room == 0 {
                return Ok(());
            }
            block.truncate(usize::try_from(room)?.max(1));
            match file.write(&block) {
                Ok(_) => file.sync_data().context("sync the hog")?,
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(error).context("write the hog"),
            }
        }
    }

    /// Remove the file that [`LoopDisk::fill`] made.
    pub fn give_back(&self) -> Result<()> {
        std::fs::remove_file(self.mount.join(HOG)).context("remove the hog")
    }

    /// What a power cut at this moment would leave; call it while the program is stopped, then kill the program and
    /// call [`LoopDisk::restore`].
    pub fn cut(&mut self) -> Result<Cut> {
        self.copies += 1;
        let copy = self.images.join(format!("disk-{}.img", self.copies));
        run("cp", &["--sparse=always", path(&self.image)?, path(&copy)?])?;
        Ok(Cut(copy))
    }

    /// Go on with what the cut left, mounted in the same place. The program must have ended.
    pub fn restore(&mut self, cut: Cut) -> Result<()> {
        self.unmount()?;
        std::fs::remove_file(&self.image).context("remove the disk from before the cut")?;
        self.image = cut.0;
        self.mount()
    }

    /// Bytes written to the device since it was mounted, by the kernel's own counter (`/sys/block/.../stat`, field 7).
    pub fn written_bytes(&self) -> Result<u64> {
        Ok(self.sectors_written()?.saturating_sub(self.sectors_before) * SECTOR_BYTES)
    }

    fn sectors_written(&self) -> Result<u64> {
        let device = run("findmnt", &["-n", "-o", "SOURCE", path(&self.mount)?])?;
        let name = device.trim().strip_prefix("/dev/").context("a loop device")?;
        let stat = std::fs::read_to_string(format!("/sys/block/{name}/stat")).context("read the device's counters")?;
        Ok(stat.split_whitespace().nth(6).context("seven counters")?.parse()?)
    }

    fn mount(&mut self) -> Result<()> {
        run("mount", &["-o", "loop,noatime", path(&self.image)?, path(&self.mount)?])?;
        self.sectors_before = self.sectors_written()?;
        Ok(())
    }

    /// A process that another thread is about to start holds our files for a moment (between fork and exec): busy then
    /// is not busy for good.
    fn unmount(&self) -> Result<()> {
        let mut left = UNMOUNT_TRIES;
        loop {
            left -= 1;
            match run("umount", &[path(&self.mount)?]) {
                Err(error) if left > 0 && error.to_string().contains("busy") => std::thread::sleep(UNMOUNT_PAUSE),
                other => return other.map(drop),
            }
        }
    }
}

/// What a power cut left: the disk's image, not yet mounted.
#[derive(Debug)]
pub struct Cut(PathBuf);

impl Drop for LoopDisk {
    fn drop(&mut self) {
        // Lazily, so that a program that still runs in a failing test does not keep the loop device for ever.
        let _ = Command::new("umount").arg("-l").arg(&self.mount).status();
        let _ = std::fs::remove_file(&self.image);
    }
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}

fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("{program} (needs root, loop devices, e2fsprogs and util-linux)"))?;
    if !output.status.success() {
        bail!("{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_keeps_what_was_synced_and_loses_what_was_not() {
        let directory = tempfile::tempdir().unwrap();
        let mount = directory.path().join("mount");
        std::fs::create_dir(&mount).unwrap();
        std::fs::write(mount.join("before"), "here").unwrap();
        let mut disk = LoopDisk::over(&mount, &directory.path().join("images"), 24).unwrap();
        let mut synced = std::fs::File::create(disk.path().join("synced")).unwrap();
        synced.write_all(&[7; 5_000]).unwrap();
        synced.sync_all().unwrap();
        std::fs::File::open(disk.path()).unwrap().sync_all().unwrap();
        std::fs::write(disk.path().join("unsynced"), [7; 5_000]).unwrap();
        let cut = disk.cut().unwrap();
        drop(synced);
        disk.restore(cut).unwrap();
        assert_eq!(std::fs::read(disk.path().join("synced")).unwrap(), [7; 5_000]);
        assert!(!disk.path().join("unsynced").exists());
        assert_eq!(std::fs::read(disk.path().join("before")).unwrap(), b"here");
        assert!(disk.written_bytes().unwrap() < 24 << 20);
    }

    #[test]
    fn a_disk_is_filled_from_outside_and_given_back() {
        let directory = tempfile::tempdir().unwrap();
        let mount = directory.path().join("mount");
        std::fs::create_dir(&mount).unwrap();
        let disk = LoopDisk::over(&mount, &directory.path().join("images"), 24).unwrap();
        let before = disk.free_bytes().unwrap();
        disk.fill(1 << 20).unwrap();
        assert!((900_000..1_100_000).contains(&disk.free_bytes().unwrap()), "{}", disk.free_bytes().unwrap());
        disk.fill(0).unwrap();
        assert_eq!(disk.free_bytes().unwrap(), 0);
        assert!(std::fs::write(mount.join("more"), [1; 10_000]).is_err());
        disk.give_back().unwrap();
        assert!(disk.free_bytes().unwrap() + 65_536 > before);
    }
}
