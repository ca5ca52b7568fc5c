//! What is said between a laptop and the hub.

crate::macros::catalogue! {
    /// The words of `simpul login`, and of every command that asks the hub.
    Hub {
        LoggedIn { laptop, until }
            id "Laptop ini masuk sebagai {laptop}, berlaku sampai {until}. Sesudah itu: minta kunci teknisi baru."
            en "This laptop is logged in as {laptop}, until {until}. After that: ask for a new technician's token.";
        AskToken
            id "Tempel kunci teknisi, lalu Enter dan Ctrl-D:"
            en "Paste the technician's token, then Enter and Ctrl-D:";
        NotLoggedIn
            id "Laptop ini belum masuk. Minta kunci teknisi dari operator pusat, lalu: simpul login BERKAS"
            en "This laptop is not logged in. Ask the hub's operator for a technician's token, then: simpul login FILE";
        NoHome
            id "Folder pengaturan pengguna tidak ditemukan. Isi HOME (atau APPDATA di Windows)."
            en "The user's settings folder was not found. Set HOME (or APPDATA on Windows).";
        File { path, error }
            id "{path}: {error}. Periksa folder dan izinnya."
            en "{path}: {error}. Check the folder and its permissions.";
        OpenKey { path }
            id "{path} dapat dibaca orang lain, padahal berisi kunci rahasia. Jalankan: chmod 600 {path}, lalu minta laptop ini dicabut jika komputer dipakai bersama."
            en "{path} can be read by others, though it holds a secret key. Run: chmod 600 {path}, and have this laptop revoked if the computer is shared.";
        Damaged { path }
            id "{path} rusak. Masuk lagi dengan kunci teknisi baru: simpul login BERKAS"
            en "{path} is damaged. Log in again with a new technician's token: simpul login FILE";
        Key { what }
            id "Kunci atau sertifikat tidak dapat dipakai: {what}. Masuk lagi: simpul login BERKAS"
            en "Key or certificate cannot be used: {what}. Log in again: simpul login FILE";
        NoAddress
            id "Alamat pusat tidak diketahui. Minta kunci teknisi baru dari operator pusat."
            en "No address of the hub is known. Ask the hub's operator for a new technician's token.";
        NoHub { address, why }
            id "Pusat di {address} tidak menjawab: {why}. Periksa sambungan internet laptop ini; di desa tanpa jaringan, pakai: simpul doctor --here"
            en "The hub at {address} does not answer: {why}. Check this laptop's internet connection; in a village without a network, use: simpul doctor --here";
        ForeignHub
            id "Ini bukan pusat kabupaten yang membuat kunci ini: sertifikatnya dari pihak lain. Periksa jaringan (portal?) dan kuncinya; jangan lanjutkan."
            en "This is not the hub of the district that made this token: its certificate is someone else's. Check the network (a portal?) and the token; do not go on.";
        BadAnswer { what }
            id "Jawaban pusat tidak dapat dibaca: {what}. Perbarui simpul atau pusatnya."
            en "The hub's answer cannot be read: {what}. Update simpul, or the hub.";
        System { what }
            id "Sistem komputer ini menolak: {what}."
            en "This computer's system refuses: {what}.";
        NoName { name }
            id "{name} bukan nama laptop: 1 sampai 24 huruf, angka, titik, garis. Beri nama lain dengan --laptop."
            en "{name} is no laptop's name: 1 to 24 letters, digits, dots, dashes. Give another with --laptop.";
        NoNode { node }
            id "{node} bukan id simpul. Yang benar seperti 35.12.07.2003-01."
            en "{node} is no node id. A proper one is like 35.12.07.2003-01.";
        Fetched { node, path, until }
            id "Untuk {node}: {path}, berlaku sampai {until}. Berkas ini rahasia: hapus sesudah dipakai."
            en "For {node}: {path}, good until {until}. This file is a secret: delete it when it has been used.";
        MeantNode { node }
            id "Mungkin maksudnya {node}?"
            en "Is {node} meant?";
        NoReport { node }
            id "{node} tidak mengirim hasil pemeriksaan dalam waktunya. Coba lagi, atau periksa di tempat: simpul doctor --here"
            en "{node} sent no findings in time. Try again, or examine it on site: simpul doctor --here";
        TokenNone
            id "Ini bukan kunci teknisi: seharusnya diawali simpult1. Salin seluruhnya."
            en "This is no technician's token: one begins with simpult1. Copy the whole of it.";
        TokenNodes
            id "Ini kunci pendaftaran simpul, untuk kartunya. Untuk laptop: minta kunci teknisi (simpul-hub technicians add)."
            en "This is a node's token, for its card. For a laptop: ask for a technician's token (simpul-hub technicians add).";
        TokenVersion
            id "Kunci teknisi ini dari versi lebih baru. Perbarui simpul."
            en "This technician's token is of a newer kind. Update simpul.";
        TokenCutShort
            id "Kunci teknisi terpotong. Salin sampai huruf terakhir."
            en "The technician's token is cut short. Copy it to its last character.";
        TokenTooLong
            id "Ada sesuatu di belakang kunci teknisi, atau lebih dari satu kunci. Sisakan satu saja."
            en "There is something behind the technician's token, or more than one. Leave one.";
        TokenMistyped
            id "Kunci teknisi salah ketik. Bandingkan huruf demi huruf."
            en "The technician's token is mistyped. Compare it character by character.";
        TokenCharacter { place }
            id "Kunci teknisi salah ketik: huruf ke-{place} tidak mungkin ada di dalamnya."
            en "The technician's token is mistyped: its character {place} cannot be in one.";
        UnknownToken
            id "Pusat tidak mengenal kunci teknisi ini, atau milik teknisi lain. Minta kunci sendiri dari operator pusat."
            en "The hub does not know this technician's token, or it is another technician's. Ask the hub's operator for your own.";
        UsedToken
            id "Kunci ini sudah dipakai oleh laptop atau simpul lain. Jika bukan Anda: segera lapor agar dicabut. Minta kunci baru."
            en "This token has been used by another laptop or node. If that was not you: report it at once, to have it revoked. Ask for a new one.";
        ExpiredToken
            id "Kunci ini sudah lewat masa berlakunya. Minta yang baru dari operator pusat."
            en "This token has expired. Ask the hub's operator for a new one.";
        Revoked { text }
            id "Pusat sudah mencabutnya. Jika laptop ini benar milik Anda, minta kunci teknisi baru. Kata pusat: {text}"
            en "The hub has revoked it. If this laptop is yours indeed, ask for a new technician's token. The hub says: {text}";
        ExpiredLogin
            id "Masa berlaku laptop ini sudah habis (satu minggu). Minta kunci teknisi baru, lalu: simpul login BERKAS"
            en "This laptop's week is over. Ask for a new technician's token, then: simpul login FILE";
        NodeOffline
            id "Simpul itu tidak tersambung ke pusat sekarang, jadi tidak dapat diperiksa dari sini. Di tempat: simpul doctor --here"
            en "That node is not connected to the hub now, so it cannot be examined from here. On site: simpul doctor --here";
        Later { text }
            id "Pusat sedang tidak dapat menjawab; coba lagi sebentar. Kata pusat: {text}"
            en "The hub cannot answer just now; try again in a while. The hub says: {text}";
        Refused { text }
            id "Pusat menolak: {text}"
            en "The hub refuses: {text}";
    }
}
