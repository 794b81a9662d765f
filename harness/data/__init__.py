"""Data sets: decoded once into memory-mapped uint8 arrays, and the clean budgets drawn from them."""
