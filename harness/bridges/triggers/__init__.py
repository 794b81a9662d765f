"""Triggers of victims that were trained elsewhere: one file each; the file name is the name in a study."""
