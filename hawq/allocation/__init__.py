"""Bits per site, by integer programming under budgets."""
