//! The I/O board.

super::findings! {
    "board.good" (version, port) {
        what id "Papan I/O baik: {version} di {port}." en "The I/O board is well: {version} at {port}.";
    }
    "board.unplugged" () {
        what id "Papan I/O tidak ditemukan." en "The I/O board is not found.";
        why id "Kabel USB lepas, rusak, atau hanya kabel pengisi daya." en "The USB cable is unplugged, broken, or one for charging only.";
        act id "Pasang ulang kabel di kedua ujung; coba kabel data lain." en "Plug the cable in again at both ends; try another data cable.";
    }
    "board.silent" (port) {
        what id "Papan I/O di {port} tidak bicara." en "The I/O board at {port} says nothing.";
        why id "Papan macet, tanpa daya, atau {port} bukan papan ini." en "It hangs, has no power, or {port} is something else.";
        act id "Cabut USB papan 10 detik lalu pasang lagi." en "Unplug the board's USB for 10 seconds and plug it in again.";
    }
    "board.boot_loader" () {
        what id "Papan I/O menunggu di pemuatnya dan tidak menjalankan firmware." en "The I/O board waits in its boot loader and runs no firmware.";
        why id "Tegangan sempat turun saat menyala, tombol BOOTSEL tertekan, atau firmware hilang." en "The supply dipped while it started, BOOTSEL was pressed, or its firmware is gone.";
        act id "Cabut dan pasang lagi; jika tetap begitu, isi firmware dengan berkas UF2." en "Unplug it and plug it in again; if it stays so, load the firmware from its UF2 file.";
    }
    "board.wrong_protocol" (detail) {
        what id "Papan I/O memakai versi sambungan lain: {detail}." en "The I/O board speaks another version of the link: {detail}.";
        why id "Firmware papan dan agen tidak seumur." en "The board's firmware and the agent are not of one age.";
        act id "Perbarui firmware papan: simpul-agent board update." en "Update the board's firmware: simpul-agent board update.";
    }
    "board.journal" (detail) {
        what id "Jurnal papan I/O bermasalah: {detail}." en "The I/O board's journal is in trouble: {detail}.";
        why id "Memori papan rusak, atau listrik putus saat menulis." en "Its memory fails, or power went while it wrote.";
        act id "Jumlah baru bisa mulai dari nol. Jika terulang, ganti papan." en "Totals may have begun again. If it happens again, replace the board.";
    }
    "board.noise" (detail) {
        what id "Kiriman papan I/O tidak terbaca: {detail}." en "What comes from the I/O board cannot be read: {detail}.";
        why id "Kabel buruk, gangguan listrik, atau perangkat lain di port itu." en "A bad cable, interference, or another device at that port.";
        act id "Ganti kabel dengan yang pendek; jauhkan dari kabel listrik." en "Use a short cable; keep it away from mains cables.";
    }
    "board.impossible" (detail) {
        what id "Papan I/O mengirim nilai yang mustahil: {detail}." en "The I/O board sends impossible values: {detail}.";
        why id "Sensor atau modul SFP lepas atau rusak." en "A sensor or an SFP module is loose or broken.";
        act id "Periksa kabel sensor dan modul yang disebut." en "Check the cable of the sensor or the module that is named.";
    }
    "board.refused" (detail) {
        what id "Hitungan papan I/O tidak bisa disimpan di sini: {detail}." en "What the I/O board counts cannot be kept here: {detail}.";
        why id "Penyangga penuh atau kartu bermasalah; papan masih menyimpannya." en "The buffer is full or the card fails; the board still keeps it.";
        act id "Perbaiki penyangga atau kartu; hitungan menyusul sendiri." en "Mend the buffer or the card; the counts follow by themselves.";
    }
    "board.unknown" (detail) {
        what id "Keadaan papan I/O tidak diketahui: {detail}." en "How the I/O board is could not be found out: {detail}.";
        why id "Hanya agen yang berjalan dan sudah mendengar papan yang tahu." en "Only an agent that runs and has heard the board knows.";
        act id "Jalankan agen, tunggu setengah menit, lalu periksa lagi." en "Start the agent, wait half a minute, and examine again.";
    }
    "board.absent" () {
        what id "Tidak ada papan I/O dalam konfigurasi." en "No I/O board is configured.";
    }
}
