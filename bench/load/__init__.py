"""Load generators: closed loop, open loop, and clients that retry when they are told to."""
