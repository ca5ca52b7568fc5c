//! What is said while a node comes up, and when it is handed over.

crate::macros::catalogue! {
    /// The words of `simpul watch` and of its hand-over protocol.
    Watch {
        LastHeard { at }
            id "Terakhir terdengar oleh pusat: {at}."
            en "Last heard by the hub: {at}.";
        NeverHeard
            id "Pusat belum pernah mendengar simpul ini."
            en "The hub has never heard this node.";
        RefusedAt { at, text }
            id "Pendaftarannya ditolak {at}: {text}"
            en "Its enrolment was refused {at}: {text}";
        NoAgent { agent, error }
            id "{agent} tidak dapat dijalankan: {error}. Jalankan ini di simpulnya, atau sebut programnya dengan --agent; dari laptop: simpul doctor NODE"
            en "{agent} cannot be run: {error}. Run this on the node, or name its program with --agent; from a laptop: simpul doctor NODE";
        Watching { node, place }
            id "{node}, {place}. Menunggu salam pertama; Ctrl-C berhenti."
            en "{node}, {place}. Waiting for the first hello; Ctrl-C stops.";
        Hello { at, version, hardware, board }
            id "[OK] Salam: pertama kali {at}; agen {version}, perangkat {hardware}, papan {board}."
            en "[OK] Hello: first {at}; agent {version}, hardware {hardware}, board {board}.";
        Gone
            id "[..] Sambungan simpul terputus; ditunggu."
            en "[..] The node's session ended; waiting.";
        Reading { metric, value }
            id "[OK] Bacaan: {metric} = {value}"
            en "[OK] Reading: {metric} = {value}";
        Picture { camera, wide, high, bytes, at }
            id "[OK] Gambar dari {camera}: {wide} x {high}, {bytes}, {at}."
            en "[OK] Picture of {camera}: {wide} x {high}, {bytes}, {at}.";
        NoPicture { camera, condition }
            id "[!!] Kamera {camera}: {condition}. Periksa kabel, alamat, dan kata sandinya; ditunggu."
            en "[!!] Camera {camera}: {condition}. Check its cable, address and password; waiting.";
        Examining id "[..] Simpul memeriksa dirinya." en "[..] The node examines itself.";
        ExaminedWell id "[OK] Pemeriksaan: semua baik." en "[OK] Examination: all is well.";
        Accepted { number, path }
            id "[OK] Serah terima nomor {number} tersimpan di pusat. BAST untuk dicetak: {path}"
            en "[OK] Acceptance number {number} is kept at the hub. The BAST to print: {path}";
        AllGreen { number }
            id "Semua hijau. Nomor BAST: {number}."
            en "All is green. The BAST's number: {number}.";
        Missing { what }
            id "Masih kurang: {what}. Periksa: simpul doctor NODE, atau di tempat: simpul doctor --here"
            en "Still missing: {what}. Examine it: simpul doctor NODE, or on site: simpul doctor --here";
        MissingHello id "salam pertama" en "the first hello";
        MissingReading id "bacaan" en "a reading";
        MissingPicture id "gambar kamera" en "a camera's picture";
        MissingExamination id "pemeriksaan yang lulus" en "an examination that passes";
        BastTitle id "BERITA ACARA SERAH TERIMA SIMPUL" en "HAND-OVER PROTOCOL OF A NODE";
        BastNumber { number, at } id "Nomor {number}, {at}" en "Number {number}, {at}";
        BastNode id "Simpul" en "Node";
        BastPlace id "Tempat" en "Place";
        BastVillage id "Desa" en "Village";
        BastHardware id "Nomor seri perangkat" en "Hardware's serial";
        BastBoard id "Nomor seri papan" en "Board's serial";
        BastVersion id "Versi agen" en "Agent's version";
        BastFirstHeard id "Salam pertama" en "First hello";
        BastReading id "Bacaan yang dilihat" en "Reading that was seen";
        BastExamined id "Pemeriksaan" en "Examination";
        BastTechnician id "Teknisi / laptop" en "Technician / laptop";
        BastNote id "Catatan" en "Note";
        BastStatement
            id "Perangkat di atas terpasang, bekerja, dan diserahterimakan dalam keadaan seperti tercatat."
            en "The device above is installed, works, and is handed over as recorded.";
        BastGives id "Yang menyerahkan," en "Handed over by,";
        BastTakes id "Yang menerima," en "Received by,";
        BastName id "(nama dan jabatan)" en "(name and office)";
        BastCheck { number, sha256 }
            id "Ditandatangani secara elektronik oleh laptop teknisi; periksa di pusat: simpul-hub acceptances show {number}. SHA-256 {sha256}"
            en "Signed electronically by the technician's laptop; check at the hub: simpul-hub acceptances show {number}. SHA-256 {sha256}";
    }
}
