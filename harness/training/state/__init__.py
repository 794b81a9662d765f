"""What a method can leave behind in its process, one file for each kind."""
