//! The local network and names.

super::findings! {
    "network.good" (interface) {
        what id "Jaringan baik lewat {interface}." en "The network is well, by {interface}.";
    }
    "network.no_link" (interface) {
        what id "Tidak ada sambungan fisik di {interface}." en "There is no link at {interface}.";
        why id "Kabel lepas, perute mati, atau Wi-Fi tidak tersambung." en "The cable is unplugged, the router is off, or the Wi-Fi is not joined.";
        act id "Pasang kabelnya; lihat lampu di port; nyalakan perute." en "Plug the cable in; look at the port's lights; switch the router on.";
    }
    "network.no_address" (interface) {
        what id "{interface} tidak mendapat alamat IP." en "{interface} has no IP address.";
        why id "Perute tidak memberi alamat (DHCP)." en "The router gives no address (DHCP).";
        act id "Nyalakan ulang perute; lalu: systemctl restart systemd-networkd atau NetworkManager." en "Restart the router; then: systemctl restart systemd-networkd or NetworkManager.";
    }
    "network.no_route" () {
        what id "Tidak ada jalan keluar dari jaringan lokal." en "There is no way out of the local network.";
        why id "Gerbang bawaan tidak diberikan perute, atau alamat tetapnya ditulis tanpa gerbang." en "The router gave no default gateway, or a fixed address was written without one.";
        act id "Periksa: ip route; nyalakan ulang perute, atau tulis gerbangnya." en "Look: ip route; restart the router, or write the gateway down.";
    }
    "network.unknown" (error) {
        what id "Jaringan tidak bisa diperiksa: {error}." en "The network could not be examined: {error}.";
        why id "Sistem tidak memberi tahu keadaan jaringannya." en "The system does not tell how its network is.";
        act id "Periksa dengan: ip addr; ip route." en "Look with: ip addr; ip route.";
    }
    "name.good" (name) {
        what id "Nama {name} ditemukan." en "The name {name} is found.";
    }
    "name.not_found" (name, error) {
        what id "Nama {name} tidak ditemukan: {error}." en "The name {name} is not found: {error}.";
        why id "Server nama (DNS) tidak terjangkau, atau namanya keliru." en "The name server (DNS) is out of reach, or the name is wrong.";
        act id "Periksa uplink.hubs; coba: getent hosts {name}; periksa /etc/resolv.conf." en "Check uplink.hubs; try: getent hosts {name}; check /etc/resolv.conf.";
    }
    "name.timeout" (name) {
        what id "Server nama (DNS) tidak menjawab untuk {name}." en "The name server (DNS) does not answer for {name}.";
        why id "Internet putus di balik perute, atau server nama mati." en "The internet is down behind the router, or the name server is.";
        act id "Coba: ping 1.1.1.1; nyalakan ulang perute; hubungi penyedia." en "Try: ping 1.1.1.1; restart the router; call the provider.";
    }
}
