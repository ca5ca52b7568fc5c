//! The machine itself: card, buffer, clock, supply, agent.

super::findings! {
    "storage.good" (free) {
        what id "Kartu penyimpanan baik, tersisa {free}." en "The card is well, {free} left.";
    }
    "storage.low" (free) {
        what id "Ruang kartu tinggal {free}." en "Only {free} left on the card.";
        why id "Data menunggu pusat, atau ada berkas lain di kartu." en "Data waits for the hub, or other files are on the card.";
        act id "Pulihkan sambungan ke pusat; hapus berkas yang bukan milik Simpul." en "Restore the connection to the hub; remove files that are not Simpul's.";
    }
    "storage.full" (free, path) {
        what id "Kartu penuh: tersisa {free} di {path}." en "The card is full: {free} left at {path}.";
        why id "Berkas lain mengisi kartu, atau kartunya terlalu kecil untuk batas penyangga." en "Other files fill the card, or it is too small for the buffer's limits.";
        act id "Hapus berkas yang bukan milik Simpul, atau perkecil batas [spool]. Jangan hapus folder penyangga." en "Remove files that are not Simpul's, or lower the limits of [spool]. Leave the buffer's folder alone.";
    }
    "storage.read_only" (path) {
        what id "Kartu hanya bisa dibaca: {path}." en "The card is read-only: {path}.";
        why id "Sistem menemukan kerusakan pada kartu dan berhenti menulisinya." en "The system found the card damaged and stopped writing to it.";
        act id "Nyalakan ulang sekali; jika tetap begitu, ganti kartu dan simpan kartu lama: datanya masih bisa dibaca." en "Restart once; if it stays so, replace the card and keep the old one: its data can still be read.";
    }
    "storage.write_error" (path, error) {
        what id "Menulis ke {path} gagal: {error}." en "Writing to {path} fails: {error}.";
        why id "Kartu rusak, atau pengguna layanan tidak boleh menulis di sana." en "The card is damaged, or the service's user may not write there.";
        act id "Periksa pemilik folder; jika benar, ganti kartu." en "Check the folder's owner; if that is right, replace the card.";
    }
    "storage.slow" (took) {
        what id "Menulis sampai aman di kartu perlu {took}." en "A write that is safely on the card takes {took}.";
        why id "Kartu tua, lambat, atau sedang sangat sibuk." en "The card is old, slow, or very busy.";
        act id "Periksa lagi nanti; jika tetap lambat, ganti dengan kartu kelas ketahanan tinggi." en "Examine again later; if it stays slow, replace it with a high-endurance card.";
    }
    "storage.worn" (used) {
        what id "Umur kartu terpakai sekitar {used} persen menurut kartu itu sendiri." en "About {used} percent of the card's life is used, by its own count.";
        why id "Setiap tulisan menghabiskan sedikit umur kartu." en "Each write uses a little of it.";
        act id "Siapkan kartu pengganti dan ganti pada kunjungan berikutnya." en "Prepare a new card and replace it at the next visit.";
    }
    "storage.unknown" (path, error) {
        what id "Kartu tidak bisa diperiksa di {path}: {error}." en "The card could not be examined at {path}: {error}.";
        why id "Folder itu tidak ada, tidak boleh dibaca, atau kartu tidak menjawab." en "The folder is missing, may not be read, or the card does not answer.";
        act id "Periksa dengan sudo; jika kartu tidak menjawab, matikan dan nyalakan lagi." en "Examine with sudo; if the card does not answer, switch off and on again.";
    }
    "spool.good" (records) {
        what id "Penyangga utuh, {records} catatan menunggu pusat." en "The buffer is whole, records that wait for the hub: {records}.";
    }
    "spool.quarantined" (count) {
        what id "Basis data yang rusak dan disisihkan: {count}." en "Damaged databases that were set aside: {count}.";
        why id "Listrik putus saat menulis, atau kartu mulai rusak." en "Power went while writing, or the card begins to fail.";
        act id "Catatan di dalamnya sudah dilaporkan hilang. Jika bertambah, ganti kartu." en "The records in them were reported as lost. If there are more each time, replace the card.";
    }
    "spool.damaged" (path, error) {
        what id "Buku penyangga tidak terbaca di {path}: {error}." en "The buffer's books cannot be read at {path}: {error}.";
        why id "Folder penyangga rusak, atau tidak boleh dibaca oleh pengguna ini." en "The buffer's folder is damaged, or this user may not read it.";
        act id "Periksa dengan sudo; lalu jalankan simpul-agent spool verify." en "Examine with sudo; then run simpul-agent spool verify.";
    }
    "spool.at_limit" (stream, used, limit) {
        what id "Penyangga {stream} hampir penuh: {used} dari {limit}." en "The buffer for {stream} is nearly full: {used} of {limit}.";
        why id "Data lebih cepat masuk daripada terkirim, atau pusat lama tidak terhubung." en "Data comes in faster than it is sent, or the hub was away for long.";
        act id "Pulihkan sambungan ke pusat; jika sambungan baik, perbesar batas di [spool]." en "Restore the connection to the hub; if that is well, raise the limit in [spool].";
    }
    "spool.lost" (records) {
        what id "Catatan yang hilang untuk selamanya: {records}." en "Records that are lost for ever: {records}.";
        why id "Penyangga penuh, kartu rusak, atau pusat menolaknya; halaman pusat menyebut sebabnya." en "The buffer was full, the card was damaged, or the hub refused them; the hub's page names the reason.";
        act id "Lihat daftar kehilangan di halaman pusat; tidak perlu tindakan jika jumlahnya tetap." en "See the list of losses on the hub's page; nothing to do if the number stays.";
    }
    "spool.missing" (path) {
        what id "Belum ada penyangga di {path}." en "There is no buffer at {path} yet.";
        why id "Agen belum pernah berjalan dengan konfigurasi ini." en "The agent never ran with this configuration.";
        act id "Jalankan agen: systemctl start simpul-agent." en "Start the agent: systemctl start simpul-agent.";
    }
    "clock.good" (now) {
        what id "Jam bisa dipercaya: {now}." en "The clock can be believed: {now}.";
    }
    "clock.unsynchronised" (now) {
        what id "Jam belum disetel oleh apa pun: {now}." en "Nothing has set the clock: {now}.";
        why id "Tidak ada server waktu yang menjawab; papan ini tidak punya baterai jam." en "No time server answers; this board has no battery for its clock.";
        act id "Tidak ada data yang hilang: pusat memberi tanggal. Periksa apakah NTP (UDP 123) terbuka." en "Nothing is lost: the hub dates the records. Check that NTP (UDP 123) is open.";
    }
    "clock.behind" (now, seen) {
        what id "Jam tertinggal: sekarang {now}, padahal {seen} sudah pernah terlihat." en "The clock is behind: it says {now}, though {seen} has been seen already.";
        why id "Listrik sempat putus dan belum ada yang menyetel jam." en "Power was away, and nothing has set the clock since.";
        act id "Sambungkan ke jaringan dengan server waktu, atau setel dengan timedatectl set-time." en "Connect it to a network with a time server, or set it with timedatectl set-time.";
    }
    "clock.ahead" (now) {
        what id "Jam terlalu maju bertahun-tahun: {now}." en "The clock is years ahead: {now}.";
        why id "Jam disetel keliru; sertifikat tampak kedaluwarsa karenanya." en "It was set wrongly; certificates look expired because of it.";
        act id "Setel dengan timedatectl set-time, atau aktifkan lagi NTP: timedatectl set-ntp true." en "Set it with timedatectl set-time, or switch NTP on again: timedatectl set-ntp true.";
    }
    "power.good" () {
        what id "Catu daya baik." en "The supply is well.";
    }
    "power.undervoltage" () {
        what id "Tegangan catu daya terlalu rendah." en "The supply voltage is too low.";
        why id "Adaptor terlalu lemah, kabel terlalu panjang atau tipis, atau baterai hampir habis." en "The adapter is too weak, the cable too long or thin, or a battery nearly empty.";
        act id "Pakai adaptor asli 5,1 V / 3 A dengan kabel pendek; kartu bisa rusak jika dibiarkan." en "Use an original 5.1 V / 3 A adapter with a short cable; the card can be damaged if it stays so.";
    }
    "power.board_low" (supply) {
        what id "Tegangan di papan I/O hanya {supply}." en "The supply at the I/O board is only {supply}.";
        why id "Baterai atau adaptor 12 V lemah, atau terminalnya longgar." en "The battery or the 12 V adapter is weak, or its terminals are loose.";
        act id "Ukur tegangan di terminal; ganti baterai atau adaptor bila di bawah 11,5 V." en "Measure at the terminals; replace the battery or the adapter below 11.5 V.";
    }
    "power.unknown" (error) {
        what id "Catu daya tidak bisa diperiksa: {error}." en "The supply could not be examined: {error}.";
        why id "Sensor ada tetapi tidak terbaca." en "There is a sensor, but it cannot be read.";
        act id "Periksa dengan sudo." en "Examine with sudo.";
    }
    "power.absent" () {
        what id "Tidak ada sensor catu daya di mesin ini." en "Nothing in this machine measures the supply.";
    }
    "agent.good" (version) {
        what id "Agen {version} berjalan." en "The agent {version} runs.";
    }
    "agent.not_running" () {
        what id "Agen tidak berjalan." en "The agent does not run.";
        why id "Layanan dihentikan, atau gagal saat mulai." en "The service was stopped, or failed when it started.";
        act id "systemctl start simpul-agent; jika gagal: journalctl -u simpul-agent -n 50." en "systemctl start simpul-agent; if that fails: journalctl -u simpul-agent -n 50.";
    }
    "agent.silent" (error) {
        what id "Agen berjalan tetapi tidak menjawab: {error}." en "The agent runs but does not answer: {error}.";
        why id "Agen macet, atau pengguna ini tidak boleh bertanya kepadanya." en "It hangs, or this user may not ask it.";
        act id "Periksa dengan sudo; jika tetap diam: systemctl restart simpul-agent." en "Examine with sudo; if it stays silent: systemctl restart simpul-agent.";
    }
    "check.timeout" (check) {
        what id "Pemeriksaan {check} tidak selesai pada waktunya." en "The examination of {check} did not end in time.";
        why id "Yang diperiksa tidak menjawab, atau mesin sangat sibuk." en "What is examined does not answer, or the machine is very busy.";
        act id "Periksa sekali lagi; jika tetap begitu, mulai dari bagian itu." en "Examine once more; if it stays so, begin with that part.";
    }
}
