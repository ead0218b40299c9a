"""The C++ emulator: a small library that computes a network's integers."""
