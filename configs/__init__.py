"""Studies; see README.md. ``defuse run quickstart`` runs the study of this name from anywhere."""
