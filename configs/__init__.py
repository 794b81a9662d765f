"""Studies. ``defuse run quickstart`` runs the one of this name, from the repository or from a wheel."""
