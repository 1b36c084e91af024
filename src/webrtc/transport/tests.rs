mod handshake;
mod media;
mod simulation;
