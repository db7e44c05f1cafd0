"""Why `clean` refuses a row, one file a rule."""
