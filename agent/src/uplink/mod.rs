//! The way to the hub: a pure scheduler and a thin MQTT adapter.
