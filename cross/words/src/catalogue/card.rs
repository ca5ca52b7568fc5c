//! What `simpul card` says: problems first, each with what to do; then the talk around a write.

crate::macros::catalogue! {
    /// The words of `simpul card`.
    Card {
        ImageUnreadable { image, error }
            id "Citra {image} tidak dapat dibaca: {error}. Periksa nama berkasnya, lalu ulangi."
            en "The image {image} cannot be read: {error}. Check the file's name, then try again.";
        ImageIsNoFile { image }
            id "{image} bukan berkas. Beri nama berkas citra (.img, .img.xz, .img.gz, .img.zst)."
            en "{image} is not a file. Name an image file (.img, .img.xz, .img.gz, .img.zst).";
        UnknownArchive { image, kind }
            id "{image} adalah berkas {kind}, yang tidak dapat ditulis langsung. Buka dulu, lalu beri berkas .img di dalamnya."
            en "{image} is a {kind} file, which cannot be written as it is. Unpack it first and name the .img inside.";
        ArchiveTorn { image }
            id "Arsip {image} terpotong: unduhannya belum selesai. Kartu tidak akan menyala dengan isi setengah jadi. Unduh ulang, lalu tulis lagi."
            en "The archive {image} is cut short: its download did not finish. The card will not boot half a system. Download it again, then write again.";
        ArchiveDamaged { image, error }
            id "Arsip {image} rusak: {error}. Kartu belum dapat dipakai. Unduh ulang, lalu tulis lagi."
            en "The archive {image} is damaged: {error}. The card cannot be used yet. Download it again, then write again.";
        NotADiskImage { image }
            id "{image} bukan citra disk: tidak ada tabel partisi di awalnya. Periksa bahwa yang diunduh citra kartu SD, bukan halaman web, ISO pemasang, atau berkas lain."
            en "{image} is not a disk image: it does not begin with a partition table. Check that the download is an SD card image, not a web page, an installer or another file.";
        ImageShort { image, bytes, expected }
            id "{image} terlalu pendek: isinya {bytes}, padahal partisinya sampai {expected}. Kartu tidak akan menyala dengan isi setengah jadi. Unduh ulang."
            en "{image} is too short: it holds {bytes}, its partitions reach to {expected}. The card will not boot half a system. Download it again.";
        ImageHashDiffers { image, file }
            id "{image} tidak cocok dengan {file}: isinya berubah atau unduhannya rusak. Unduh ulang keduanya dari sumber resmi."
            en "{image} does not match {file}: it was changed or its download is damaged. Download both again from the official source.";
        CardTooSmall { needed, capacity }
            id "Kartu terlalu kecil: citra perlu {needed}, kartu hanya {capacity}. Pakai kartu yang lebih besar."
            en "The card is too small: the image needs {needed}, the card has {capacity}. Use a larger card.";
        CardWrite { error }
            id "Kartu tidak dapat ditulis: {error}. Kartu ini tidak akan menyala. Periksa apakah tercabut atau terkunci, lalu tulis lagi; jika terulang, ganti kartu."
            en "The card cannot be written: {error}. It will not boot. Check whether it came loose or is locked, then write again; if it happens again, replace the card.";
        CardRead { error }
            id "Kartu tidak dapat dibaca ulang: {error}. Kartu ini tidak akan menyala. Tulis lagi; jika terulang, ganti kartu."
            en "The card cannot be read back: {error}. It will not boot. Write again; if it happens again, replace the card.";
        CardDiffers { position }
            id "Isi kartu berbeda dari yang ditulis (diperiksa sampai {position}). Kartu ini rusak atau palsu dan tidak akan menyala. Ganti kartu."
            en "The card does not hold what was written (checked to {position}). It is worn out or counterfeit, and will not boot. Replace the card.";
        NoSuchTarget { target }
            id "{target} tidak ada. Pasang kartu, lalu jalankan `simpul card` tanpa --to untuk melihat kartu yang ada."
            en "{target} does not exist. Insert the card, then run `simpul card` without --to to see the cards there are.";
        TargetIsFolder { target }
            id "{target} adalah folder. Beri nama perangkat kartu atau nama berkas."
            en "{target} is a folder. Name a card's device or a file.";
        NoPermission { target }
            id "Tidak boleh membuka {target}. Di Linux jalankan dengan sudo; di Windows buka terminal sebagai Administrator."
            en "{target} may not be opened. On Linux run this with sudo; on Windows open the terminal as Administrator.";
        TargetBusy { target }
            id "{target} sedang dipakai program lain. Tutup pengelola berkas atau program kartu, lalu ulangi."
            en "{target} is in use by another program. Close file managers and card tools, then try again.";
        TargetIsPartition { target, disk }
            id "{target} hanya satu partisi. Citra ditulis ke kartu utuh: --to {disk}"
            en "{target} is one partition only. An image is written to the whole card: --to {disk}";
        SystemDisk { target }
            id "{target} adalah disk sistem komputer ini. Menulisnya menghapus komputer ini, jadi tidak dilakukan. Pilih kartunya."
            en "{target} is this computer's system disk. Writing it would erase this computer, so it is not done. Choose the card.";
        Mounted { target, places }
            id "{target} masih terpasang di {places}. Lepas dulu (umount, atau Eject di pengelola berkas), lalu ulangi."
            en "{target} is mounted at {places}. Unmount it first (umount, or Eject in the file manager), then try again.";
        InUse { target, by }
            id "{target} dipakai oleh {by} (RAID, LVM, enkripsi, atau swap). Ini bukan kartu kosong; pilih yang lain."
            en "{target} is used by {by} (RAID, LVM, encryption or swap). This is no spare card; choose another.";
        TooLarge { target, capacity, limit }
            id "{target} berisi {capacity}, lebih dari {limit}: mungkin disk, bukan kartu. Jika memang ini, tambahkan --allow-large."
            en "{target} holds {capacity}, more than {limit}: perhaps a disk and no card. If it is the one, add --allow-large.";
        EmptyReader { target }
            id "Tidak ada kartu di {target}. Masukkan kartu sampai terasa terkunci, lalu ulangi."
            en "There is no card in {target}. Push the card in until it sits, then try again.";
        ReadOnly { target }
            id "{target} terkunci untuk ditulis. Geser kunci kecil di sisi adaptor SD, lalu ulangi."
            en "{target} is write-protected. Move the small lock on the adapter's side, then try again.";
        NotFinished { target }
            id "{target} belum berisi citra yang selesai ditulis, jadi berkas simpul tidak dapat ditambahkan. Tulis citranya dulu."
            en "{target} does not hold a finished image, so the node's files cannot be added. Write the image first.";
        NoFirstBoot { found }
            id "Citra ini tidak punya tempat untuk pemasangan pertama yang dapat dicapai dari sini ({found}). Yang didukung: Raspberry Pi OS, dan citra dengan cmdline.txt atau cloud-init di partisi FAT. Pakai salah satunya, atau tulis tanpa --node lalu pasang agen dengan tangan."
            en "This image has no place for a first boot that can be reached from here ({found}). Supported: Raspberry Pi OS, and images with cmdline.txt or cloud-init on a FAT partition. Use one of them, or write without --node and install the agent by hand.";
        ForeignFirstBoot { file }
            id "Citra ini sudah punya pemasangan pertama sendiri di {file}. Pakai citra asli yang belum diubah."
            en "This image already has a first boot of its own in {file}. Use the original image, unchanged.";
        BootPartition { error }
            id "Partisi boot tidak dapat diisi: {error}. Kartu ini tidak akan menyala. Tulis lagi dengan citra yang baru diunduh."
            en "The boot partition cannot be filled: {error}. The card will not boot. Write again with a fresh image.";
        BootPartitionFull { needed, free }
            id "Partisi boot terlalu penuh: perlu {needed}, tersisa {free}. Pakai citra dengan partisi boot yang lebih besar."
            en "The boot partition is too full: {needed} needed, {free} left. Use an image with a larger boot partition.";
        WrongMachine { agent, image }
            id "Agen di bundel ini untuk {agent}, citranya untuk {image}. Minta bundel yang cocok, atau pakai citra lain."
            en "The bundle's agent is for {agent}, the image is for {image}. Ask for the matching bundle, or use another image.";
        System { what }
            id "Sistem ini tidak menjawab dengan benar: {what}. Jalankan sebagai admin, lalu ulangi."
            en "This system does not answer as it should: {what}. Run this as administrator, then try again.";
        HashFileMissing { file }
            id "Tidak ada {file} di samping citra, jadi asalnya tidak diperiksa."
            en "There is no {file} beside the image, so its origin is not checked.";
        HashFileMatches { file }
            id "Citra cocok dengan {file}."
            en "The image matches {file}.";
        CheckingHash { image }
            id "Memeriksa {image}"
            en "Checking {image}";
        Candidates
            id "Kartu yang ada:"
            en "Cards there are:";
        Removable
            id "dapat dilepas"
            en "removable";
        NotRemovable
            id "TERPASANG TETAP"
            en "FIXED";
        NoCandidates
            id "Tidak ada kartu yang terlihat. Masukkan kartu ke pembacanya, lalu ulangi."
            en "No card is to be seen. Insert one into its reader, then try again.";
        ChooseTarget { image, path }
            id "Pilih satu, misalnya: simpul card {image} --to {path}"
            en "Choose one, for example: simpul card {image} --to {path}";
        UnfinishedBefore { image, position }
            id "Kartu ini ditinggal setengah jadi: {image}, sampai {position}. Sekarang ditulis dari awal."
            en "This card was left unfinished: {image}, up to {position}. It is written from the beginning now.";
        UnfinishedBeforeUnknown
            id "Kartu ini ditinggal setengah jadi. Sekarang ditulis dari awal."
            en "This card was left unfinished. It is written from the beginning now.";
        AboutToErase { image, path, capacity, model, removable }
            id "{image} akan ditulis ke {path} ({capacity}, {model}, {removable}). Semua isinya hilang."
            en "{image} will be written to {path} ({capacity}, {model}, {removable}). All that is on it will be gone.";
        AboutToWriteFile { image, path }
            id "{image} akan ditulis ke berkas {path}. Isi lamanya hilang."
            en "{image} will be written to the file {path}. What it held will be gone.";
        StageWrite id "Menulis" en "Writing";
        StageVerify id "Membaca ulang" en "Reading back";
        StageFinish id "Menyelesaikan" en "Finishing";
        Verified { bytes, target, duration }
            id "{bytes} di {target} sudah dibaca ulang dan cocok, {duration}."
            en "{bytes} on {target} read back and found equal, {duration}.";
        ReadDirect
            id "Dibaca langsung dari kartu (O_DIRECT), tidak dari memori komputer."
            en "Read from the card itself (O_DIRECT), not from this computer's memory.";
        ReadReopened
            id "Dibaca dari perangkat yang dibuka ulang setelah sistem diminta melupakan salinannya."
            en "Read from the device opened anew, after the system was asked to forget its copy.";
        Hash { sha256 }
            id "SHA-256 {sha256}"
            en "SHA-256 {sha256}";
        NodeInstalled { node, village, how }
            id "Simpul {node} ({village}) siap dipasang saat kartu pertama kali dinyalakan, lewat {how}."
            en "Node {node} ({village}) will install itself when the card first boots, by way of {how}.";
        NodeTokenOnCard
            id "Kartu ini memuat kunci pendaftaran: simpan baik-baik sampai dipasang."
            en "This card carries an enrolment token: keep it safe until it is installed.";
        Finished { target }
            id "Selesai. {target} boleh dicabut."
            en "Done. {target} may be taken out.";
    }
}
