"""WHAT Genloop does: one stage a file, and the members that people extend, one file each."""
