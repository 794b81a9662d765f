"""The command line ``defuse``: may import every room, heavy ones inside the commands alone."""
