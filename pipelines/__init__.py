"""The pipeline: stages, one a file, and the plug-ins that people extend, one file each."""
