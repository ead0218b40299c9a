"""Netlists as truth tables: read, simulated (rung 6), and proved equal to the RTL."""
