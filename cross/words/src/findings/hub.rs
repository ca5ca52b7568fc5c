//! The way to the hub.

super::findings! {
    "hub.good" (address) {
        what id "Pusat {address} menjawab dan menerima simpul ini." en "The hub {address} answers and accepts this node.";
    }
    "hub.closed" (address) {
        what id "Mesin pusat {address} menolak sambungan." en "The hub's machine {address} refuses the connection.";
        why id "Program pusat tidak berjalan, atau nomor portnya lain." en "The hub's program does not run, or its port is another.";
        act id "Di pusat: systemctl status simpul-hub; bandingkan port di uplink.hubs." en "At the hub: systemctl status simpul-hub; compare the port in uplink.hubs.";
    }
    "hub.timeout" (address) {
        what id "Tidak ada jawaban dari {address}." en "No answer from {address}.";
        why id "Internet atau serat putus di jalan, pusat mati, atau tembok api menahan port itu." en "The internet or the fibre is cut, the hub is off, or a firewall holds the port.";
        act id "Coba dari jaringan lain; tanya pusat apakah simpul lain terhubung." en "Try from another network; ask the hub whether other nodes are connected.";
    }
    "hub.unreachable" (address, error) {
        what id "Jalan ke {address} tertutup: {error}." en "The way to {address} is closed: {error}.";
        why id "Perute tidak tahu jalannya, atau VPN tidak tersambung." en "The router knows no way there, or a VPN is not connected.";
        act id "Periksa: ip route get ALAMAT; sambungkan VPN; nyalakan ulang perute." en "Look: ip route get ADDRESS; connect the VPN; restart the router.";
    }
    "hub.no_tls" (address, error) {
        what id "{address} menjawab, tetapi bukan dengan TLS pusat: {error}." en "{address} answers, but not with a hub's TLS: {error}.";
        why id "Port itu milik program lain, atau ada halaman masuk Wi-Fi di antaranya." en "The port is another program's, or a Wi-Fi sign-in page stands in between.";
        act id "Periksa alamat dan port di uplink.hubs (biasanya 8883)." en "Check address and port in uplink.hubs (mostly 8883).";
    }
    "hub.wrong_authority" (address) {
        what id "Sertifikat {address} bukan dari otoritas kabupaten ini." en "The certificate of {address} is not by this district's authority.";
        why id "Berkas CA di sini lama atau milik kabupaten lain, atau itu bukan pusat kita." en "The CA file here is old or another district's, or that is not our hub.";
        act id "Salin berkas CA yang berlaku dari pusat ke uplink.ca_file. Jangan lewati pemeriksaan ini." en "Copy the valid CA file from the hub to uplink.ca_file. Do not go around this check.";
    }
    "hub.wrong_name" (address, expected) {
        what id "Sertifikat {address} tidak berlaku untuk nama {expected}." en "The certificate of {address} is not for the name {expected}.";
        why id "Alamat pusat berganti, sertifikatnya belum." en "The hub's address has changed, its certificate has not.";
        act id "Tulis nama yang ada di sertifikat sebagai uplink.server_name, atau terbitkan sertifikat baru di pusat." en "Write the certificate's name as uplink.server_name, or issue a new certificate at the hub.";
    }
    "hub.expired" (address, at) {
        what id "Sertifikat {address} kedaluwarsa sejak {at}." en "The certificate of {address} expired on {at}.";
        why id "Sertifikat pusat belum diperbarui, atau jam di sini terlalu maju." en "The hub's certificate was not renewed, or the clock here is ahead.";
        act id "Perbarui sertifikat di pusat; semua simpul menunggu itu." en "Renew the certificate at the hub; all nodes wait for it.";
    }
    "hub.not_yet_valid" (address, at) {
        what id "Sertifikat {address} baru berlaku mulai {at}." en "The certificate of {address} is valid only from {at}.";
        why id "Jam di sini tertinggal, atau jam di pusat keliru saat menerbitkannya." en "The clock here is behind, or the hub's was wrong when it was issued.";
        act id "Bandingkan jam di sini dan di pusat." en "Compare the clocks here and at the hub.";
    }
    "hub.refuses_certificate" (address, error) {
        what id "Pusat {address} menolak sertifikat simpul ini: {error}." en "The hub {address} refuses this node's certificate: {error}.";
        why id "Sertifikat kedaluwarsa, dicabut, atau dari otoritas lain." en "It has expired, was revoked, or is by another authority.";
        act id "Terbitkan sertifikat baru untuk simpul ini di pusat." en "Issue a new certificate for this node at the hub.";
    }
    "hub.refuses_session" (address, error) {
        what id "Pusat {address} menolak sesi simpul ini: {error}." en "The hub {address} refuses this node's session: {error}.";
        why id "Simpul belum terdaftar, dicabut, atau nama di sertifikat bukan nama simpul." en "The node is not enrolled, was revoked, or the certificate's name is not the node's.";
        act id "Periksa daftar simpul di pusat; log pusat menyebut sebabnya." en "Check the list of nodes at the hub; the hub's log names the reason.";
    }
    "hub.silent" (address) {
        what id "{address} menerima sambungan lalu diam." en "{address} takes the connection and then says nothing.";
        why id "Sambungan sangat lambat, pusat sangat sibuk, atau ada perantara yang menahan." en "The link is very slow, the hub is very busy, or something in between holds it.";
        act id "Tunggu lima menit dan periksa lagi; tanya pusat apakah simpul lain terhubung." en "Wait five minutes and examine again; ask the hub whether other nodes are connected.";
    }
    "hub.disconnected" (since, error) {
        what id "Agen tidak terhubung ke pusat selama {since}: {error}." en "The agent has had no session with the hub for {since}: {error}.";
        why id "Sambungan terakhir gagal; agen mencoba lagi sendiri." en "The last connection failed; the agent tries again by itself.";
        act id "Tunggu satu menit dan periksa lagi; data menunggu dengan aman." en "Wait a minute and examine again; the data waits safely.";
    }
    "hub.no_acknowledgement" (age, records) {
        what id "Pusat tidak mengakui apa pun selama {age}, padahal {records} catatan menunggu." en "The hub has acknowledged nothing for {age}, records that wait: {records}.";
        why id "Sambungan terlalu lambat, atau pusat tidak bisa menyimpan." en "The link is too slow, or the hub cannot store.";
        act id "Periksa kartu dan log di pusat; ukur kecepatan sambungan." en "Check the hub's disk and log; measure the link.";
    }
    "hub.backlog" (records, bytes, drain) {
        what id "Menunggu pusat: {records} catatan, {bytes}; perkiraan habis dalam {drain}." en "Waiting for the hub: records {records}, {bytes}; sent in about {drain}.";
        why id "Sambungan lama putus atau lebih lambat daripada data yang masuk." en "The link was cut for long, or is slower than what comes in.";
        act id "Biarkan menyala; jika perkiraannya tidak berkurang, periksa kecepatan sambungan." en "Leave it on; if the time does not shrink, check the link's rate.";
    }
    "hub.refuses_records" (records) {
        what id "Catatan yang ditolak pusat sejak agen mulai: {records}." en "Records that the hub refused since the agent's start: {records}.";
        why id "Pusat lebih tua daripada agen, atau catatan itu rusak." en "The hub is older than the agent, or those records are damaged.";
        act id "Perbarui pusat; lihat daftar yang disisihkan di halaman pusat." en "Update the hub; see what was kept aside on the hub's page.";
    }
    "hub.unknown" (address, detail) {
        what id "Jalan ke {address} tidak diperiksa: {detail}." en "The way to {address} was not examined: {detail}.";
        why id "Sesuatu yang diperlukan untuk itu lebih dahulu tidak ada." en "Something that it needs first is missing.";
        act id "Perbaiki temuan di atas, lalu periksa lagi." en "Mend the findings above, then examine again.";
    }
}
